#include "control/snapshot_builder.h"

#include "api/names.h"
#include "kube/resource_version.h"
#include "pool/budget.h"
#include "pool/drain.h"
#include "pool/endpoint_slices.h"
#include "pool/node_drains.h"
#include "pool/pod_group.h"
#include "pool/remarks.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::control {
namespace {

// Anybody who may create an object in a namespace may create thousands. What of them a pass looks at is
// bounded, so that it costs its pods and not what is beside them. Of other pools that a pod serves, the first
// few by name count, for how it drains and who lists it. The sets of labels are those in which pods of a pool
// differ, as budgets see them.
constexpr std::size_t kMaxSharers = 8;
constexpr std::size_t kMaxNames = 8;     // for a person
constexpr std::size_t kMaxCounted = 64;  // of which those are the first
constexpr std::size_t kMaxLabelSets = 64;
constexpr std::size_t kMaxComparisons = 20'000;  // of a set with a budget
// More pools of a namespace that do not know whom they select: any pod there may be of one.
constexpr std::size_t kMaxUndecided = 64;

template <class Kind>
pool::Visibility visibility_of(const FeedTable& feeds, const void* object) {
  if (object != nullptr) return pool::Visibility::kPresent;
  return feeds.synced<Kind>() ? pool::Visibility::kAbsent : pool::Visibility::kUnknown;
}

}  // namespace

const api::ConfigMap* SnapshotBuilder::config_map(const PoolRecord& record, std::int32_t shard) const {
  const std::string name = api::shard_name(record.config_map, shard);
  const auto* seen = feeds_.store<ConfigMaps>().find(record.key.ns, name).get();
  if (seen != nullptr) return seen;
  const auto unlabelled = record.unlabelled.find(name);
  return unlabelled == record.unlabelled.end() ? nullptr : &unlabelled->second.config_map;
}

template <class Visit>
void SnapshotBuilder::for_each_shard(const PoolRecord& record, Visit visit) const {
  for (std::int32_t shard = 1; shard <= api::kMaxShards; ++shard) {
    const api::ConfigMap* map = config_map(record, shard);
    if (map == nullptr && shard > record.list.counted()) return;
    visit(shard, map);
  }
}

// The list may have been written by another operator that knew more: we led before and lost it, or are new
// and our watch has yet to tell what the other had seen. What a ConfigMap of another says is nothing to go
// by.
std::vector<SnapshotBuilder::NewerShard> SnapshotBuilder::newer_shards(const PoolRecord& record) const {
  std::vector<NewerShard> out;
  for_each_shard(record, [&](std::int32_t shard, const api::ConfigMap* map) {
    const bool newer = map != nullptr && pool::is_owned_by(*map, record.uid) &&
                       kube::older(feeds_.pods_version(), map->pods_version);
    if (newer) out.push_back({shard, map->pods_version});
  });
  return out;
}

const std::string& SnapshotBuilder::pods_version_over(const PoolRecord& record,
                                                      const api::ConfigMap& config_map) const {
  const bool is_newer = kube::older(feeds_.pods_version(), config_map.pods_version) &&
                        !record.list.disbelieves(config_map.pods_version);
  return is_newer ? config_map.pods_version : feeds_.pods_version();
}

void SnapshotBuilder::add_list(const PoolRecord& record, pool::Snapshot& seen) const {
  seen.list_limits = list_limits_;
  seen.list_counted = record.list.counted();
  seen.list.clear();
  for_each_shard(record, [&](std::int32_t shard, const api::ConfigMap* map) {
    const bool newer = seen.pods_behind && map != nullptr;
    seen.list.push_back({.config_map = map,
                         .published = record.list.document(shard, map),
                         .remembered = &record.list.ready(shard),
                         .pods_version = newer ? pods_version_over(record, *map) : seen.pods_version});
  });
  seen.is_listed = [&list = record.list](const std::string& uid) { return list.lists(uid); };
}

