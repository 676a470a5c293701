#include "support/cluster/scheduler.h"

#include "support/apiserver/json_util.h"
#include "support/cluster/pod_facts.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::cluster {
namespace {

using apiserver::bool_at;
using apiserver::find_path;
using apiserver::text_at;
using nlohmann::json;

bool selects(const json& pod, const json& node) {
  const json* selector = find_path(pod, {"spec", "nodeSelector"});
  if (selector == nullptr || !selector->is_object()) return true;
  return std::all_of(selector->items().begin(), selector->items().end(), [&](const auto& item) {
    return item.value().is_string() && label(node, item.key()) == item.value().template get<std::string>();
  });
}

bool usable(const json& node) {
  return !bool_at(node, {"spec", "unschedulable"}) && !is_deleting(node) && is_ready(node);
}

}  // namespace

void create_nodes(Model& model, int count, const std::vector<std::string>& zones, Timestamp now) {
  Writer writer(model, now, "system:nodes");
  for (int i = 1; i <= count; ++i) {
    const std::string name = fmt::format("node-{}", i);
    json labels = {{"kubernetes.io/hostname", name}, {"kubernetes.io/os", "linux"}};
    if (!zones.empty()) {
      labels["topology.kubernetes.io/zone"] = zones[static_cast<std::size_t>(i - 1) % zones.size()];
    }
    const json node = {
        {"apiVersion", "v1"}, {"kind", "Node"}, {"metadata", {{"name", name}, {"labels", labels}}}};
    if (!writer.create(kube::kNodes, node)) continue;
    const json ready = {{"type", "Ready"},
                        {"status", "True"},
                        {"reason", "KubeletReady"},
                        {"message", "stand-in kubelet is posting ready status"},
                        {"lastHeartbeatTime", api::to_rfc3339(now)},
                        {"lastTransitionTime", api::to_rfc3339(now)}};
    const json status = {
        {"conditions", json::array({ready})},
        {"addresses", json::array({{{"type", "InternalIP"}, {"address", "127.0.0.1"}},
                                   {{"type", "Hostname"}, {"address", name}}})},
        {"nodeInfo",
         {{"kubeletVersion", "v1.32.0"}, {"operatingSystem", "linux"}, {"architecture", "amd64"}}}};
    writer.patch(kube::kNodes, node, {{"status", status}}, "status");
  }
}

void Scheduler::step(Model& model, Timestamp now) {
  const std::vector<ObjectPtr> pods = model.list(kube::kPods);
  std::map<std::string, int> load;
  std::vector<ObjectPtr> unbound;
  for (const ObjectPtr& pod : pods) {
    if (!is_active(pod->body())) continue;
    const std::string node = text_at(pod->body(), {"spec", "nodeName"});
    node.empty() ? unbound.push_back(pod) : static_cast<void>(++load[node]);
  }
  if (unbound.empty()) return;
  Writer writer(model, now, kSchedulerUser);
  std::vector<ObjectPtr> nodes = model.list(kube::kNodes);
  std::erase_if(nodes, [](const ObjectPtr& node) { return !usable(node->body()); });
  for (const ObjectPtr& pod : unbound) {
    const std::string* best = nullptr;
    std::string name;
    for (const ObjectPtr& node : nodes) {
      if (!selects(pod->body(), node->body())) continue;
      const std::string candidate = text_at(node->body(), {"metadata", "name"});
      if (best == nullptr || load[candidate] < load[name]) {
        name = candidate;
        best = &name;
      }
    }
    if (best == nullptr) continue;
    const std::string target =
        kube::resource_path(kube::kPods, text_at(pod->body(), {"metadata", "namespace"}),
                            text_at(pod->body(), {"metadata", "name"}), "binding");
    const json binding = {{"apiVersion", "v1"},
                          {"kind", "Binding"},
                          {"metadata", {{"name", text_at(pod->body(), {"metadata", "name"})}}},
                          {"target", {{"apiVersion", "v1"}, {"kind", "Node"}, {"name", name}}}};
    if (writer.post(target, binding)) ++load[name];
  }
}

}  // namespace poolwarden::cluster
