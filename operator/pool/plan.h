// What one pass over a pool reads and what it wants done: the whole vocabulary between deciding and doing.
//
// Pure values. A Snapshot borrows from the caches and is valid for one call of decide(). A Plan is what
// should be true, expressed as the fewest writes that make it so; a pool at rest has an empty Plan.
#pragma once

#include "api/inference_pool.h"
#include "api/objects.h"
#include "api/pod.h"
#include "api/writes.h"
#include "pool/drain.h"
#include "pool/drain_ages.h"
#include "pool/draining_nodes.h"
#include "pool/engine_load_tracker.h"
#include "pool/list_consumers.h"
#include "pool/node_sight.h"
#include "pool/releases.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::pool {

template <class T>
const T* nothing() {
  static const T kNothing{};
  return &kNothing;
}

// How sure we are about an object that is not in its cache.
enum class Visibility : std::uint8_t {
  kPresent,  // the pointer beside it is set
  kAbsent,   // the cache has synced and it is not there
  kUnknown,  // we may not read this kind (RBAC), or its cache has not synced: absence means nothing
};

// A shard of a list as it was last read or written: parsed once, and not in each pass.
struct PublishedDocument {
  std::optional<api::EndpointSet> set;  // nothing: the document cannot be read
  std::vector<std::string> edited;      // what in its ConfigMap is not as we write it
};

// A shard of the published list, as the cluster has it.
struct ListShard {
  const api::ConfigMap* config_map = nullptr;  // of the name it has, whoever owns it; null: there is none
  // What read_published() says of it, where that is known already. Null: decide() reads it.
  const PublishedDocument* published = nullptr;
  // The ready endpoints that it had when it could last be read: uid -> pod. Null: not known.
  const std::map<std::string, std::string>* remembered = nullptr;
  // For what is written of it: that of Snapshot::pods, or of the newer ones that it was made from.
  std::string pods_version;
};

// How large a shard becomes by those who join it, and how many a list may have.
struct ListLimits {
  std::size_t shard_endpoints = 1000;
  std::int32_t shards = api::kMaxShards;
};

// A ReplicaSet that has pods in the pool.
struct ReplicaSetView {
  const api::ReplicaSet* set = nullptr;
  bool superseded = false;  // its Deployment has a newer one, which wants pods
  // It stands for all of the pool's target, which has been scaled since it was last seen.
  bool outdated = false;
  // It has had too many pods for longer than its controller takes to delete them: something holds them.
  bool held = false;
  // Its active pods that are not in the pool: all that count for it, and those it would take before any
  // other, as nothing holds them.
  std::int32_t pods_outside_pool = 0;
  std::int32_t unready_outside_pool = 0;
  std::int32_t draining_outside_pool = 0;
};

// A StatefulSet that has pods in the pool.
struct StatefulSetView {
  const api::StatefulSet* set = nullptr;
  std::map<std::string, DrainReason> leaving;  // by UID: its controller is about to delete them
  // Some have been about to go for longer than its controller takes to delete them: something holds them.
  bool held = false;
};

// What a condition says beside what follows from the pool's own state.
struct Remark {
  std::string_view condition;  // Degraded, or DisruptionSafe, which is False for it
  std::string reason;
  std::string message;
};

// The policy by which the API server holds deletes of serving pods.
enum class Gate : std::uint8_t {
  kMissing,
  kEdited,  // it is there, and does not do what it should
  kUnseen,  // we may not look
  kPresent,
};

// Whether those who follow the lists of a pod have acted on its withdrawal.
struct WithdrawalConfirmation {
  bool by_consumers = false;  // of each of its lists a live consumer is known: else only time tells
  std::optional<AwaitedConsumer> awaits;  // the slowest of those that have yet to confirm
};

// Whether EndpointSlices can be seen. Unlike Visibility this is about the kind.
enum class SliceSight : std::uint8_t {
  kSeen,
  kNotYet,  // the first list is not in
  kRefused,
};

