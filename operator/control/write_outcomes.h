// What the answers to writes mean: for the caches, for what is remembered of a pool, for people.
//
// A pool is looked at again only if that may lead to something. That is so after a failure, after its list
// was written, and after a step of a drain. It is also so where someone else has changed the object
// meanwhile. The answer to a label of mere membership, to a Service or to figures in status leads to nothing.
//
// Pure: time is an argument. Owned by the loop.
#pragma once

#include "control/change_router.h"
#include "control/controller_metrics.h"
#include "control/effects.h"
#include "control/feed_table.h"
#include "control/pool_events.h"
#include "control/pool_table.h"
#include "control/write_dispatcher.h"

#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::control {

class WriteOutcomes {
 public:
  WriteOutcomes(FeedTable& feeds, PoolTable& table, ChangeRouter& router, WriteDispatcher& writes,
                PoolEvents& events, ControllerMetrics& metrics)
      : feeds_(feeds), table_(table), router_(router), writes_(writes), events_(events), metrics_(metrics) {}

  void take(AnsweredCall answered, kube::Result<Answer> answer, api::Now now, Effects& out);
  static std::string_view kind_of(const PendingCall& call);  // as the metrics name it

 private:
  struct Answered {
    AnsweredCall& answered;
    PoolRecord* record;  // null: the pool is gone
    Answer& answer;
    api::Now now;
    Effects& out;
    PendingCall& call() const { return answered.call; }
  };
  // Each returns whether the pool should be looked at again.
  bool succeeded(const Answered& in, PublishWrite& write);
  bool succeeded(const Answered& in, ScaleTargetWrite& write);
  bool succeeded(const Answered& in, AdoptReplicasWrite& write);
  bool succeeded(const Answered& in, ServiceWrite& write);
  bool succeeded(const Answered& in, EndpointSliceWrite& write);
  bool succeeded(const Answered& in, PodLabelWrite& write);
  bool succeeded(const Answered& in, BudgetWrite& write);
  bool succeeded(const Answered& in, StatusWrite& write);
  bool succeeded(const Answered& in, ConfigMapLookup& lookup);
  bool succeeded(const Answered&, EventWrite&) { return false; }
  bool succeeded(const Answered&, SecretRead&) { return false; }
  bool succeeded(const Answered&, LeaseCall&) { return false; }
  void failed(const AnsweredCall& answered, PoolRecord* record, const kube::Error& error, api::Now now,
              Effects& out);

  static kube::Lane lane_of(const PoolRecord& record);
  void tell_change(PoolRecord& record, const PublishWrite& write, std::size_t index, api::Now now,
                   Effects& out);
  void report_drain(PoolRecord& record, const PodLabelWrite& label, api::Now now, Effects& out);
  void report_degraded(const PoolRecord& record, const std::vector<api::Condition>& before,
                       const api::PoolStatus& stored, api::Now now);
  // True if the fields that the API server drops are others than before.
  static bool compare_status(PoolRecord& record, const api::PoolStatus& wanted, const api::PoolStatus& stored,
                             api::Now now, Effects& out);
  template <class Kind>
  void know_scaled_target(const PoolRecord& record, const ScaleTargetWrite& write, const Answer& answer,
                          api::Now now);
  void look_up(const WrittenObject& config_map, const PoolRecord& record, api::Now now, Effects& out);
  // Takes in what our own write made; nobody is to look at it. True if someone else has changed it since.
  template <class Kind>
  bool observe(const Answered& in);

  FeedTable& feeds_;
  PoolTable& table_;
  ChangeRouter& router_;
  WriteDispatcher& writes_;
  PoolEvents& events_;
  ControllerMetrics& metrics_;
};

}  // namespace poolwarden::control
