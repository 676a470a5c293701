// What is told of pools as Kubernetes Events: people look at them first.
//
// A withdrawal is told on its pool, and on its pod unless that was deleted: then it is gone, and Kubernetes'
// own Events say why. When a pool loses many pods in a short time, the first have an Event each, and the
// others share one Event a minute. Events must not cost more than what they tell of.
//
// Pure: time is an argument; one call is in flight at a time. Owned by the loop.
#pragma once

#include "control/effects.h"
#include "control/pool_table.h"
#include "control/write_dispatcher.h"
#include "kube/event_recorder.h"
#include "pool/plan.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace poolwarden::control {

class PoolEvents {
 public:
  explicit PoolEvents(std::string instance) : recorder_(std::move(instance)) {}

  void pool(const PoolRecord& record, const pool::EventNote& event, api::Now now);
  // Of a pod's coming or going, on both.
  void pod(const PoolRecord& record, const std::string& pod, const std::string& uid,
           const pool::EventNote& event, api::Now now);
  // A withdrawn pod: `event` says so; `reason` is what many are counted by.
  void withdrawn(const PoolRecord& record, const pool::EndpointChange& change, const pool::EventNote& event,
                 api::Now now);

  // After everything else: Events explain, they must never delay.
  void post(WriteDispatcher& writes, api::Now now, Effects& out);
  void posted(const EventWrite& write, const kube::Result<std::string>& answer, kube::TimePoint now);
  std::optional<kube::TimePoint> next_deadline() const;
  const kube::EventStats& stats() const { return recorder_.stats(); }

 private:
  // Withdrawals of one pool that are yet to be told together.
  struct Storm {
    PoolName pool;
    base::TokenBucket one_by_one{std::chrono::minutes(1), 4};
    std::map<std::string, std::int32_t> by_reason;
    std::string example;
    kube::TimePoint due{};
    kube::TimePoint last{};
  };

  void record(kube::EventTarget target, const pool::EventNote& event, api::Now now);
  void tell_storms(api::Now now);

  kube::EventRecorder recorder_;
  bool in_flight_ = false;
  std::map<kube::ObjectKey, Storm> storms_;
};

}  // namespace poolwarden::control
