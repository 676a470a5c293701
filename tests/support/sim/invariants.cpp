#include "support/sim/invariants.h"

#include "kube/resource.h"
#include "publish/calls.h"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::sim {
namespace {

using nlohmann::json;

// Null where there is nothing. (value() throws and catches for that: too slow for what is looked at so
// often.)
const json& at(const json& object, const json::json_pointer& pointer) {
  static const json kNothing;
  return object.contains(pointer) ? object.at(pointer) : kNothing;
}

std::string text(const json& object, const char* path) {
  const json::json_pointer pointer(path);
  return object.contains(pointer) && object.at(pointer).is_string() ? object.at(pointer).get<std::string>()
                                                                    : "";
}

std::string status_of(const json& object, const std::string& type) {
  for (const json& condition : at(object, "/status/conditions"_json_pointer)) {
    if (condition.value("type", "") == type) return condition.value("status", "");
  }
  return "";
}

bool condition_is_true(const json& pod, const std::string& type) {
  return status_of(pod, type) == "True";
}

bool is_active(const json& pod) {
  const std::string phase = text(pod, "/status/phase");
  return !pod.at("metadata").contains("deletionTimestamp") && phase != "Failed" && phase != "Succeeded";
}

// The node controller says so of pods whose nodes are not heard of: a kubelet says both, or that a gate is
// unmet.
bool is_marked(const json& pod) {
  return status_of(pod, "Ready") == "False" && condition_is_true(pod, "ContainersReady");
}

// As its own kubelet last said.
bool fit(const json& pod) {
  if (!is_active(pod)) return false;
  if (text(pod, "/status/podIP").empty()) return false;
  if (!condition_is_true(pod, "Ready") && !is_marked(pod)) return false;
  if (condition_is_true(pod, "DisruptionTarget")) return false;
  for (const json& gate : at(pod, "/spec/readinessGates"_json_pointer)) {
    if (!condition_is_true(pod, gate.value("conditionType", ""))) return false;
  }
  return true;
}

// Its drain has begun: the label alone may be anybody's.
bool drains(const json& pod) {
  const std::string serving = text(pod, "/metadata/labels/poolwarden.io~1serving");
  return (serving == "draining" || serving == "drained") &&
         !text(pod, "/metadata/annotations/poolwarden.io~1drain-started").empty();
}

// As the operator's default --withdraw-on-taints.
constexpr std::array kWithdrawTaints{"node.kubernetes.io/out-of-service",
                                     "node.cloudprovider.kubernetes.io/shutdown"};

bool is_away(const json& node) {
  for (const json& taint : at(node, "/spec/taints"_json_pointer)) {
    const std::string key = taint.value("key", "");
    if (std::find(kWithdrawTaints.begin(), kWithdrawTaints.end(), key) != kWithdrawTaints.end()) return true;
  }
  return status_of(node, "Ready") == "False";
}

bool is_unheard(const json& node) {
  return status_of(node, "Ready") == "Unknown";
}

bool matches(const json& labels, const json& pod) {
  const json& of_pod = at(pod, "/metadata/labels"_json_pointer);
  for (const auto& [key, value] : labels.items()) {
    if (!of_pod.contains(key) || of_pod.at(key) != value) return false;
  }
  return !labels.empty();
}

std::string config_map_of(const json& pool) {
  return pool.value("/spec/publish/configMap/name"_json_pointer, text(pool, "/metadata/name") + "-endpoints");
}

}  // namespace

void Invariants::changed(std::string_view plural, api::Timestamp now) {
  if (plural == "pods" || plural == "deployments" || plural == "statefulsets" || plural == "inferencepools" ||
      plural == "nodes")
    look_at_pods(now);
  if (plural == "configmaps") look_at_lists(now);
}

// The pool's own selector, or its target's. Scenarios use matchLabels only.
json Invariants::labels_of(const json& pool) const {
  json labels = pool.value("/spec/selector/matchLabels"_json_pointer, json::object());
  if (!labels.empty()) return labels;
  const bool stateful = text(pool, "/spec/scaleTargetRef/kind") == "StatefulSet";
  const auto target = model_.find(stateful ? kube::kStatefulSets : kube::kDeployments,
                                  text(pool, "/metadata/namespace"), text(pool, "/spec/scaleTargetRef/name"));
  return target ? target->body().value("/spec/selector/matchLabels"_json_pointer, json::object()) : labels;
}

