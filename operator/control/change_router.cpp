#include "control/change_router.h"

#include "api/names.h"
#include "pool/drain.h"
#include "pool/membership.h"
#include "pool/pod_group.h"
#include "pool/withdrawal.h"

#include <algorithm>
#include <set>
#include <utility>

namespace poolwarden::control {
namespace {

// All consumers of a list confirm it within moments.
constexpr kube::Duration kConfirmationsTogether = std::chrono::milliseconds(50);

// Whether two states of one pod can lead to different decisions: most updates of a pod (a kubelet's
// heartbeat of its status) cannot, and cost no pass.
bool same_but_for_labels_of_ours(const api::Pod& a, const api::Pod& b) {
  return a.uid == b.uid && a.labels == b.labels && a.node == b.node && a.ip == b.ip && a.phase == b.phase &&
         a.ready == b.ready && a.containers_ready == b.containers_ready && a.ready_reason == b.ready_reason &&
         a.disruption_target == b.disruption_target && a.unmet_gate == b.unmet_gate &&
         a.status_reason == b.status_reason && a.deletion_timestamp == b.deletion_timestamp &&
         a.has_readiness_probe == b.has_readiness_probe && a.has_pre_stop == b.has_pre_stop &&
         a.termination_grace_seconds == b.termination_grace_seconds && a.controller == b.controller &&
         a.active_ports == b.active_ports;
}

bool same_labels_of_ours(const api::Pod& a, const api::Pod& b) {
  return a.serving == b.serving && a.drain_annotations() == b.drain_annotations();
}

// Of the fields that are read; what was written else (a controller's status) leads to nothing new.
template <class Object>
bool same_but_for_version(const Object& a, const Object& b) {
  Object copy = a;
  copy.resource_version = b.resource_version;
  return copy == b;
}

template <class Object>
bool says_nothing_new(const kube::Delta<Object>& delta) {
  return delta.before && delta.after && same_but_for_version(*delta.before, *delta.after);
}

template <class Object>
const Object& object_of(const kube::Delta<Object>& delta) {
  return delta.after ? *delta.after : *delta.before;
}

template <class Object>
kube::ObjectKey key_of(const kube::Delta<Object>& delta) {
  return {object_of(delta).ns, object_of(delta).name};
}

}  // namespace

void ChangeRouter::mark_namespace(const std::string& ns, api::Now now) {
  for (const PoolRecord* record : table_.in_namespace(ns, [](const PoolRecord&) { return true; }))
    mark(*record, now);
}

void ChangeRouter::mark_all(api::Now now) {
  table_.for_each([&](const PoolRecord& record) { mark(record, now); });
}

void ChangeRouter::changed(const kube::Delta<api::InferencePool>& delta, api::Now now) {
  const kube::ObjectKey key = key_of(delta);
  if (!delta.after) {
    table_.remove(key);
    pools_changed(key.ns);
    metrics_.pool_gone(key.ns, key.name);
    mark_namespace(key.ns, now);  // a neighbour may no longer overlap
    return;
  }
  const api::InferencePool& pool = *delta.after;
  const PoolRecord* known = table_.find(key);
  if (known == nullptr || known->config_map != pool.publish.config_map_name)
    feeds_.list_named(key.ns, pool.publish.config_map_name);
  const bool selects_differently = table_.upsert(pool, feeds_.target_of(pool).get());
  PoolRecord& record = *table_.find(key);
  const bool under_way = writes_.changed({Written::kPool, key});
  record.list.read_all(pool, feeds_.store<ConfigMaps>());
  if (selects_differently) {
    pools_changed(key.ns);
    mark_namespace(key.ns, now);
  }
  // While a write of its status is under way, a change of nothing but its status is most likely that.
  const bool same_spec = delta.before && delta.before->uid == pool.uid &&
                         delta.before->generation == pool.generation &&
                         delta.before->deleting == pool.deleting;
  if (!under_way || !same_spec) mark(record, now);
}

void ChangeRouter::pools_changed(const std::string& ns) {
  feeds_.pools_changed(ns);
  survey_.pools_changed();
}

void ChangeRouter::look_at_nodes(api::Now now) {
  const pool::NodeSight::Change change = survey_.look(now.mono);
  if (change.all) return mark_all(now);
  if (change.pools.empty()) return;
  table_.for_each([&](const PoolRecord& record) {
    if (change.pools.contains(record.key.to_string())) mark(record, now);
  });
}

void ChangeRouter::wrote(const kube::Delta<api::InferencePool>& delta) {
  if (delta.after) table_.upsert(*delta.after, feeds_.target_of(*delta.after).get());
}

void ChangeRouter::changed(const kube::Delta<api::ConfigMap>& delta, api::Now now) {
  const kube::ObjectKey key = key_of(delta);
  const bool under_way = writes_.changed({Written::kConfigMap, key});
  const auto shard_in = [&key](const PoolRecord& r) { return api::shard_number(r.config_map, key.name); };
  for (PoolRecord* record :
       table_.in_namespace(key.ns, [&](const PoolRecord& r) { return shard_in(r).has_value(); })) {
    record->unlabelled.erase(key.name);
    if (under_way) continue;
    const auto pool = feeds_.store<Pools>().find(record->key);
    if (pool) record->list.read(*pool, *shard_in(*record), delta.after.get());
    mark(*record, now);
  }
}

void ChangeRouter::changed(const kube::Delta<api::Pod>& delta, api::Now now) {
  const api::Pod& pod = object_of(delta);
  record_release(delta, now);
  const bool labels_only =
      delta.before && delta.after && same_but_for_labels_of_ours(*delta.before, *delta.after);
  const bool says_nothing = labels_only && same_labels_of_ours(*delta.before, *delta.after);
  if (labels_only && !says_nothing && is_under_way(pod)) {
    // Our own write, ahead of its answer. A label of mere membership leaves the annotations of a drain alone:
    // if they change as well, someone else has been there, and the answer has the pod looked at.
    if (delta.before->drain_annotations() != delta.after->drain_annotations())
      writes_.changed({Written::kPod, {pod.ns, pod.name}});
    return;
  }
  writes_.changed({Written::kPod, {pod.ns, pod.name}});
  if (says_nothing) return;
  survey_.changed(delta);
  if (delta.before) mark_leaders_of(*delta.before, now);
  if (delta.after) mark_leaders_of(*delta.after, now);
  count_lost_drain(delta, now);
  record_binding(delta, now);
  if (delta.before) {
    for (PoolRecord* record : table_.matching(*delta.before)) concerns(*record, delta, now);
    for (PoolRecord* record : publishers_without_selector(*delta.before)) concerns(*record, delta, now);
  }
  const bool same_pools = delta.before && delta.after && delta.before->labels == delta.after->labels;
  if (!delta.after || same_pools) return;
  for (PoolRecord* record : table_.matching(*delta.after)) concerns(*record, delta, now);
}

// Whether a write is under way that gives the pod just the label it has.
bool ChangeRouter::is_under_way(const api::Pod& pod) const {
  const auto label = writes_.labels_under_way().find(pod.uid);
  return label != writes_.labels_under_way().end() && label->second == pod.serving.value_or(std::string());
}

void ChangeRouter::concerns(PoolRecord& record, const kube::Delta<api::Pod>& delta, api::Now now) {
  record_slip(record, delta, now);
  saw_event(record, object_of(delta).uid, delta.decoded_at);
  if (delta.before) {
    saw_event(record, delta.before->uid, delta.decoded_at);
    const bool same = delta.after && delta.after->uid == delta.before->uid;
    judge_listed(record, delta.before->uid, same ? delta.after.get() : nullptr, delta.decoded_at);
    if (!delta.after) record.list.forget_pod(delta.before->uid);
  }
  mark(record, now, record.list.withdrawal_due() ? kube::Lane::kUrgent : kube::Lane::kNormal);
}

// Who is unfit leaves the list before anything else is thought about.
void ChangeRouter::judge_listed(PoolRecord& record, const std::string& uid, const api::Pod* pod,
                                kube::TimePoint at) {
  if (!record.list.lists(uid)) return;
  const bool selectable = record.selector && record.selector_known;
  pool::PodVerdict verdict =
      pool::judge_endpoint(pod, selectable ? &*record.selector : nullptr, node_lookup());
  const bool stays = verdict.reason == pool::Withdrawal::kNotReady && record.may_panic;
  if (stays || verdict.reason == pool::Withdrawal::kNone) return record.list.fit(uid);
  saw_event(record, uid, at);
  record.list.unfit({uid, verdict.reason, std::move(verdict.detail), verdict.only_by_its_node});
}

// A standby withdraws nothing: what it sees is another's to act on.
void ChangeRouter::saw_event(PoolRecord& record, const std::string& uid, kube::TimePoint at) const {
  if (acting_) record.list.saw_event(uid, at);
}

void ChangeRouter::wrote_label(const kube::ObjectKey& pod, const PoolRecord* writer, api::Now now) {
  const auto object = feeds_.store<Pods>().find(pod);
  if (!object) return;
  releases_.saw(*object, now.mono);
  drain_ages_.saw(nullptr, *object, now);
  survey_.look_again_at(*object);  // the answer may tell what the watch has not told yet
  const auto mark_others = [&](const std::vector<PoolRecord*>& records) {
    for (const PoolRecord* record : records) {
      if (record != writer) mark(*record, now);
    }
  };
  mark_others(table_.matching(*object));
  mark_others(publishers_without_selector(*object));
}

// Pools that do not know whom they select, yet have, or had, the pod on their list: they must hear that it
// goes.
std::vector<PoolRecord*> ChangeRouter::publishers_without_selector(const api::Pod& pod) {
  return table_.in_namespace(pod.ns, [&pod](const PoolRecord& record) {
    return !record.deleting && !record.selector && record.list.ever_listed().contains(pod.uid);
  });
}

template <class Target>
bool ChangeRouter::target_changed(api::TargetKind kind, const kube::Delta<Target>& delta, api::Now now) {
  const kube::ObjectKey key = key_of(delta);
  writes_.changed({written(kind), key});
  if (says_nothing_new(delta)) return false;
  const auto targets = [&](const PoolRecord& r) { return r.target == key.name && r.target_kind == kind; };
  for (PoolRecord* record : table_.in_namespace(key.ns, targets)) {
    const auto pool = feeds_.store<Pools>().find(record->key);
    if (pool && table_.upsert(*pool, delta.after.get())) {
      pools_changed(key.ns);
      mark_namespace(key.ns, now);
    }
    mark(*record, now);
  }
  return true;
}

void ChangeRouter::changed(const kube::Delta<api::Deployment>& delta, api::Now now) {
  target_changed(api::TargetKind::kDeployment, delta, now);
}

void ChangeRouter::changed(const kube::Delta<api::StatefulSet>& delta, api::Now now) {
  if (target_changed(api::TargetKind::kStatefulSet, delta, now)) mark_pools_of(object_of(delta).uid, now);
}

void ChangeRouter::changed(const kube::Delta<api::LeaderWorkerSet>& delta, api::Now now) {
  target_changed(api::TargetKind::kLeaderWorkerSet, delta, now);
}

void ChangeRouter::changed(const kube::Delta<api::Rollout>& delta, api::Now now) {
  target_changed(api::TargetKind::kRollout, delta, now);
}

void ChangeRouter::changed(const kube::Delta<api::ReplicaSet>& delta, api::Now now) {
  if (!says_nothing_new(delta)) mark_pools_of(object_of(delta).uid, now);
}

void ChangeRouter::mark_leaders_of(const api::Pod& pod, api::Now now) {
  if (!pool::is_worker(*pod.labels)) return;
  for (const PodPtr& other : feeds_.group_of(pod)) {
    if (!pool::is_leader(*other->labels)) continue;
    for (const PoolRecord* record : table_.matching(*other)) mark(*record, now, kube::Lane::kUrgent);
  }
}

void ChangeRouter::mark_pools_of(std::string_view controller, api::Now now) {
  std::set<kube::ObjectKey> marked;
  for (const auto& pod : feeds_.pods_of_controller(controller)) {
    for (const PoolRecord* record : table_.matching(*pod)) {
      if (marked.insert(record->key).second) mark(*record, now);
    }
  }
}

void ChangeRouter::changed(const kube::Delta<api::Service>& delta, api::Now now) {
  const kube::ObjectKey key = key_of(delta);
  if (writes_.changed({Written::kService, key})) return;
  for (PoolRecord* record :
       table_.in_namespace(key.ns, [&](const PoolRecord& r) { return r.service == key.name; }))
    mark(*record, now);
}

void ChangeRouter::changed(const kube::Delta<api::EndpointSlice>& delta, api::Now now) {
  const bool under_way = writes_.changed({Written::kEndpointSlice, key_of(delta)});
  if (under_way || says_nothing_new(delta)) return;
  // Its label may be another pool's now.
  for (const auto& slice : {delta.before, delta.after}) {
    if (!slice) continue;
    if (const PoolRecord* record = table_.find({slice->ns, slice->pool})) mark(*record, now);
  }
}

void ChangeRouter::changed(const kube::Delta<api::Node>& delta, api::Now now) {
  if (says_nothing_new(delta)) return;  // heartbeats and the like
  nodes_.changed(delta);
  survey_.changed(delta);
  const std::string& name = object_of(delta).name;
  draining_nodes_.saw(name, delta.after ? pool::emptying(*delta.after) : std::nullopt, now.mono);
  draining_nodes_.ends(name, delta.after && !delta.after->deadline_taint.empty(), now.mono);
  if (!feeds_.settled()) return;  // the first list; everything is marked when it is in
  std::set<kube::ObjectKey> touched;
  const auto touch = [&](PoolRecord& record, const api::Pod& pod) {
    saw_event(record, pod.uid, delta.decoded_at);
    judge_listed(record, pod.uid, &pod, delta.decoded_at);
    if (touched.insert(record.key).second) mark(record, now, kube::Lane::kUrgent);
  };
  for (const PodPtr& pod : feeds_.pods_on_node(name)) {
    for (PoolRecord* record : table_.matching(*pod)) touch(*record, *pod);
    for (PoolRecord* record : publishers_without_selector(*pod)) touch(*record, *pod);
    mark_leaders_of(*pod, now);
  }
}

void ChangeRouter::changed(const kube::Delta<api::Autoscaler>& delta, api::Now now) {
  if (!says_nothing_new(delta)) mark_namespace(object_of(delta).ns, now);
}

void ChangeRouter::changed(const kube::Delta<api::DisruptionBudget>& delta, api::Now now) {
  const bool under_way = writes_.changed({Written::kBudget, key_of(delta)});
  if (!under_way && !says_nothing_new(delta)) mark_namespace(object_of(delta).ns, now);
}

void ChangeRouter::changed(const kube::Delta<api::GatePart>& delta, api::Now now) {
  if (says_nothing_new(delta)) return;
  // What slipped past another gate, or where there was none, says nothing of this one.
  table_.for_each([](PoolRecord& record) { record.slipped_deletes = {}; });
  mark_all(now);
}

void ChangeRouter::changed(const kube::Delta<api::ConsumerLease>& delta, api::Now now) {
  for (const kube::ObjectKey& pool : consumers_.changed(delta, now.mono, metrics_)) {
    if (table_.find(pool) != nullptr) queue_.add_after(pool, kConfirmationsTogether, now.mono);
  }
}

std::vector<ConsumerWatch::Silence> ChangeRouter::look_at_consumers(api::Now now) {
  ConsumerWatch::Hearing hearing = ConsumerWatch::Hearing::kBlind;
  if (feeds_.hears<ConsumerLeases>()) hearing = ConsumerWatch::Hearing::kHears;
  if (!feeds_.synced<ConsumerLeases>() || feeds_.out_of_reach<ConsumerLeases>())
    hearing = ConsumerWatch::Hearing::kRefused;
  std::vector<ConsumerWatch::Silence> silent = consumers_.look(hearing, now.mono);
  for (const ConsumerWatch::Silence& one : silent) {
    if (const PoolRecord* record = table_.find(one.pool)) mark(*record, now);
  }
  return silent;
}

std::optional<kube::TimePoint> ChangeRouter::next_deadline() const {
  std::optional<kube::TimePoint> earliest = survey_.next_deadline();
  kube::sooner(earliest, consumers_.next_deadline());
  return earliest;
}

void ChangeRouter::record_release(const kube::Delta<api::Pod>& delta, api::Now now) {
  const bool same = delta.before && delta.after && delta.before->uid == delta.after->uid;
  if (delta.before && !same) {
    releases_.forget(delta.before->uid);
    drain_ages_.forget(delta.before->uid);
  }
  if (!delta.after) return;
  releases_.saw(*delta.after, now.mono);
  drain_ages_.saw(same ? delta.before.get() : nullptr, *delta.after, now);
}

// It serves or drains, so the gate holds it. The Eviction API, taints and preemption mark a pod before they
// delete it.
void ChangeRouter::record_slip(PoolRecord& record, const kube::Delta<api::Pod>& delta, api::Now now) const {
  if (!delta.before || !delta.after || delta.after->uid != delta.before->uid) return;
  const api::Pod& before = *delta.before;
  if (!pool::is_held(before.serving) || !pool::is_active(before) || !delta.after->deletion_timestamp ||
      delta.after->disruption_target)
    return;
  const auto wanted = feeds_.wanted_by(*before.controller);
  if (!wanted || *delta.after->controller != *before.controller) return;
  // The pod is one of them, and a withdrawal waits for this: mostly their number alone says that the pod was
  // none too many.
  const auto& pods = feeds_.pods_of_controller(*before.controller);
  if (static_cast<std::int32_t>(pods.size()) <= *wanted) return;
  const auto left =
      std::count_if(pods.begin(), pods.end(), [](const PodPtr& pod) { return pool::is_active(*pod); });
  if (left >= *wanted) record.slipped_deletes.saw(before.uid, now.mono);
}

// Pods of a first list were bound whenever that was, and so was one that is not new when it is first seen:
// the watch had a gap.
void ChangeRouter::record_binding(const kube::Delta<api::Pod>& delta, api::Now now) {
  const bool same = delta.before && delta.after && delta.before->uid == delta.after->uid;
  if (delta.before && !same) draining_nodes_.forget(delta.before->uid);
  if (!delta.after || delta.after->node->empty()) return;
  const bool is_new_there =
      same ? delta.before->node->empty() : now.wall - delta.after->created < pool::DrainingNodes::kMargin;
  if (is_new_there && feeds_.settled()) draining_nodes_.bound(delta.after->uid, *delta.after->node, now.mono);
}

// It went while it drained: deleted by a person, evicted without asking, failed, or its node is gone.
void ChangeRouter::count_lost_drain(const kube::Delta<api::Pod>& delta, api::Now now) {
  if (!acting_ || !delta.before || !pool::is_active(*delta.before)) return;
  const bool goes = !delta.after || delta.after->uid != delta.before->uid || !pool::is_active(*delta.after);
  if (!goes) return;
  const auto state = pool::drain_state(*delta.before);
  if (std::holds_alternative<pool::Draining>(state))
    metrics_.drained("lost", drain_ages_.age(delta.before->uid, pool::started(state), now));
}

}  // namespace poolwarden::control