pool::Snapshot SnapshotBuilder::build(PoolRecord& record, const api::InferencePool& pool, bool pods_behind,
                                      api::Now now) {
  pool::Snapshot seen;
  seen.pool = &pool;
  add_target(record, seen);
  add_pods(record, seen);
  add_groups(seen);
  add_overlap(record, seen);
  seen.pods_version = feeds_.pods_version();
  seen.pods_behind = pods_behind;
  add_list(record, seen);
  add_confirmations(record, seen);
  seen.service = feeds_.store<Services>().find({pool.ns, record.service}).get();
  seen.service_visibility = visibility_of<Services>(feeds_, seen.service);
  add_slices(record, seen);
  seen.sees_cordons = feeds_.synced<Nodes>() && !feeds_.out_of_reach<Nodes>();
  seen.node = router_.node_lookup();
  // Each node is counted once, and none where nobody is chosen.
  seen.neighbours = [this, known = PodsPerNode()](const api::Pod& pod) mutable {
    return neighbours(pod, known);
  };
  seen.unseen_nodes = router_.unseen_nodes(record);
  add_autoscalers(record, seen);
  seen.loads = &loads_.tracker();
  seen.draining_nodes = &router_.draining_nodes();
  seen.releases = &router_.releases();
  seen.drain_ages = &router_.drain_ages();
  seen.labels_under_way = &writes_.labels_under_way();
  pool::GateState gate = this->gate();
  seen.gate = gate.gate;
  seen.gate_difference = std::move(gate.difference);
  seen.max_drain_timeout = feeds_.max_drain_timeout();
  pool::shorten_drains(seen, feeds_.taint_deadline(), now);
  add_sets(record, seen, now.mono);
  add_budgets(record, seen);
  FeedTable::Problems problems = feeds_.problems();
  seen.watch_errors = std::move(problems.watch_errors);
  seen.stale = std::move(problems.stale);
  if (record.on_hold_since) seen.on_hold_for = now.mono - *record.on_hold_since;
  seen.can_see = feeds_.synced<Pods>() && feeds_.synced<ConfigMaps>();
  seen.agreed = record.agreed;
  seen.replicas_unsettled = record.replicas_in_flight;
  seen.replicas_wait = record.replica_moves.wait(now.mono);
  seen.remarks = pool::remarks_on_the_past(seen, record.slipped_deletes, record.replica_moves, now.mono);
  seen.last_revision = record.list.last_revision();
  seen.once_published = &record.list.ever_listed();
  add_errors(record, seen);
  return seen;
}

// Of any pool, served or not. One that drains leaves, and so does one of which that is being written.
bool SnapshotBuilder::stays_on_its_node(const api::Pod& pod) const {
  if (!pool::is_active(pod) || pool::drains(pool::drain_state(pod))) return false;
  const auto& under_way = writes_.labels_under_way();
  const auto label = under_way.find(pod.uid);
  const bool begins = label != under_way.end() &&
                      (label->second == api::serving::kDraining || label->second == api::serving::kDrained);
  return !begins && (pool::is_worker(*pod.labels) || !table_.matching(pod).empty());
}

// Its own group goes with it.
std::int32_t SnapshotBuilder::neighbours(const api::Pod& pod, PodsPerNode& known) const {
  if (pod.node->empty()) return 0;
  const auto [count, is_new] = known.try_emplace(*pod.node, 0);
  const auto& there = feeds_.pods_on_node(*pod.node);
  if (is_new) {
    count->second = static_cast<std::int32_t>(std::count_if(
        there.begin(), there.end(), [this](const PodPtr& other) { return stays_on_its_node(*other); }));
  }
  if (!pool::group_of(*pod.labels)) return count->second - (stays_on_its_node(pod) ? 1 : 0);
  const auto& group = feeds_.group_of(pod);
  return count->second - static_cast<std::int32_t>(
                             std::count_if(group.begin(), group.end(), [this, &pod](const PodPtr& member) {
                               return *member->node == *pod.node && stays_on_its_node(*member);
                             }));
}