bool Invariants::are_nodes_unseen(const json& pool) const {
  std::set<std::string> unheard;
  for (const auto& node : model_.list(kube::kNodes)) {
    if (is_unheard(node->body())) unheard.insert(text(node->body(), "/metadata/name"));
  }
  std::set<std::string> of_all, of_pool;
  for (const auto& each : model_.list(publish::kInferencePools)) {
    const json labels = labels_of(each->body());
    const bool same = text(each->body(), "/metadata/uid") == text(pool, "/metadata/uid");
    for (const auto& pod : model_.list(kube::kPods, text(each->body(), "/metadata/namespace"))) {
      const std::string node = text(pod->body(), "/spec/nodeName");
      if (node.empty() || !is_active(pod->body()) || !matches(labels, pod->body())) continue;
      of_all.insert(node);
      if (same) of_pool.insert(node);
      if (is_marked(pod->body())) unheard.insert(node);
    }
  }
  const auto count = [&unheard](const std::set<std::string>& nodes) {
    return static_cast<std::size_t>(std::count_if(
        nodes.begin(), nodes.end(), [&](const std::string& node) { return unheard.contains(node); }));
  };
  const bool many = count(of_all) >= 2 && 3 * count(of_all) > of_all.size();
  const auto nodes = model_.list(kube::kNodes);
  const auto gone = std::count_if(nodes.begin(), nodes.end(), [&unheard](const auto& node) {
    return unheard.contains(text(node->body(), "/metadata/name"));
  });
  const bool most = gone >= 2 && 2 * static_cast<std::size_t>(gone) > nodes.size();
  return many || (of_pool.size() >= (most ? 1U : 2U) && count(of_pool) == of_pool.size());
}

std::set<std::string> Invariants::fit_uids(const json& pool, NodesCount nodes) const {
  const std::string ns = text(pool, "/metadata/namespace");
  const json labels = labels_of(pool);
  const bool nodes_known = !model_.list(kube::kNodes).empty();
  std::optional<bool> unseen;  // asked only where it matters
  std::set<std::string> uids;
  for (const auto& pod : model_.list(kube::kPods, ns)) {
    const json& body = pod->body();
    if (!matches(labels, body) || !fit(body)) continue;
    if (nodes != NodesCount::kNo && nodes_known) {
      const auto node = model_.find(kube::kNodes, "", text(body, "/spec/nodeName"));
      if (!node || is_away(node->body())) continue;
      if (is_unheard(node->body()) || is_marked(body)) {
        if (!unseen) unseen = nodes == NodesCount::kYes && are_nodes_unseen(pool);
        if (!*unseen || text(body, "/metadata/labels/poolwarden.io~1serving").empty()) continue;
      }
    }
    uids.insert(text(body, "/metadata/uid"));
  }
  return uids;
}

void Invariants::look_at_pods(api::Timestamp) {
  for (const auto& pod : model_.list(kube::kPods)) {
    if (fit(pod->body())) ever_fit_.insert(text(pod->body(), "/metadata/uid"));
  }
  for (const auto& pool : model_.list(publish::kInferencePools)) {
    const auto [found, is_new] = pools_.try_emplace(text(pool->body(), "/metadata/uid"));
    PoolHistory& history = found->second;
    if (is_new) history.fit_once = ever_fit_;
    history.panics = pool->body().value("/spec/publish/panicThresholdPercent"_json_pointer, 0) > 0;
    const auto fit = fit_uids(pool->body(), nodes_as_all_see_them());
    const auto fit_by_themselves = fit_uids(pool->body(), NodesCount::kNo);
    history.fit_once.insert(fit_by_themselves.begin(), fit_by_themselves.end());
    for (const auto& [uid, name] : history.published.pods) {
      if (!fit.contains(uid)) history.unfit_once.insert(uid);
    }
  }
}

void Invariants::look_at_lists(api::Timestamp now) {
  for (const auto& pool : model_.list(publish::kInferencePools)) {
    const json& body = pool->body();
    if (body.at("metadata").contains("deletionTimestamp")) continue;
    auto next = read_list(text(body, "/metadata/namespace"), config_map_of(body));
    if (!next) continue;
    next->told = body.value("/status/endpointsRevision"_json_pointer, std::int64_t{0});
    compare(text(body, "/metadata/name"), pools_[text(body, "/metadata/uid")], *next, now);
  }
}

