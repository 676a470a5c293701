#include "support/cluster/statefulset_controller.h"

#include "support/apiserver/json_util.h"
#include "support/apiserver/selector.h"
#include "support/cluster/claims.h"
#include "support/cluster/pod_facts.h"
#include "support/cluster/stateful_set_view.h"

#include <algorithm>
#include <functional>
#include <map>
#include <vector>

#include <nlohmann/json.hpp>

namespace poolwarden::cluster {
namespace {

using apiserver::find_path;
using apiserver::int_at;
using apiserver::text_at;
using nlohmann::json;

constexpr kube::ResourceType kRevisions{"apps", "v1", "controllerrevisions", "ControllerRevision"};
constexpr std::size_t kLargestBatch = 500;  // the real controller's MaxBatchSize

// An ordinal that is wanted, or one that has a pod though it is not.
struct Slot {
  std::int64_t ordinal = 0;
  ObjectPtr pod;         // null: there is none, or was none when the step began
  std::string revision;  // the pod's, or that of the one to be made
  bool made = false;     // in this step
};

enum class Outcome : std::uint8_t { kGoOn, kWait, kRefused };

bool is_terminating(const Slot& slot) {
  return slot.pod && is_deleting(slot.pod->body());
}

bool is_running_and_ready(const json& pod) {
  return text_at(pod, {"status", "phase"}) == "Running" && is_ready(pod);
}

bool has_finished(const json& pod) {
  const std::string phase = text_at(pod, {"status", "phase"});
  return phase == "Failed" || phase == "Succeeded";
}

// One StatefulSet's pass.
class StatefulSetPass {
 public:
  StatefulSetPass(Model& model, Timestamp now, const json& set, const DeleteGate& gate)
      : model_(model), now_(now), set_(set), gate_(gate), writer_(model, now, kStatefulSetUser) {}

  void run(const PodIndex& index) {
    find_revisions();
    sort_pods(index);
    if (!is_deleting(set_) && establish()) update();
    write_status();
  }

  std::optional<Timestamp> next_deadline() const { return next_deadline_; }

 private:
  ObjectPtr find_revision(const std::string& name) const {
    return name.empty() ? nullptr : model_.find(kRevisions, text_at(set_, {"metadata", "namespace"}), name);
  }

  void find_revisions() {
    updated_ = revision_name(set_);
    current_ = text_at(set_, {"status", "currentRevision"});
    if (!find_revision(updated_) && !is_deleting(set_)) {
      writer_.create(kRevisions,
                     {{"apiVersion", "apps/v1"},
                      {"kind", "ControllerRevision"},
                      {"metadata",
                       {{"namespace", text_at(set_, {"metadata", "namespace"})},
                        {"name", updated_},
                        {"ownerReferences", {controller_reference("apps/v1", "StatefulSet", set_)}}}},
                      {"data", {{"spec", {{"template", set_.value("/spec/template"_json_pointer, json())}}}}},
                      {"revision", int_at(set_, {"metadata", "generation"})}});
    }
    if (!find_revision(current_)) current_ = updated_;
  }

  void sort_pods(const PodIndex& index) {
    const auto selector = apiserver::Selector::from_object(set_.value("/spec/selector"_json_pointer, json()));
    const auto name = [](const json& pod) { return text_at(pod, {"metadata", "name"}); };
    const Claimant claimant{set_, "StatefulSet", [&](const json& pod) {
                              return ordinal_of(wanted_.name, name(pod)).has_value() &&
                                     selector.matches(find_path(pod, {"metadata", "labels"}));
                            }};
    std::map<std::int64_t, ObjectPtr> pods;
    for (ObjectPtr& pod : claim_pods(model_, writer_, index, claimant)) {
      const std::int64_t ordinal = *ordinal_of(wanted_.name, name(pod->body()));
      pods[ordinal] = std::move(pod);
    }
    for (std::int64_t ordinal = wanted_.start; ordinal < wanted_.end(); ++ordinal) {
      const bool earlier = !wanted_.on_delete && ordinal < wanted_.first_updated();
      replicas_.push_back({ordinal, nullptr, earlier ? current_ : updated_});
    }
    for (auto& [ordinal, pod] : pods) {
      Slot slot{ordinal, pod, label(pod->body(), kRevisionLabel)};
      if (ordinal >= wanted_.start && ordinal < wanted_.end()) {
        replicas_[static_cast<std::size_t>(ordinal - wanted_.start)] = std::move(slot);
      } else {
        condemned_.push_back(std::move(slot));
      }
    }
    std::reverse(condemned_.begin(), condemned_.end());  // the highest first
  }

