// One look at one pool: from the caches to the writes that make true what should be.
//
// withdraw() is the short way: a pod that is seen to be unfit leaves the list, and nothing else is decided.
// pass() is the whole decision, and begins with the list as well. What it wants besides is sent once the list
// says what it should. A drain's label and a new count of replicas are sent at once. The rest (the Service,
// the budget, labels of mere membership, status) is sent as WriteDispatcher's lowest lane lets it.
//
// Pure: time is an argument. Owned by the loop.
#pragma once

#include "control/change_router.h"
#include "control/controller_metrics.h"
#include "control/engine_loads.h"
#include "control/feed_table.h"
#include "control/pool_table.h"
#include "control/snapshot_builder.h"
#include "control/write_dispatcher.h"
#include "kube/random.h"
#include "pool/orphans.h"
#include "pool/plan.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace poolwarden::control {

class Reconciler {
 public:
  Reconciler(FeedTable& feeds, PoolTable& table, SnapshotBuilder& snapshots, EngineLoads& loads,
             WriteDispatcher& writes, PoolQueue& queue, ControllerMetrics& metrics, kube::RandomSource random,
             kube::Duration resync)
      : feeds_(feeds),
        table_(table),
        snapshots_(snapshots),
        loads_(loads),
        writes_(writes),
        queue_(queue),
        metrics_(metrics),
        random_(std::move(random)),
        resync_(resync) {}

  // Sends the shards that have unfit endpoints without those, if that is all it takes. False: one could not
  // be sent, and the pool needs a pass.
  bool withdraw(PoolRecord& record, const api::InferencePool& pool, api::Now now, Effects& out);
  // Decides, and sends the list. What else is wanted waits for write_rest(); nothing if the pool is to be
  // looked at later.
  std::optional<pool::Plan> pass(PoolRecord& record, const api::InferencePool& pool, api::Now now,
                                 Effects& out);
  void write_rest(PoolRecord& record, const api::InferencePool& pool, pool::Plan& plan, api::Now now,
                  Effects& out);
  // Our label or annotations on pods that no pool selects. Namespaces take turns.
  void release_orphans(api::Now now, Effects& out);
  std::optional<kube::TimePoint> next_deadline() const { return orphans_due_; }
  // What a pass over the pool costs, in pods.
  std::size_t cost(const PoolRecord& record) const {
    return feeds_.pods_of_pool(record.key.to_string()).size();
  }

 private:
  // The orphans of a namespace.
  struct Orphanage {
    pool::Orphans orphans;
    kube::TimePoint next_look{};
    std::string last;         // the pod at which the last look ended
    std::size_t in_vain = 0;  // so many have been looked at since the last write
  };

  bool withdraw_from(std::int32_t shard, PoolRecord& record, const api::InferencePool& pool, api::Now now,
                     Effects& out);
  void withdraw_from_slices(PoolRecord& record, const api::InferencePool& pool, api::Now now, Effects& out);
  void write_slices(PoolRecord& record, const pool::Plan& plan, api::Now now, Effects& out);
  // `content`: as publish() has it.
  void write_slice(PoolRecord& record, const api::EndpointSliceWrite& slice,
                   std::optional<std::size_t> content, bool leads_on, api::Now now, Effects& out);
  bool has_to_wait(PoolRecord& record, api::Now now);
  void publish_list(PoolRecord& record, const api::InferencePool& pool, pool::Plan& plan, api::Now now,
                    Effects& out);
  // `content`: of the list, as WriteThrottle tells lists apart; nothing for one that undoes nothing.
  void publish(PoolRecord& record, const api::InferencePool& pool, pool::PublishEndpoints what,
               std::optional<std::size_t> content, api::Now now, Effects& out);
  bool is_behind(PoolRecord& record, kube::TimePoint now);
  void want_loads(const PoolRecord& record, const api::InferencePool& pool, const pool::Plan& plan,
                  api::Now now);
  void come_back(PoolRecord& record, std::optional<kube::Duration> look_again, api::Now now);
  void count_endpoints(const PoolRecord& record, const pool::Snapshot& seen, const pool::Plan& plan);
  void count_consumers(const PoolRecord& record, const pool::Snapshot& seen);
  void forget_needless_errors(PoolRecord& record, const pool::Plan& plan, api::Now now);
  void write_replicas(PoolRecord& record, const api::InferencePool& pool, pool::Plan& plan, api::Now now,
                      Effects& out);
  void write_service(PoolRecord& record, const api::InferencePool& pool, pool::Plan& plan, api::Now now,
                     Effects& out);
  void write_budget(const PoolRecord& record, const api::InferencePool& pool, const pool::Plan& plan,
                    api::Now now, Effects& out);
  void write_labels(const PoolRecord& record, const pool::Plan& plan, WriteLane lane, api::Now now,
                    Effects& out);
  void write_status(PoolRecord& record, const api::InferencePool& pool, pool::Plan& plan, api::Now now,
                    Effects& out);
  bool may_write_status(PoolRecord& record, const api::InferencePool& pool, const api::PoolStatus& wanted,
                        api::Now now);
  void release_members(api::Now now, Effects& out);
  std::size_t release_orphans_of(const std::string& ns, Orphanage& here, api::Now now, Effects& out);
  bool release(const api::Pod& pod, const Orphanage& here, api::Now now, Effects& out);
  bool send_release(const api::Pod& pod, const api::PodLabelWrite& write, api::Now now, Effects& out);
  void look_at_orphans_by(kube::TimePoint when);
  // True if it was sent; otherwise the pool is looked at again when it may be.
  bool send(WriteRequest request, api::Now now, Effects& out);

  FeedTable& feeds_;
  PoolTable& table_;
  SnapshotBuilder& snapshots_;
  EngineLoads& loads_;
  WriteDispatcher& writes_;
  PoolQueue& queue_;
  ControllerMetrics& metrics_;
  kube::RandomSource random_;
  kube::Duration resync_;
  std::map<std::string, Orphanage> orphanages_;  // by namespace
  std::string last_orphanage_;                   // the namespace that had its turn last
  std::optional<kube::TimePoint> orphans_due_;
  kube::TimePoint next_member_look_{};
  std::size_t next_member_ = 0;  // counted round
};

}  // namespace poolwarden::control