struct Snapshot {
  const api::InferencePool* pool = nullptr;  // never null
  Visibility target_visibility = Visibility::kAbsent;
  const api::Workload* target = nullptr;
  // Targets of its kind are about to be read for the first time: what is not known of it soon is.
  bool target_awaited = false;
  // All pods of the namespace that match the pool's selector, or that a withdrawal took out of it this
  // very moment, sorted by name.
  std::vector<const api::Pod*> pods;
  // Of the cache that `pods` are from. `pods_behind`: the published list was made from newer ones, by another
  // operator before us. Then a pod we know may be unfit by now, and one we do not know may be there.
  std::string pods_version;
  bool pods_behind = false;
  // The workers of those of `pods` that lead a group, by UID of the leader.
  std::map<std::string, std::vector<const api::Pod*>> groups;
  // The list's shards that there are, or should be: the first always.
  std::vector<ListShard> list = std::vector<ListShard>(1);
  std::int32_t list_counted = 1;  // how many the first said there are, when it could last be read
  ListLimits list_limits;
  // For how long the pool has not been able to decide about its pods, as far as this process knows.
  std::chrono::nanoseconds on_hold_for{0};
  // False while pods or ConfigMaps cannot be read (RBAC). Then nothing is published, labelled or scaled, and
  // only status says so. `watch_errors` names what is missing and the fix.
  bool can_see = true;
  std::vector<std::string> watch_errors;
  Visibility service_visibility = Visibility::kAbsent;
  const api::Service* service = nullptr;  // of the pool's service name, whoever owns it
  // Slices that carry the pool's label and kSkipMirrorLabel, whoever manages them, sorted by name.
  SliceSight slice_sight = SliceSight::kSeen;
  std::vector<const api::EndpointSlice*> slices;
  // As NodeLookup. Null while nodes cannot be read: then no pod is withdrawn for its node, and zones are left
  // out.
  std::function<const api::Node*(const api::Pod& pod)> node;
  // How many other pods of pools stay on the pod's node. Null: nobody counts them.
  std::function<std::int32_t(const api::Pod& pod)> neighbours;
  // While so many nodes are not heard of that this is no sign of illness.
  std::optional<UnseenNodes> unseen_nodes;
  bool sees_cordons = true;  // or may not, or not any more: `node` tells what was seen last
  const DrainingNodes* draining_nodes = nothing<DrainingNodes>();  // never null, and so below
  const Releases* releases = nothing<Releases>();
  const DrainAges* drain_ages = nothing<DrainAges>();
  // HorizontalPodAutoscalers of the namespace that scale the pool, and those that scale its target. Names for
  // a person, and so the first few of each.
  std::vector<std::string> pool_autoscalers;
  std::vector<std::string> target_autoscalers;
  Gate gate = Gate::kMissing;
  std::string gate_difference;                 // kEdited: in which way
  std::vector<ReplicaSetView> replica_sets;    // sorted by UID
  bool sees_replica_sets = true;               // or may not: then no surplus is ever seen
  std::vector<StatefulSetView> stateful_sets;  // sorted by UID
  bool sees_stateful_sets = true;
  Visibility budget_visibility = Visibility::kAbsent;
  const api::DisruptionBudget* budget = nullptr;  // of the name the pool's budget has, whoever owns it
  std::vector<std::string> other_budgets;         // names of others that select a pod of it, the first few
  const EngineLoadTracker* loads = nothing<EngineLoadTracker>();  // never null, and so below
  // Serving labels that are being written, by UID.
  const std::map<std::string, std::string>* labels_under_way = nothing<std::map<std::string, std::string>>();
  // Whether a UID is that of a ready endpoint of the list as it was last acknowledged.
  std::function<bool(const std::string& uid)> is_listed = [](const std::string&) { return false; };
  // Who follows the pool's list, and what they are compared with.
  const ListConsumers* consumers = nothing<ListConsumers>();
  ListRevisions list_revisions;
  // By UID, of pods that drain or finish, and are on no list. Those that are not here: nobody confirms.
  std::map<std::string, WithdrawalConfirmation> confirmations;
  // UIDs of pods here that another pool's list, or a slice of this pool's, tells to use.
  std::set<std::string> listed_by_others;
  std::set<std::string>
      led_by_others;  // UIDs of pods whose drains another pool decides, which selects them too
  // By UID, how pods drain otherwise than the pool says. Those that other pools select, too: in all things as
  // the pool that asks for the most. Those on a node that ends within moments: no longer than that.
  std::map<std::string, api::DrainSpec> shared_drains;
  std::chrono::seconds max_drain_timeout = std::chrono::hours(24);  // whatever a pool asks for
  // Names of pools of the namespace that share a pod with it: the first by name, and how many more there are.
  std::vector<std::string> overlapping_pools;
  std::size_t more_overlapping_pools = 0;
  std::set<std::string> pods_of_others;     // uids of pods here that another live pool selects too
  std::set<std::string> decided_by_others;  // of those, whom another pool can decide about

