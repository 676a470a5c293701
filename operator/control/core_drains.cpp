// What draining needs to see of the cluster, whom it asks for their load, and what is told of it.
#include "api/names.h"
#include "control/operator_core.h"
#include "pool/budget.h"
#include "pool/membership.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::control {
namespace {

// Before pods are chosen among, their engines are asked about this often.
constexpr kube::Duration kSoundingPoll = std::chrono::seconds(1);
// While a reading waits for its turn.
constexpr kube::Duration kStillWanted = std::chrono::seconds(1);
// A ReplicaSet's controller deletes what is too many within a second.
constexpr kube::Duration kSurplusIsHeld = std::chrono::seconds(5);
// What an engine's refusal may take in status.
constexpr std::size_t kMaxProblem = 256;

std::string first_of(const std::vector<std::string>& wanted, const std::vector<std::string>& there) {
  const auto found = std::find_if(there.begin(), there.end(), [&wanted](const std::string& key) {
    return std::find(wanted.begin(), wanted.end(), key) != wanted.end();
  });
  return found == there.end() ? std::string() : *found;
}

std::string bounded(std::string text) {
  if (text.size() <= kMaxProblem) return text;
  std::size_t end = kMaxProblem;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  text.resize(end);
  return text + " ...";
}

// Where and what the pool's engine says of its load, but for what is there already.
void add_sources(const api::InferencePool& pool, std::vector<engine::LoadSource>& out) {
  const auto add = [&](std::int32_t port) {
    engine::LoadSource source{port, pool.engine.metrics_path, engine::metrics_of(pool.engine)};
    if (std::find(out.begin(), out.end(), source) == out.end()) out.push_back(std::move(source));
  };
  if (pool.engine.metrics_port) return add(*pool.engine.metrics_port);
  for (const api::EndpointPort& port : pool.target_ports) add(port.number);
}

std::string_view to_string(pool::Gate gate) {
  switch (gate) {
    case pool::Gate::kMissing:
      return "missing";
    case pool::Gate::kEdited:
      return "edited";
    case pool::Gate::kUnseen:
      return "unknown";
    case pool::Gate::kPresent:
      break;
  }
  return "present";
}

// Whether the Deployment was scaled after this was read of its ReplicaSet. A set that is to have no pods is
// sized no more, and has to lose what it has; the order of their versions tells which of two watches lags.
bool is_outdated(const api::ReplicaSet& set, const api::Deployment& owner) {
  return set.controller == owner.uid && set.replicas > 0 && set.desired && *set.desired != owner.replicas &&
         !owner.deleting && kube::older(set.resource_version, owner.resource_version);
}

}  // namespace

void OperatorCore::index_replica_sets() {
  pods_by_controller_ = pods_.add_index([](const api::Pod& pod, std::vector<std::string>& keys) {
    if (!pod.controller->empty()) keys.push_back(*pod.controller);
  });
  sets_by_uid_ = replica_sets_.add_index(
      [](const api::ReplicaSet& set, std::vector<std::string>& keys) { keys.push_back(set.uid); });
  sets_by_controller_ =
      replica_sets_.add_index([](const api::ReplicaSet& set, std::vector<std::string>& keys) {
        if (!set.controller.empty()) keys.push_back(set.controller);
      });
}

void OperatorCore::classify(api::Node& node) const {
  node.withdraw_taint = first_of(options_.withdraw_taints, node.taints);
  node.drain_taint = first_of(options_.drain_taints, node.taints);
  node.taints.clear();
}

void OperatorCore::see_drains(PoolRecord& record, pool::Snapshot& seen, api::Now now) {
  seen.loads = &loads_;
  seen.emptied_nodes = &emptied_nodes_;
  seen.labels_under_way = &labels_under_way_;
  seen.listed = &record.published;
  see_gate(seen);
  see_replica_sets(seen, now);
  see_budgets(record, seen);
}