  bool is_available(const Slot& slot) {
    if (!slot.pod || !is_running_and_ready(slot.pod->body())) return false;
    if (const auto at = available_at(slot.pod->body(), wanted_.min_ready_seconds); at && *at > now_)
      look_again(*at);
    return cluster::is_available(slot.pod->body(), wanted_.min_ready_seconds, now_);
  }
  bool is_unavailable(const Slot& slot) { return !is_available(slot) || is_terminating(slot); }

  void look_again(Timestamp at) { next_deadline_ = next_deadline_ ? std::min(*next_deadline_, at) : at; }

  // In order one after the other, or in batches that grow while nothing is refused. False: no further.
  template <class Act>
  bool for_all(std::vector<Slot>& slots, Act act) {
    if (!wanted_.parallel) {
      return std::all_of(slots.begin(), slots.end(),
                         [&act](Slot& slot) { return act(slot) == Outcome::kGoOn; });
    }
    std::size_t batch = 1;
    for (std::size_t at = 0; at < slots.size(); batch = std::min(2 * batch, kLargestBatch)) {
      bool refused = false;
      for (const std::size_t end = std::min(at + batch, slots.size()); at < end; ++at)
        refused = act(slots[at]) == Outcome::kRefused || refused;
      if (refused) return false;
    }
    return true;
  }

  // That exactly the wanted ordinals have pods. Only then is a template rolled out.
  bool establish() {
    if (!for_all(replicas_, [this](Slot& slot) { return keep(slot); })) return false;
    const Slot* ill = nullptr;  // the lowest: the only one that may go though it is not ready
    for (const Slot& slot : condemned_) {
      if (is_unavailable(slot)) ill = &slot;
    }
    return for_all(condemned_, [this, ill](Slot& slot) { return condemn(slot, ill); });
  }

  Outcome keep(Slot& slot) {
    if (!slot.pod) {
      slot.made = create(slot);
      if (!slot.made) return refused();
      return Outcome::kWait;
    }
    const json& pod = slot.pod->body();
    if (has_finished(pod)) return is_terminating(slot) ? Outcome::kWait : remove(slot);
    if (!wanted_.parallel && is_unavailable(slot)) return Outcome::kWait;
    const json labels = identity_labels(wanted_.name, slot.ordinal);
    if (label(pod, kPodNameLabel).empty() || label(pod, kPodIndexLabel).empty())
      writer_.patch(kube::kPods, pod, {{"metadata", {{"labels", labels}}}});
    return Outcome::kGoOn;
  }

  // In order, a pod goes only while all those below are there, and the others out of range as well.
  Outcome condemn(const Slot& slot, const Slot* ill) {
    if (is_terminating(slot)) return wanted_.parallel ? Outcome::kGoOn : Outcome::kWait;
    if (!wanted_.parallel && !is_available(slot) && &slot != ill) return Outcome::kWait;
    return remove(slot);
  }

  void update() {
    if (wanted_.on_delete) return;
    std::int64_t may_go = wanted_.max_unavailable;
    for (const Slot& slot : replicas_) may_go -= is_unavailable(slot) ? 1 : 0;
    for (auto slot = replicas_.rbegin(); slot != replicas_.rend() && may_go > 0; ++slot) {
      if (slot->ordinal < wanted_.first_updated()) return;
      if (slot->revision == updated_ || is_terminating(*slot)) continue;
      if (remove(*slot) == Outcome::kRefused) return;
      --may_go;
    }
  }

