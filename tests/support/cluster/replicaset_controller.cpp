#include "support/cluster/replicaset_controller.h"

#include "support/apiserver/json_util.h"
#include "support/apiserver/selector.h"
#include "support/cluster/claims.h"
#include "support/cluster/pod_facts.h"
#include "support/cluster/victims.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <vector>

#include <nlohmann/json.hpp>

namespace poolwarden::cluster {
namespace {

using apiserver::find_path;
using apiserver::int_at;
using apiserver::text_at;
using nlohmann::json;

constexpr std::int64_t kBurst = 500;  // the real controller's BurstReplicas

// One ReplicaSet's pass.
class ReplicaSetPass {
 public:
  ReplicaSetPass(Model& model, Timestamp now, const json& set, const PodIndex& index)
      : model_(model), now_(now), set_(set), index_(index), writer_(model, now, kReplicaSetUser) {}

  void run(const DeleteGate& gate, const Pods& related) {
    claim();
    const std::int64_t wanted = int_at(set_, {"spec", "replicas"}, 1);
    const auto have = static_cast<std::int64_t>(active_.size());
    if (!is_deleting(set_)) {
      if (have < wanted) create(std::min(wanted - have, kBurst));
      if (have > wanted) remove(static_cast<std::size_t>(std::min(have - wanted, kBurst)), gate, related);
    }
    write_status();
  }

  std::optional<Timestamp> next_deadline() const { return next_deadline_; }

 private:
  void claim() {
    const Claimant claimant{set_, "ReplicaSet", [this](const json& pod) {
                              return selector_.matches(find_path(pod, {"metadata", "labels"}));
                            }};
    for (const ObjectPtr& pod : claim_pods(model_, writer_, index_, claimant)) keep(pod);
  }

  void keep(const ObjectPtr& pod) {
    if (is_active(pod->body())) {
      active_.push_back(pod);
    } else if (is_deleting(pod->body())) {
      ++terminating_;
    }
  }

  void create(std::int64_t count) {
    const json* template_ = find_path(set_, {"spec", "template"});
    if (template_ == nullptr || !template_->is_object()) return;
    json metadata = template_->value("metadata", json::object());
    metadata["namespace"] = text_at(set_, {"metadata", "namespace"});
    metadata["generateName"] = text_at(set_, {"metadata", "name"}) + "-";
    metadata["ownerReferences"] = json::array({controller_reference("apps/v1", "ReplicaSet", set_)});
    const json pod = {{"apiVersion", "v1"},
                      {"kind", "Pod"},
                      {"metadata", std::move(metadata)},
                      {"spec", template_->value("spec", json::object())}};
    for (std::int64_t i = 0; i < count; ++i) {
      if (!writer_.create(kube::kPods, pod)) return;
    }
  }

  void remove(std::size_t count, const DeleteGate& gate, const Pods& related) {
    std::map<std::string, int, std::less<>> on_node;
    for (const ObjectPtr& pod : related) {
      if (is_active(pod->body())) ++on_node[text_at(pod->body(), {"spec", "nodeName"})];
    }
    std::vector<VictimFacts> facts;
    for (const ObjectPtr& pod : active_) {
      facts.push_back(victim_facts(pod->body()));
      facts.back().related_on_node = on_node[facts.back().node];
    }
    for (const std::size_t victim : choose_victims(facts, count, now_)) {
      const json& pod = active_[victim]->body();
      const bool held = gate && gate(pod);
      if (held || !writer_.remove(kube::kPods, pod)) next_deadline_ = now_ + kRefusedRetry;
    }
  }

  void write_status() {
    const std::int64_t min_ready = int_at(set_, {"spec", "minReadySeconds"});
    std::int64_t ready = 0;
    std::int64_t available = 0;
    for (const ObjectPtr& pod : active_) {
      if (is_ready(pod->body())) ++ready;
      if (is_available(pod->body(), min_ready, now_)) {
        ++available;
      } else if (const auto at = available_at(pod->body(), min_ready)) {
        next_deadline_ = next_deadline_ ? std::min(*next_deadline_, *at) : *at;
      }
    }
    const auto count = static_cast<std::int64_t>(active_.size());
    const json status = {{"replicas", count},
                         {"fullyLabeledReplicas", count},
                         {"readyReplicas", ready},
                         {"availableReplicas", available},
                         {"terminatingReplicas", terminating_},
                         {"observedGeneration", int_at(set_, {"metadata", "generation"})}};
    for (const auto& [key, value] : status.items()) {
      if (int_at(set_, {"status", key}, -1) != value.get<std::int64_t>()) {
        writer_.patch(kReplicaSets, set_, {{"status", status}}, "status");
        return;
      }
    }
  }

  Model& model_;
  Timestamp now_;
  const json& set_;
  const PodIndex& index_;
  Writer writer_;
  apiserver::Selector selector_ =
      apiserver::Selector::from_object(set_.value(json::json_pointer("/spec/selector"), json()));
  Pods active_;
  std::int64_t terminating_ = 0;
  std::optional<Timestamp> next_deadline_;
};

}  // namespace

void ReplicaSetController::step(Model& model, Timestamp now) {
  next_deadline_.reset();
  const PodIndex index = index_pods(model);
  const std::vector<ObjectPtr> sets = model.list(kReplicaSets);
  // A rollout's old and new pods share nodes: pods of all sets of one Deployment are "related".
  std::unordered_map<std::string, Pods> related;
  const auto family = [](const json& set) {
    const std::string owner = controller_uid(set);
    return owner.empty() ? text_at(set, {"metadata", "uid"}) : owner;
  };
  for (const ObjectPtr& set : sets) {
    const auto pods = index.by_controller.find(text_at(set->body(), {"metadata", "uid"}));
    if (pods == index.by_controller.end()) continue;
    Pods& all = related[family(set->body())];
    all.insert(all.end(), pods->second.begin(), pods->second.end());
  }
  for (const ObjectPtr& set : sets) {
    ReplicaSetPass pass(model, now, set->body(), index);
    pass.run(gate_, related[family(set->body())]);
    if (const auto at = pass.next_deadline()) {
      next_deadline_ = next_deadline_ ? std::min(*next_deadline_, *at) : *at;
    }
  }
}

}  // namespace poolwarden::cluster
