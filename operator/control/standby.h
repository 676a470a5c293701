// What a replica that does not lead does: take endpoints off lists for a leader that does not.
//
// pool/standby_withdrawal.h says whom, standby_withdrawals.h says when. Here is what they are told, and what
// is sent. It takes its pools from the queue of those that changed, which nobody else works on meanwhile.
//
// Promises: it writes nothing but lists with fewer endpoints. It writes nothing at all while a watch of
// pools, pods or ConfigMaps is not open: what was seen before does not count then.
//
// Pure: time is an argument. Owned by the loop.
#pragma once

#include "control/change_router.h"
#include "control/effects.h"
#include "control/feed_table.h"
#include "control/pool_table.h"
#include "control/standby_withdrawals.h"
#include "control/write_dispatcher.h"
#include "pool/standby_withdrawal.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace poolwarden::control {

class Standby {
 public:
  // A step looks at so many endpoints.
  Standby(FeedTable& feeds, PoolTable& table, ChangeRouter& router, WriteDispatcher& writes, PoolQueue& queue,
          std::size_t step_endpoints)
      : feeds_(feeds),
        table_(table),
        router_(router),
        writes_(writes),
        queue_(queue),
        step_endpoints_(step_endpoints) {}

  // `wanted`: this process runs and does not lead.
  void step(bool wanted, api::Now now, Effects& out);
  // To be told before the answer is taken in.
  void answered(const PendingCall& call, const kube::Result<Answer>& answer, kube::TimePoint now);
  std::optional<kube::TimePoint> next_deadline() const;
  // Forgets pools that are gone.
  void sweep();

 private:
  std::vector<pool::UnfitEndpoint> unfit(PoolRecord& record, std::int32_t shard,
                                         const api::InferencePool& pool, const api::ConfigMap* map) const;
  void look_at_marked(api::Now now);
  void look(const kube::ObjectKey& key, api::Now now);
  void look_at(std::int32_t shard, PoolRecord& record, const api::InferencePool& pool, api::Now now);
  void write(const ListKey& key, api::Now now, Effects& out);

  FeedTable& feeds_;
  PoolTable& table_;
  ChangeRouter& router_;
  WriteDispatcher& writes_;
  PoolQueue& queue_;
  std::size_t step_endpoints_;
  StandbyWithdrawals withdrawals_;
  bool acts_ = false;
};

}  // namespace poolwarden::control