std::optional<Invariants::Published> Invariants::read_list(const std::string& ns,
                                                           const std::string& name) const {
  Published out;
  std::int32_t shards = 1;
  for (std::int32_t shard = 1; shard <= shards; ++shard) {
    const auto map =
        model_.find(kube::kConfigMaps, ns, shard == 1 ? name : fmt::format("{}-{}", name, shard));
    if (!map || text(map->body(), "/metadata/labels/poolwarden.io~1pool").empty()) return std::nullopt;
    const auto document = json::parse(text(map->body(), "/data/endpoints.json"), nullptr, false);
    if (!document.is_object() || !document.contains("endpoints")) return std::nullopt;  // someone's edit
    if (shard == 1) shards = document.value("shards", 1);
    out.revisions[shard] = document.value("revision", std::int64_t{0});
    out.uids[shard] = text(map->body(), "/metadata/uid");
    for (const json& endpoint : document.at("endpoints")) {
      if (endpoint.value("state", "") == "ready") {
        out.pods.emplace(endpoint.value("uid", ""), endpoint.value("pod", ""));
        if (endpoint.value("unready", false)) out.unready.insert(endpoint.value("uid", ""));
      } else {
        out.draining.insert(endpoint.value("uid", ""));
      }
    }
  }
  return out;
}

void Invariants::compare(const std::string& pool, PoolHistory& history, const Published& next,
                         api::Timestamp now) {
  for (const auto& [shard, revision] : history.published.revisions) {
    const auto found = next.revisions.find(shard);
    if (found == next.revisions.end() || found->second >= revision) continue;
    // It was deleted while no operator ran, and nobody had told its revision anywhere else.
    const bool made_anew = next.uids.at(shard) != history.published.uids.at(shard);
    if (made_anew && found->second >= next.told) continue;
    violate(now, fmt::format("pool {}: revision of shard {} went from {} back to {}", pool, shard, revision,
                             found->second));
  }
  if (next.revisions == history.published.revisions) return;
  for (const auto& [uid, name] : next.pods) {
    // Only of a pool that asks for it, as too few are ready.
    if (history.published.pods.contains(uid) || (history.panics && next.unready.contains(uid))) continue;
    if (!(watches_fail_ ? ever_fit_ : history.fit_once).contains(uid)) {
      violate(now, fmt::format("pool {}: {} was published and never fit to serve", pool, name));
    }
    history.unfit_once.erase(uid);
  }
  for (const auto& [uid, name] : history.published.pods) {
    if (next.pods.contains(uid)) continue;
    if (!history.unfit_once.contains(uid) && !next.draining.contains(uid)) {
      violate(now, fmt::format("pool {}: {} was withdrawn although it was fit all the time", pool, name));
    }
    history.fit_once.erase(uid);
  }
  history.published = next;
  look_at_pods(now);  // an entry that is unfit by now, or one that left and is fit again
}

void Invariants::violate(api::Timestamp now, std::string what) {
  violations_.push_back(api::to_rfc3339(now) + " " + std::move(what));
}

std::set<std::string> Invariants::fit_pods(const std::string& ns, const std::string& pool) const {
  return fit_names(ns, pool, NodesCount::kYes);
}

std::set<std::string> Invariants::surely_fit_pods(const std::string& ns, const std::string& pool) const {
  return fit_names(ns, pool, nodes_as_all_see_them());
}

std::set<std::string> Invariants::fit_names(const std::string& ns, const std::string& pool,
                                            NodesCount nodes) const {
  std::set<std::string> names;
  const auto object = model_.find(publish::kInferencePools, ns, pool);
  if (!object) return names;
  const auto uids = fit_uids(object->body(), nodes);
  for (const auto& pod : model_.list(kube::kPods, ns)) {
    if (drains(pod->body())) continue;
    if (uids.contains(text(pod->body(), "/metadata/uid"))) names.insert(text(pod->body(), "/metadata/name"));
  }
  return names;
}

std::set<std::string> Invariants::published_pods(const std::string& ns, const std::string& pool) const {
  std::set<std::string> names;
  const auto object = model_.find(publish::kInferencePools, ns, pool);
  const auto list = read_list(ns, object ? config_map_of(object->body()) : pool + "-endpoints");
  if (!list) return names;
  for (const auto& [uid, name] : list->pods) names.insert(name);
  return names;
}

}  // namespace poolwarden::sim