void OperatorCore::see_replica_sets(pool::Snapshot& seen, api::Now now) {
  seen.sees_replica_sets = replica_sets_.synced();
  std::map<std::string_view, std::set<std::string_view>> pods_of;  // by the UID of their controller
  for (const api::Pod* pod : seen.pods) {
    if (!pod->controller->empty()) pods_of[*pod->controller].insert(pod->uid);
  }
  for (const auto& [uid, pods] : pods_of) {
    const auto& sets = replica_sets_.store().by_index(sets_by_uid_, std::string(uid));
    if (sets.empty()) continue;
    pool::ReplicaSetView view;
    view.set = sets.begin()->get();
    bool alone = true;
    for (const auto& other : replica_sets_.store().by_index(sets_by_controller_, view.set->controller)) {
      view.superseded |= other->revision > view.set->revision && other->replicas > 0;
      alone &= other->uid == view.set->uid || (other->replicas == 0 && other->status_replicas == 0);
    }
    view.outdated = alone && seen.target != nullptr && is_outdated(*view.set, *seen.target);
    std::int32_t ready = 0;
    bool drains = false;
    for (const auto& pod : pods_.store().by_index(pods_by_controller_, view.set->uid)) {
      if (!pool::is_active(*pod)) continue;
      const bool is_ready = pod->ready == api::Tristate::kTrue;
      if (is_ready) ++ready;
      const bool this_drains = pool::drains(pool::drain_state(pod->serving, pod->drain_marks()));
      drains |= this_drains;
      if (pods.contains(pod->uid)) continue;
      ++view.strangers;
      if (this_drains) ++view.draining_strangers;
      if (!is_ready && !this_drains) ++view.unready_strangers;
    }
    view.held = drains || has_lasted(view.set->uid, ready > view.set->replicas, now.mono);
    seen.replica_sets.push_back(view);
  }
}

// Whether a ReplicaSet has had too many ready pods for so long that its deletes must be held.
bool OperatorCore::has_lasted(const std::string& replica_set, bool too_many, kube::TimePoint now) {
  if (!too_many) {
    surplus_since_.erase(replica_set);
    return false;
  }
  return now - surplus_since_.try_emplace(replica_set, now).first->second >= kSurplusIsHeld;
}

void OperatorCore::see_gate(pool::Snapshot& seen) {
  look_at_gate(seen);
  meters_.drain_gate(to_string(seen.gate));
}

void OperatorCore::look_at_gate(pool::Snapshot& seen) const {
  switch (options_.drain_gate) {
    case DrainGate::kOn:
      seen.gate = pool::Gate::kPresent;
      return;
    case DrainGate::kOff:
      seen.gate = pool::Gate::kMissing;
      return;
    case DrainGate::kAuto:
      break;
  }
  if (!gate_policies_.synced() || !gate_bindings_.synced()) {
    seen.gate = pool::Gate::kUnseen;
    return;
  }
  const auto policy = gate_policies_.store().find({"", std::string(api::kGateName)});
  const auto binding = gate_bindings_.store().find({"", std::string(api::kGateName)});
  if (!policy || !binding || policy->deleting || binding->deleting) {
    seen.gate = pool::Gate::kMissing;
    return;
  }
  seen.gate_difference = api::gate_difference(*policy, *binding);
  seen.gate = seen.gate_difference.empty() ? pool::Gate::kPresent : pool::Gate::kEdited;
}

void OperatorCore::see_budgets(const PoolRecord& record, pool::Snapshot& seen) const {
  const std::string name = pool::budget_name(*seen.pool);
  seen.budget = budgets_.store().find({record.key.ns, name}).get();
  seen.budget_sight = seen.budget != nullptr ? pool::Sight::kPresent
                      : budgets_.synced()    ? pool::Sight::kAbsent
                                             : pool::Sight::kBlind;
  // Pods of a pool share their labels: a namespace full of budgets must not cost a look at each pod for each.
  std::set<const api::LabelMap*> label_sets;
  for (const api::Pod* pod : seen.pods) label_sets.insert(pod->labels.get());
  budgets_.store().for_each_in(
      record.key.ns, [&](const std::shared_ptr<const api::DisruptionBudget>& budget) {
        if (budget->name == name || budget->deleting) return;
        // An empty one selects every pod. https://kubernetes.io/docs/tasks/run-application/configure-pdb/
        const bool selects =
            std::any_of(label_sets.begin(), label_sets.end(), [&budget](const api::LabelMap* labels) {
              return budget->selector.empty() || budget->selector.matches(*labels);
            });
        if (selects) seen.other_budgets.push_back(budget->name);
      });
}