// A drain waits for a slice that still says to use the pod, as for a list: for those of ours, and for those
// that Kubernetes updates no more. What cannot be read is as it was read last; what was never read may say
// anything.
void SnapshotBuilder::add_slices(const PoolRecord& record, pool::Snapshot& seen) const {
  const bool synced = feeds_.synced<EndpointSlices>();
  if (feeds_.out_of_reach<EndpointSlices>())
    seen.slice_sight = pool::SliceSight::kRefused;
  else
    seen.slice_sight = synced ? pool::SliceSight::kSeen : pool::SliceSight::kNotYet;
  const bool direct = seen.service != nullptr && seen.service->labels.contains(api::kSkipMirrorLabel);
  if (direct && seen.slice_sight == pool::SliceSight::kNotYet)
    for (const api::Pod* pod : seen.pods) seen.listed_by_others.insert(pod->uid);
  const bool left_behind = direct && seen.service->selector.empty();
  for (const auto& slice : feeds_.slices_of_pool(record.key.ns, record.key.name)) {
    seen.slices.push_back(slice.get());
    const bool stays = left_behind && slice->manager == api::kKubernetesSliceManager;
    if (!stays && !pool::is_ours(*seen.pool, *slice)) continue;
    for (const api::SliceEndpoint& endpoint : slice->endpoints)
      if (endpoint.ready) seen.listed_by_others.insert(endpoint.uid);
  }
}

bool SnapshotBuilder::says_to_use(const PoolRecord& other, const api::Pod& pod) const {
  if (other.list.lists(pod.uid)) return true;
  const auto& slices = feeds_.slices_of_pool(other.key.ns, other.key.name);
  return std::any_of(slices.begin(), slices.end(), [&pod](const auto& slice) {
    return slice->manager == api::kOurSliceManager &&
           std::any_of(slice->endpoints.begin(), slice->endpoints.end(),
                       [&pod](const auto& endpoint) { return endpoint.ready && endpoint.uid == pod.uid; });
  });
}

void SnapshotBuilder::add_target(const PoolRecord& record, pool::Snapshot& seen) const {
  if (!seen.pool->scale_target) return;
  seen.target = feeds_.target_of(*seen.pool).get();
  seen.target_visibility =
      seen.target != nullptr
          ? pool::Visibility::kPresent
          : (feeds_.has_read(record.target_kind) ? pool::Visibility::kAbsent : pool::Visibility::kUnknown);
  seen.target_awaited = feeds_.is_awaited(record.target_kind);
}

void SnapshotBuilder::add_pods(const PoolRecord& record, pool::Snapshot& seen) {
  const auto& members = feeds_.pods_of_pool(record.key.to_string());
  seen.pods.reserve(members.size());
  for (const PodPtr& pod : members) seen.pods.push_back(pod.get());
  // A pod that has just been relabelled out is no longer matched, but still in the list that gateways
  // read: the decision must see why it goes.
  const std::size_t matching = seen.pods.size();
  for (std::int32_t shard = 1; shard <= record.list.shards(); ++shard) {
    for (const auto& [uid, name] : record.list.ready(shard)) {
      const auto pod = feeds_.store<Pods>().find({record.key.ns, name});
      if (pod && pod->uid == uid && !table_.is_selected_by(*pod, record)) seen.pods.push_back(pod.get());
    }
  }
  if (!record.selector) add_marked(record, seen);
  if (seen.pods.size() == matching) return;  // as the index has them: sorted
  std::sort(seen.pods.begin(), seen.pods.end(),
            [](const api::Pod* a, const api::Pod* b) { return a->name < b->name; });
  seen.pods.erase(std::unique(seen.pods.begin(), seen.pods.end()), seen.pods.end());
}

