// From the caches to what one decision is shown: everything it may know of one pool, at one moment.
//
// The snapshot borrows from the caches, and from the pool's record: it is good until either changes. Building
// it changes nothing but the clock of surplus pods, which has to be looked at to run, and what is remembered
// of withdrawals that consumers are to confirm.
//
// Owned by the loop.
#pragma once

#include "control/change_router.h"
#include "control/engine_loads.h"
#include "control/feed_table.h"
#include "control/pool_table.h"
#include "control/write_dispatcher.h"
#include "pool/gate.h"
#include "pool/plan.h"
#include "pool/replica_set_view.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace poolwarden::control {

// Whether deletes are held by the gate: looked up in the cluster, or as told.
enum class DrainGate : std::uint8_t { kAuto, kOn, kOff };

class SnapshotBuilder {
 public:
  SnapshotBuilder(DrainGate drain_gate, pool::ListLimits list_limits, const FeedTable& feeds,
                  PoolTable& table, const EngineLoads& loads, const WriteDispatcher& writes,
                  ChangeRouter& router)
      : drain_gate_(drain_gate),
        list_limits_(list_limits),
        feeds_(feeds),
        table_(table),
        loads_(loads),
        writes_(writes),
        router_(router) {}

  // Also notes in the record at which revisions pods that go were off the lists.
  pool::Snapshot build(PoolRecord& record, const api::InferencePool& pool, bool pods_behind, api::Now now);
  pool::GateState gate() const;
  // Shards of the pool's list that say they were made from newer pods than the caches have.
  struct NewerShard {
    std::int32_t shard = 1;
    std::string pods_version;
  };
  std::vector<NewerShard> newer_shards(const PoolRecord& record) const;
  // Whether so many nodes are unheard of that nobody is withdrawn for it.
  bool misses_nodes(const PoolRecord& record) const { return router_.unseen_nodes(record).has_value(); }
  // From which pods a write over this ConfigMap should say the list was made: what was taken out by older
  // ones stays the list of the newer ones.
  const std::string& pods_version_over(const PoolRecord& record, const api::ConfigMap& config_map) const;
  // The first few of the other pools that a pod serves, or may: of a pool that does not know whom it selects,
  // if the pod was on its list.
  std::vector<const api::InferencePool*> other_pools_of(const api::InferencePool& pool,
                                                        const std::string& pod, const std::string& uid);
  // Pools of a namespace that do not know whom they select, and whether one of them may have selected the
  // pod.
  std::vector<const PoolRecord*> undecided_pools(const std::string& ns);
  // A worker whose leader is a pool's to look after, and with it the worker's label.
  bool is_held_member(const api::Pod& pod) const;
  bool may_be_of(const std::vector<const PoolRecord*>& undecided, const api::Pod& pod) const;
  void sweep();

 private:
  // Of a shard, also one that our watch does not show as it lacks our label; null if there is none.
  const api::ConfigMap* config_map(const PoolRecord& record, std::int32_t shard) const;
  // Visits the ConfigMaps that the list has, or should have, from the first.
  template <class Visit>
  void for_each_shard(const PoolRecord& record, Visit visit) const;
  void add_list(const PoolRecord& record, pool::Snapshot& seen) const;
  void add_target(const PoolRecord& record, pool::Snapshot& seen) const;
  void add_pods(const PoolRecord& record, pool::Snapshot& seen);
  void add_groups(pool::Snapshot& seen) const;
  using PodsPerNode = std::map<std::string, std::int32_t>;
  bool stays_on_its_node(const api::Pod& pod) const;
  std::int32_t neighbours(const api::Pod& pod, PodsPerNode& known) const;
  void add_marked(const PoolRecord& record, pool::Snapshot& seen);
  // Its list does, or a slice of its Service that is ours.
  bool says_to_use(const PoolRecord& other, const api::Pod& pod) const;
  void add_overlap(const PoolRecord& record, pool::Snapshot& seen);
  // Other pools that have the pods with a set of labels.
  struct Sharers {
    std::vector<const PoolRecord*> first;  // by name
    std::size_t overlapping = 0;           // all of them, if this pool selects those pods too
    bool led_by_another = false;
    bool decided_by_another = false;
    std::optional<api::DrainSpec> drain;  // as the pool that asks for the most has it
  };
  Sharers sharers_of(const PoolRecord& record, const api::Pod& pod);
  std::optional<api::DrainSpec> longer_drain(std::optional<api::DrainSpec> drain,
                                             const PoolRecord& other) const;
  void add_confirmations(PoolRecord& record, pool::Snapshot& seen);
  std::vector<const PoolRecord*> lists_of(const PoolRecord& record, const api::Pod& pod);
  void add_slices(const PoolRecord& record, pool::Snapshot& seen) const;
  void add_autoscalers(const PoolRecord& record, pool::Snapshot& seen) const;
  void add_sets(const PoolRecord& record, pool::Snapshot& seen, kube::TimePoint now);
  pool::ReplicaSetView view_of(const api::ReplicaSet& set, std::vector<const api::Pod*> pods,
                               const PoolRecord& record, const pool::Snapshot& seen, kube::TimePoint now);
  void add_budgets(const PoolRecord& record, pool::Snapshot& seen) const;
  void add_errors(const PoolRecord& record, pool::Snapshot& seen) const;

  DrainGate drain_gate_;
  pool::ListLimits list_limits_;
  const FeedTable& feeds_;
  PoolTable& table_;
  const EngineLoads& loads_;
  const WriteDispatcher& writes_;
  ChangeRouter& router_;
  pool::SurplusClock surplus_;
};

}  // namespace poolwarden::control