void OperatorCore::want_loads(const PoolRecord& record, const api::InferencePool& pool,
                              const pool::Plan& plan, api::Now now) {
  for (const pool::WantedReading& wanted : plan.readings) {
    const kube::Duration poll = wanted.withdrawn ? kube::Duration(wanted.poll) : kSoundingPoll;
    if (loads_.want(wanted.uid, wanted.withdrawn, poll, now.mono)) {
      load_turns_.join({wanted.uid, record.key, load_request(wanted, pool)}, loads_.in_trouble(wanted.uid));
      queue_.add_after(record.key, kStillWanted, now.mono);
    } else if (const auto next = loads_.due(wanted.uid)) {
      queue_.add_after(record.key, *next - now.mono, now.mono);
    }
  }
}

// A pod of several pools is idle when it is for all of them.
engine::LoadRequest OperatorCore::load_request(const pool::WantedReading& wanted,
                                               const api::InferencePool& pool) {
  engine::LoadRequest out;
  out.ip = wanted.ip;
  add_sources(pool, out.sources);
  const auto pod = pods_.store().find({pool.ns, wanted.name});
  if (!pod || pod->uid != wanted.uid) return out;
  const auto add = [&](const PoolRecord& record) {
    const auto other = pools_.store().find(record.key);
    if (other && other->uid != pool.uid) add_sources(*other, out.sources);
  };
  for (const PoolRecord* record : table_.matching(*pod)) add(*record);
  for (const PoolRecord* record : table_.unsure(pool.ns)) {
    if (record->once_published.contains(wanted.uid)) add(*record);
  }
  return out;
}

void OperatorCore::read_loads(api::Now now, Effects& out) {
  for (LoadRead& read :
       load_turns_.take([&](const std::string& uid) { return loads_.is_wanted(uid, now.mono); })) {
    loads_.began(read.pod_uid, now.mono);
    out.load_reads.push_back(std::move(read));
  }
}

void OperatorCore::arrived(LoadArrived load, api::Now now) {
  load_turns_.ended(load.pod_uid);
  loads_.took(load.pod_uid, load.load, bounded(std::move(load.problem)), now.mono);
  if (const PoolRecord* record = table_.find(load.pool)) mark(*record, now);
}

// Pods of a first list were bound whenever that was, and so was one that is not new when it is first seen:
// the watch had a gap.
void OperatorCore::see_placement(const kube::Delta<api::Pod>& delta, api::Now now) {
  const bool same = delta.before && delta.after && delta.before->uid == delta.after->uid;
  if (delta.before && !same) emptied_nodes_.forget(delta.before->uid);
  if (!delta.after || delta.after->node->empty()) return;
  const bool is_new_there =
      same ? delta.before->node->empty() : now.wall - delta.after->created < pool::EmptiedNodes::kMargin;
  if (is_new_there && settled()) emptied_nodes_.bound(delta.after->uid, *delta.after->node, now.mono);
}

// It went while it drained: deleted by a person, evicted without asking, failed, or its node is gone.
void OperatorCore::count_lost_drain(const kube::Delta<api::Pod>& delta, api::Now now) {
  if (!delta.before || !pool::is_active(*delta.before)) return;
  const bool goes = !delta.after || delta.after->uid != delta.before->uid || !pool::is_active(*delta.after);
  const auto state = pool::drain_state(delta.before->serving, delta.before->drain_marks());
  const auto* draining = std::get_if<pool::Draining>(&state);
  if (goes && draining != nullptr && can_decide_)
    meters_.drained("lost", pool::elapsed(draining->started, now.wall));
}

void OperatorCore::labelled(PoolRecord& record, const PodLabelWrite& label, api::Now now, Effects& out) {
  if (!label.note) return;
  const pool::DrainNote& note = *label.note;
  const bool ended = note.step != pool::DrainResult::kNone && note.step != pool::DrainResult::kStarted;
  if (ended) meters_.drained(pool::to_string(note.step), note.took);
  out.logs.push_back({note.event.warning ? Severity::kWarn : Severity::kInfo,
                      note.event.message,
                      {{"pod", record.key.ns + "/" + label.what.name}, {"pool", record.key.to_string()}}});
  const pool::EndpointChange whom{.pod = label.what.name,
                                  .uid = label.what.uid,
                                  .ip = {},
                                  .reason = pool::Withdrawal::kNone,
                                  .detail = {},
                                  .again = false};
  note_change(record, whom, note.event, now);
}

}  // namespace poolwarden::control