  const std::vector<const api::Pod*>& workers_of(const api::Pod& leader) const {
    const auto found = groups.find(leader.uid);
    return found == groups.end() ? *nothing<std::vector<const api::Pod*>>() : found->second;
  }

  const api::DrainSpec& drain_of(const api::Pod& pod) const {
    const auto shared = shared_drains.find(pod.uid);
    return shared == shared_drains.end() ? pool->drain : shared->second;
  }

  // Null: of its withdrawal nobody is awaited, or will confirm.
  const WithdrawalConfirmation* confirmation_of(const api::Pod& pod) const {
    const auto found = confirmations.find(pod.uid);
    return found == confirmations.end() ? nullptr : &found->second;
  }
  // The slowest consumer that has yet to confirm that the pod is withdrawn. Null: none is awaited.
  const AwaitedConsumer* awaited_for(const api::Pod& pod) const {
    const WithdrawalConfirmation* confirmation = confirmation_of(pod);
    return confirmation != nullptr && confirmation->awaits ? &*confirmation->awaits : nullptr;
  }

  // What its pool gives it, and for how long it drains or finishes at most.
  std::chrono::seconds asked_timeout(const api::Pod& pod) const {
    return std::min(drain_of(pod).timeout, max_drain_timeout);
  }
  std::chrono::seconds drain_limit(const api::Pod& pod) const {
    return drain_of(pod).on_timeout == api::OnTimeout::kKeep ? max_drain_timeout : asked_timeout(pod);
  }

  // Whether its drain is this pool's to decide.
  bool leads(const api::Pod& pod) const { return !led_by_others.contains(pod.uid); }
  // Its label is as its pod has it: none is under way.
  bool is_written(const api::Pod& pod) const { return !labels_under_way->contains(pod.uid); }

  // What the operator remembers beyond the cluster's own state; empty after a restart, and then rebuilt.
  std::optional<api::Agreement> agreed;  // newer than status.syncedReplicas while that write is due
  // A scale or adopt write of ours is under way, or acknowledged but not yet in the caches. What the two
  // sides say now is older than what we wrote, and acting on it would undo it. Replicas are left alone.
  bool replicas_unsettled = false;
  // Two writers undo each other: for how long nothing is to be carried over.
  std::chrono::nanoseconds replicas_wait{0};
  std::int64_t last_revision = 0;  // highest revision acknowledged
  // Uids of live pods that have been endpoints; not null.
  const std::set<std::string>* once_published = nullptr;
  // Failures that only a person can mend, as the API server worded them. Cleared by a success.
  std::string config_map_error;         // last failed write of a ConfigMap of the list
  std::string config_map_error_reason;  // "NameTaken", "Forbidden", "WriteFailed"
  std::string config_map_error_name;    // which one
  std::string service_error;
  std::string slices_error;
  std::string budget_error;
  std::string scale_error;
  std::string labels_error;  // of one of the pods whose label was refused
  // Kinds that were read once and may not be any more, as the API server worded it.
  std::vector<std::string> stale;
  std::vector<std::string> dropped_fields;  // of status, which the installed CRD does not know
  std::vector<Remark> remarks;              // what was seen to happen between passes
};

// Why a pod is not an endpoint. One reason each, the most certain first.
enum class Withdrawal : std::uint8_t {
  kNone,
  kDeleted,
  kTerminating,
  kFailed,
  kSucceeded,
  kEvicted,
  kNodeGone,
  kDisruptionTarget,
  kNotReady,
  kNoReadyCondition,
  kReadinessGate,
  kNoAddress,
  kNotScheduled,
  kRelabelled,
  kListFull,
  kNodeNotReady,
  kNodeTaint,
  kGroupNotReady,
  kPreview,
  kDraining,
};

std::string_view to_string(Withdrawal reason);  // "Terminating", as status and events show it