void SnapshotBuilder::add_groups(pool::Snapshot& seen) const {
  for (const api::Pod* pod : seen.pods) {
    if (!pool::is_leader(*pod->labels)) continue;
    for (const PodPtr& member : feeds_.group_of(*pod))
      if (pool::is_worker(*member->labels)) seen.groups[pod->uid].push_back(member.get());
  }
}

bool SnapshotBuilder::is_held_member(const api::Pod& pod) const {
  if (pod.serving != api::serving::kMember) return false;
  const auto group = feeds_.group_of(pod);
  return std::any_of(group.begin(), group.end(), [this](const PodPtr& other) {
    const auto& pools = table_.matching(*other);
    return pool::is_leader(*other->labels) &&
           std::any_of(pools.begin(), pools.end(), [](const PoolRecord* record) {
             return record->target_kind == api::TargetKind::kLeaderWorkerSet;
           });
  });
}

// Of a pool that has not known whom it selects since this process knows it: pods that drain or finish are its
// to see to the end, by their own marks.
void SnapshotBuilder::add_marked(const PoolRecord& record, pool::Snapshot& seen) {
  for (const PodPtr& pod : feeds_.pods_of_pool(orphan_index(record.key.ns))) {
    const bool marked = pod->serving == api::serving::kDrained || pool::is_held(pod->serving);
    if (marked && may_be_of({&record}, *pod)) seen.pods.push_back(pod.get());
  }
}

// What pods with the same labels have in common is worked out once for all of them.
SnapshotBuilder::Sharers SnapshotBuilder::sharers_of(const PoolRecord& record, const api::Pod& pod) {
  Sharers out;
  const auto& pools = table_.matching(pod);
  for (const PoolRecord* other : pools) {
    if (out.first.size() == kMaxSharers) break;
    if (other != &record) out.first.push_back(other);
  }
  const bool is_member = table_.is_selected_by(pod, record);
  if (is_member) out.overlapping = pools.size() - 1;
  const PoolRecord* leader = table_.leader(pod);
  out.decided_by_another = leader != nullptr && leader != &record;
  out.led_by_another = leader != nullptr && leader != &record && leader->key < record.key;
  for (const PoolRecord* other : out.first) out.drain = longer_drain(std::move(out.drain), *other);
  return out;
}

std::optional<api::DrainSpec> SnapshotBuilder::longer_drain(std::optional<api::DrainSpec> drain,
                                                            const PoolRecord& other) const {
  const auto object = feeds_.store<Pools>().find(other.key);
  if (!object) return drain;
  return drain ? pool::longer(*drain, object->drain) : object->drain;
}