  bool create(const Slot& slot) {
    json pod_template = set_.value("/spec/template"_json_pointer, json::object());
    if (const ObjectPtr earlier = slot.revision == updated_ ? nullptr : find_revision(slot.revision))
      pod_template = earlier->body().value("/data/spec/template"_json_pointer, json::object());
    json spec = pod_template.value("spec", json::object());
    json metadata =
        pod_metadata(set_, slot.ordinal, slot.revision, pod_template.value("metadata", json::object()));
    spec["hostname"] = metadata.at("name");
    if (const std::string service = text_at(set_, {"spec", "serviceName"}); !service.empty())
      spec["subdomain"] = service;
    return writer_.create(kube::kPods, {{"apiVersion", "v1"},
                                        {"kind", "Pod"},
                                        {"metadata", std::move(metadata)},
                                        {"spec", std::move(spec)}});
  }

  Outcome remove(const Slot& slot) {
    const bool held = gate_ && gate_(slot.pod->body());
    return !held && writer_.remove(kube::kPods, slot.pod->body()) ? Outcome::kWait : refused();
  }

  Outcome refused() {
    look_again(now_ + kRefusedRetry);
    return Outcome::kRefused;
  }

  struct Counts {
    std::int64_t replicas = 0, ready = 0, available = 0, current = 0, updated = 0;
  };

  Counts counts() {
    Counts counts;
    for (const std::vector<Slot>* slots : {&replicas_, &condemned_}) {
      for (const Slot& slot : *slots) {
        if (!slot.pod && !slot.made) continue;
        ++counts.replicas;
        if (slot.pod && is_running_and_ready(slot.pod->body())) ++counts.ready;
        if (is_available(slot)) ++counts.available;
        if (is_terminating(slot)) continue;
        if (slot.revision == current_) ++counts.current;
        if (slot.revision == updated_) ++counts.updated;
      }
    }
    return counts;
  }

  void write_status() {
    Counts have = counts();
    if (!wanted_.on_delete && have.updated == have.replicas && have.ready == have.replicas) {
      current_ = updated_;  // the rollout is complete
      have.current = have.updated;
    }
    const json status = {{"replicas", have.replicas},
                         {"readyReplicas", have.ready},
                         {"availableReplicas", have.available},
                         {"currentReplicas", have.current},
                         {"updatedReplicas", have.updated},
                         {"currentRevision", current_},
                         {"updateRevision", updated_},
                         {"observedGeneration", int_at(set_, {"metadata", "generation"})}};
    const json known = set_.value("status", json::object());
    const bool same = std::all_of(status.items().begin(), status.items().end(), [&known](const auto& field) {
      return known.contains(field.key()) && known.at(field.key()) == field.value();
    });
    if (!same) writer_.patch(kube::kStatefulSets, set_, {{"status", status}}, "status");
  }

  Model& model_;
  Timestamp now_;
  const json& set_;
  const DeleteGate& gate_;
  Writer writer_;
  StatefulSetView wanted_{set_};
  std::string current_;
  std::string updated_;
  std::vector<Slot> replicas_;
  std::vector<Slot> condemned_;
  std::optional<Timestamp> next_deadline_;
};

}  // namespace

void StatefulSetController::step(Model& model, Timestamp now) {
  next_deadline_.reset();
  const auto sets = model.list(kube::kStatefulSets);
  if (sets.empty()) return;
  const PodIndex index = index_pods(model);
  for (const ObjectPtr& set : sets) {
    StatefulSetPass pass(model, now, set->body(), gate_);
    pass.run(index);
    if (const auto at = pass.next_deadline())
      next_deadline_ = next_deadline_ ? std::min(*next_deadline_, *at) : *at;
  }
}

}  // namespace poolwarden::cluster