struct PodVerdict {
  const api::Pod* pod = nullptr;
  const api::Node* node = nullptr;        // null: not known, or gone
  Withdrawal reason = Withdrawal::kNone;  // kNone: it is an endpoint
  std::string detail;                     // "readiness gate example.com/lb is not True"
  bool fit = false;                       // but for its drain it would be an endpoint
  bool in_panic = false;                  // and only because too few are ready: it is not
  // Its kubelet's last word was that it is ready: what is held against it, or would be if nodes were heard
  // of, is said of its node.
  bool only_by_its_node = false;
  // The pod of its group, mostly itself, whose node is being emptied, and that node. Null: none is.
  const api::Pod* on_emptied = nullptr;
  const api::Node* emptied = nullptr;
  // Its target's traffic goes to pods of another template, of which one is fit: it has to go.
  bool superseded = false;
  DrainState before;                      // as its label and annotations have it
  DrainState drain;                       // as it should be now
  DrainResult step = DrainResult::kNone;  // what leads from the one to the other
  std::optional<DrainReason> cause;       // of its drain as of now; that began for another, maybe
  std::string why;                        // kStarted: why this one
  std::string waits;                      // what keeps it, though its node is being emptied
};

// A change of the published list, for logs, events and the latency metric, once the write is acknowledged.
struct EndpointChange {
  std::string pod;
  std::string uid;
  std::string ip;
  Withdrawal reason = Withdrawal::kNone;  // kNone: admitted
  std::string detail;
  bool again = false;  // admitted after having been withdrawn
};

struct EventNote {
  std::string reason;
  bool warning = false;
  std::string message;
};

struct PublishEndpoints {
  api::ConfigMapWrite write;
  std::vector<EndpointChange> changes;
  bool undo = false;               // someone else edited or deleted what we own
  std::optional<EventNote> event;  // OverwriteUndone, with what had been changed; set with `undo`
};

// A pod's engine that should be asked for its load.
struct WantedReading {
  std::string uid;
  std::string name;
  std::string ip;
  bool withdrawn = false;  // see EngineLoadTracker
  std::chrono::seconds poll{1};
  std::vector<std::int32_t> active_ports = {};  // of the pod, as api::Pod has them
  std::chrono::seconds settle{1};
  bool confirmed = true;
};

// A step of a drain, to tell of once its label is written.
struct DrainNote {
  DrainResult step = DrainResult::kNone;
  EventNote event;
  std::chrono::seconds took{0};
};

struct Plan {
  std::optional<PublishEndpoints> publish;        // of the list's first shard
  std::vector<PublishEndpoints> publish_shards;   // of the others
  std::optional<api::ScaleWrite> scale_target;    // pool -> target
  std::optional<EventNote> scale_event;           // to record when that write is acknowledged, and so below
  std::optional<api::AdoptWrite> adopt_replicas;  // target -> pool
  std::optional<EventNote> adopt_event;
  std::optional<api::ServiceWrite> service;
  std::optional<EventNote> service_event;  // OverwriteUndone: a hand edit of our Service was put back
  std::vector<api::EndpointSliceWrite> slices;
  // The Service is on its way to or from slices of ours: the answer to a write of one leads to more.
  bool slices_switch = false;
  std::vector<api::PodLabelWrite> pod_labels;
  std::map<std::string, DrainNote> drain_notes;  // by UID, of pods in pod_labels
  std::optional<api::BudgetWrite> budget;
  std::vector<WantedReading> readings;
  // Of those under way, and of those whose ReplicaSet is yet to take what was released.
  std::optional<std::chrono::seconds> oldest_drain;
  // How many replicas more than the pool's its target should have, while replacements must come first.
  std::int32_t surge = 0;
  // When to look again at the latest, whatever happens.
  std::optional<std::chrono::nanoseconds> look_again;
  std::optional<api::PoolStatus> status;  // set only when it differs from the pool's
  // Replicas on which both sides agree now; to remember until status says so too. A scale or adopt write
  // still to come is not agreed yet: remember it when it is acknowledged.
  std::optional<api::Agreement> agreed;

  void look_again_in(std::chrono::nanoseconds wait) {
    look_again = look_again ? std::min(*look_again, wait) : wait;
  }
  bool empty() const {
    return !publish && publish_shards.empty() && !scale_target && !adopt_replicas && !service &&
           slices.empty() && pod_labels.empty() && !budget && !status;
  }
};

}  // namespace poolwarden::pool