void SnapshotBuilder::add_overlap(const PoolRecord& record, pool::Snapshot& seen) {
  std::vector<const PoolRecord*> unsure;  // all that is known of them is whom they listed
  for (const PoolRecord* other : table_.unsure(record.key.ns)) {
    if (unsure.size() == kMaxSharers) break;
    if (other != &record && !other->list.ever_listed().empty()) unsure.push_back(other);
  }
  std::unordered_map<const api::Labels*, Sharers> by_labels;
  std::set<std::string> names;
  std::size_t overlapping = 0;
  const auto share = [&](const api::Pod& pod, const std::optional<api::DrainSpec>& drain) {
    if (!drain) return;
    api::DrainSpec& shared = seen.shared_drains.try_emplace(pod.uid, seen.pool->drain).first->second;
    shared = pool::longer(shared, *drain);
  };
  for (const api::Pod* pod : seen.pods) {
    const auto lists = [this, &pod](const PoolRecord* other) { return says_to_use(*other, *pod); };
    for (const PoolRecord* other : unsure) {
      if (!other->list.ever_listed().contains(pod->uid)) continue;
      share(*pod, longer_drain(std::nullopt, *other));
      if (lists(other)) seen.listed_by_others.insert(pod->uid);
    }
    const auto& pools = table_.matching(*pod);
    if (pools.size() == 1 && pools.front() == &record) continue;
    const auto [entry, fresh] = by_labels.try_emplace(pod->labels.get());
    Sharers& sharers = entry->second;
    if (fresh) {
      sharers = sharers_of(record, *pod);
      overlapping = std::max(overlapping, sharers.overlapping);
      if (sharers.overlapping > 0 && names.size() < kMaxCounted)
        for (const PoolRecord* other : sharers.first) names.insert(other->key.name);
    }
    if (sharers.first.empty()) continue;
    share(*pod, sharers.drain);
    seen.pods_of_others.insert(pod->uid);
    if (sharers.decided_by_another) seen.decided_by_others.insert(pod->uid);
    if (sharers.led_by_another) seen.led_by_others.insert(pod->uid);
    if (std::any_of(sharers.first.begin(), sharers.first.end(), lists))
      seen.listed_by_others.insert(pod->uid);
  }
  seen.overlapping_pools.assign(
      names.begin(),
      std::next(names.begin(), static_cast<std::ptrdiff_t>(std::min(names.size(), kMaxNames))));
  seen.more_overlapping_pools = std::max(names.size(), overlapping) - seen.overlapping_pools.size();
}

// Pools whose lists may have told to use the pod, of which there may be any number: this one, and the first
// few of the others.
std::vector<const PoolRecord*> SnapshotBuilder::lists_of(const PoolRecord& record, const api::Pod& pod) {
  std::vector<const PoolRecord*> out{&record};
  const auto add = [&](const PoolRecord* other) {
    if (other != &record && out.size() <= kMaxSharers) out.push_back(other);
  };
  for (const PoolRecord* other : table_.matching(pod)) add(other);
  for (const PoolRecord* other : table_.unsure(record.key.ns)) {
    if (other->list.ever_listed().contains(pod.uid)) add(other);
  }
  return out;
}

void SnapshotBuilder::add_confirmations(PoolRecord& record, pool::Snapshot& seen) {
  const ConsumerWatch& watch = router_.consumers();
  if (const auto* consumers = watch.of(record.key)) seen.consumers = consumers;
  seen.list_revisions = record.list.revisions();
  record.off_list.begin_pass();
  for (const api::Pod* pod : seen.pods) {
    const bool goes = pod->serving == api::serving::kDraining || pod->serving == api::serving::kFinishing;
    if (!goes) continue;
    pool::WithdrawalConfirmation confirmation{.by_consumers = true, .awaits = std::nullopt};
    for (const PoolRecord* one : lists_of(record, *pod)) {
      if (one->list.lists(pod->uid)) continue;  // and so it is not withdrawn yet
      const auto& wanted = record.off_list.mark(pod->uid, one->key, one->list.revisions());
      const pool::ListConsumers* consumers = watch.of(one->key);
      if (consumers == nullptr || consumers->live() == 0) {
        confirmation.by_consumers = false;
        continue;
      }
      auto awaited = consumers->awaited(wanted.by_shard, one->list.last_revision());
      const bool is_slower =
          awaited && (!confirmation.awaits || awaited->behind() > confirmation.awaits->behind());
      if (is_slower) confirmation.awaits = std::move(awaited);
    }
    seen.confirmations.emplace(pod->uid, std::move(confirmation));
  }
  record.off_list.end_pass();
}

void SnapshotBuilder::add_autoscalers(const PoolRecord& record, pool::Snapshot& seen) const {
  const auto add = [&](std::string_view group, std::string_view kind, const std::string& name,
                       std::vector<std::string>& out) {
    for (const auto& one : feeds_.autoscalers_of(record.key.ns, group, kind, name)) {
      if (out.size() == kMaxNames) return;
      out.push_back(one->name);
    }
  };
  add(api::kGroup, api::kPoolKind, record.key.name, seen.pool_autoscalers);
  const api::ScalableKind* kind = api::scalable(record.target_kind);
  if (kind != nullptr) add(kind->group, kind->kind, record.target, seen.target_autoscalers);
}

void SnapshotBuilder::add_sets(const PoolRecord& record, pool::Snapshot& seen, kube::TimePoint now) {
  seen.sees_replica_sets = feeds_.synced<ReplicaSets>();
  seen.sees_stateful_sets = feeds_.synced<StatefulSets>();
  // Controllers' UIDs are interned: few pointers stand for many pods. In the order of the UIDs.
  std::vector<const std::string*> controllers;
  for (const api::Pod* pod : seen.pods) {
    const std::string* controller = pod->controller.get();
    const bool same = !controllers.empty() && controllers.back() == controller;
    if (!same && !controller->empty()) controllers.push_back(controller);
  }
  std::sort(controllers.begin(), controllers.end(),
            [](const std::string* a, const std::string* b) { return *a < *b; });
  controllers.erase(std::unique(controllers.begin(), controllers.end(),
                                [](const std::string* a, const std::string* b) { return *a == *b; }),
                    controllers.end());
  for (const std::string* uid : controllers) {
    const auto set = feeds_.replica_set(*uid);
    const auto stateful = set ? nullptr : feeds_.stateful_set(*uid);
    if (!set && !stateful) continue;
    std::vector<const api::Pod*> pods;
    for (const PodPtr& pod : feeds_.pods_of_controller(*uid)) pods.push_back(pod.get());
    if (set) {
      seen.replica_sets.push_back(view_of(*set, std::move(pods), record, seen, now));
    } else {
      seen.stateful_sets.push_back(pool::view_of(*stateful, pods, surplus_, now));
    }
  }
}

pool::ReplicaSetView SnapshotBuilder::view_of(const api::ReplicaSet& set, std::vector<const api::Pod*> pods,
                                              const PoolRecord& record, const pool::Snapshot& seen,
                                              kube::TimePoint now) {
  pool::ReplicaSetFacts facts;
  facts.set = &set;
  for (const auto& other : feeds_.replica_sets_of(set.controller)) facts.siblings.push_back(other.get());
  facts.pods = std::move(pods);
  facts.target = seen.target;
  facts.target_is_newer =
      seen.target != nullptr && kube::older(set.resource_version, seen.target->resource_version);
  facts.is_member = [this, &record](const api::Pod& pod) { return table_.is_selected_by(pod, record); };
  return pool::view_of(facts, surplus_, now);
}

pool::GateState SnapshotBuilder::gate() const {
  if (drain_gate_ == DrainGate::kOn) return {pool::Gate::kPresent, {}};
  if (drain_gate_ == DrainGate::kOff) return {pool::Gate::kMissing, {}};
  if (!feeds_.synced<GatePolicies>() || !feeds_.synced<GateBindings>()) return {pool::Gate::kUnseen, {}};
  const std::string name(api::kGateName);
  return pool::gate_state(feeds_.store<GatePolicies>().find({"", name}).get(),
                          feeds_.store<GateBindings>().find({"", name}).get());
}

void SnapshotBuilder::add_budgets(const PoolRecord& record, pool::Snapshot& seen) const {
  const std::string name = pool::budget_name(*seen.pool);
  seen.budget = feeds_.store<Budgets>().find({record.key.ns, name}).get();
  seen.budget_visibility = visibility_of<Budgets>(feeds_, seen.budget);
  // Pods of a pool share their labels: a namespace full of budgets must not cost a look at each pod for each.
  std::set<const api::Labels*> label_sets;
  for (const api::Pod* pod : seen.pods) {
    if (label_sets.size() == kMaxLabelSets) break;
    label_sets.insert(pod->labels.get());
  }
  // A worker is in the pool's budget as its leader is.
  for (const auto& [leader, workers] : seen.groups) {
    if (label_sets.size() >= kMaxLabelSets || record.target_kind != api::TargetKind::kLeaderWorkerSet) break;
    if (!workers.empty()) label_sets.insert(workers.front()->labels.get());
  }
  std::size_t compared = 0;
  feeds_.store<Budgets>().for_each_in(
      record.key.ns, [&](const std::shared_ptr<const api::DisruptionBudget>& budget) {
        if (seen.other_budgets.size() == kMaxNames || compared >= kMaxComparisons) return;
        if (budget->name == name || budget->deleting) return;
        compared += label_sets.size();
        const bool selects = std::any_of(
            label_sets.begin(), label_sets.end(),
            [&budget](const api::Labels* labels) { return pool::selects_pods_with(*budget, *labels); });
        if (selects) seen.other_budgets.push_back(budget->name);
      });
}

void SnapshotBuilder::add_errors(const PoolRecord& record, pool::Snapshot& seen) const {
  const WriteErrors& errors = record.errors;
  if (!errors.config_maps.empty()) {
    seen.config_map_error_name = errors.config_maps.begin()->first;
    seen.config_map_error = errors.config_maps.begin()->second.text;
    seen.config_map_error_reason = errors.config_maps.begin()->second.reason;
  }
  seen.service_error = errors.service;
  if (!errors.slices.empty()) seen.slices_error = errors.slices.begin()->second;
  seen.budget_error = errors.budget;
  seen.scale_error = errors.scale;
  if (!errors.labels.empty()) seen.labels_error = errors.labels.begin()->second;
  seen.dropped_fields = record.status.dropped_fields;
}

std::vector<const api::InferencePool*> SnapshotBuilder::other_pools_of(const api::InferencePool& pool,
                                                                       const std::string& pod,
                                                                       const std::string& uid) {
  std::vector<const api::InferencePool*> out;
  const auto object = feeds_.store<Pods>().find(pool.ns, pod);
  if (!object || object->uid != uid) return out;
  // True once they are enough.
  const auto add = [&](const PoolRecord* record) {
    const auto other = feeds_.store<Pools>().find(record->key);
    if (other && other->uid != pool.uid) out.push_back(other.get());
    return out.size() == kMaxSharers;
  };
  const auto& pools = table_.matching(*object);
  if (std::any_of(pools.begin(), pools.end(), add)) return out;
  for (const PoolRecord* record : table_.unsure(pool.ns)) {
    if (record->list.ever_listed().contains(uid) && add(record)) break;
  }
  return out;
}

std::vector<const PoolRecord*> SnapshotBuilder::undecided_pools(const std::string& ns) {
  std::vector<const PoolRecord*> out;
  for (const PoolRecord* record :
       table_.in_namespace(ns, [](const PoolRecord& r) { return !r.deleting && !r.selector_known; }))
    out.push_back(record);
  return out;
}

// A pool that does not know whom it selects has the pod on its list, or its status tells whom it selected,
// which an operator that is new knows no other way.
bool SnapshotBuilder::may_be_of(const std::vector<const PoolRecord*>& undecided, const api::Pod& pod) const {
  if (undecided.size() > kMaxUndecided) return true;
  const auto selected = [&](const PoolRecord& record) {
    const auto pool = feeds_.store<Pools>().find(record.key);
    return pool && !pool->status.selector.empty() && api::may_select(pool->status.selector, *pod.labels);
  };
  return std::any_of(undecided.begin(), undecided.end(), [&](const PoolRecord* record) {
    return record->list.ever_listed().contains(pod.uid) || (!record->selector && selected(*record));
  });
}

void SnapshotBuilder::sweep() {
  surplus_.sweep([this](const std::string& uid) {
    return feeds_.replica_set(uid) != nullptr || feeds_.stateful_set(uid) != nullptr;
  });
}

}  // namespace poolwarden::control
