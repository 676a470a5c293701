// The operator without its body: every decision and all state, no sockets, no threads, no clock.
//
// step() takes what has arrived, brings the caches up to date, looks at each pool that changed, and returns
// what is to be sent. One thread owns it. The same inputs at the same times give the same effects. So the
// whole operator can be run from a seed against a simulated API server.
//
// What it promises:
//   - a pass reads one consistent snapshot and writes only what differs; at rest it writes nothing
//   - withdrawals are sent before anything else of the same step, and wait for nothing but their own
//     ConfigMap's previous write
//   - nothing is decided before every cache it needs has synced once, nor without a valid lease; but for
//     withdrawals that a leader owes (standby.h). The lease is looked at again for each pool.
//   - every pool is looked at again within the resync period whatever happens, and no failure drops it
//
// It only puts the steps in order. FeedTable has the caches. ChangeRouter says which pools a change concerns,
// and Reconciler looks at one pool. WriteDispatcher says what may leave, and WriteOutcomes what an answer
// means.
#pragma once

#include "control/change_router.h"
#include "control/controller_metrics.h"
#include "control/effects.h"
#include "control/engine_loads.h"
#include "control/feed_table.h"
#include "control/leadership.h"
#include "control/pool_events.h"
#include "control/pool_table.h"
#include "control/reconciler.h"
#include "control/sight.h"
#include "control/snapshot_builder.h"
#include "control/standby.h"
#include "control/write_dispatcher.h"
#include "control/write_outcomes.h"
#include "kube/random.h"

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace poolwarden::control {

struct CoreOptions {
  bool leader_elect = false;
  kube::LeaseConfig lease;
  FeedOptions feeds;
  WriteLimits writes;
  std::string instance = "poolwarden";  // who reports events: the pod's name
  kube::Duration resync = std::chrono::minutes(10);
  kube::Duration stop_patience = std::chrono::seconds(5);  // for writes in flight, then for the lease
  // A step looks at pools for so long, and at so many pods where there is no stopwatch. No input waits longer
  // for other pools' passes.
  kube::Duration step_budget = std::chrono::milliseconds(20);
  std::size_t step_pods = 20'000;
  // The time now, where work should be measured; nothing in simulations, whose clock stands still meanwhile.
  std::function<kube::TimePoint()> stopwatch;
  // Sources of engines' load that are asked at once: all that the reader can, so that none waits there.
  std::size_t load_sources_in_flight = engine::LoadReaderOptions{}.max_connections;
  DrainGate drain_gate = DrainGate::kAuto;
  pool::ListLimits list_limits;
  std::uint64_t seed = 1;  // of all jitter
};

// What a probe may know: a copy is handed out after each step.
struct CoreHealth {
  std::array<FeedHealth, WatchedKinds::kSize> feeds;
  bool leading = false;
  bool stopping = false;
};

class OperatorCore {
 public:
  OperatorCore(CoreOptions options, ControllerMetrics& metrics);

  Effects start(api::Now now);
  // `inputs` is emptied. An empty one is a tick.
  Effects step(std::vector<Input>& inputs, api::Now now);
  // When to step at the latest, even if nothing arrives.
  std::optional<kube::TimePoint> next_deadline() const;

  CoreHealth health() const;
  Sight sight(api::Now now) const { return take_sight(feeds_, table_, leadership_, now); }
  std::size_t in_flight() const { return writes_.in_flight(); }

 private:
  // Running -> Stopping, on StopRequested or a lost lease. Stopping -> the Exit effect, once nothing is in
  // flight or at the deadline.
  struct Running {};
  enum class Stage : std::uint8_t { kFinishing, kReleasing };  // writes first, then the lease
  struct Stopping {
    Exit exit;
    kube::TimePoint deadline{};
    Stage stage = Stage::kFinishing;
    bool released = false;
  };

  void take(Input input, api::Now now, Effects& out);
  template <class Kind>
  void take(KindInput<Kind>& in, api::Now now, Effects& out);
  void take(LoadArrived& in, api::Now now);
  void take(CallAnswered& in, api::Now now, Effects& out);
  void take(const SecretRead& read, kube::Result<Answer> answer, api::Now now);
  void read_secrets(api::Now now, Effects& out);
  void look_at_consumers(api::Now now);
  void lead(const Leadership::Change& change, api::Now now, Effects& out);
  bool may_act(kube::TimePoint now) const;
  // The same, for the time that the step which began then has taken so far. Once no, it is no for this step.
  bool may_act_after(api::Now began);
  void run_passes(api::Now now, Effects& out);
  void write_rest(const kube::ObjectKey& key, pool::Plan& plan, api::Now now, Effects& out);
  void stop(Exit exit, api::Now now, Effects& out);
  void run_stop(api::Now now, Effects& out);
  void sweep(api::Now now);
  kube::TimePoint time(api::Now now) const { return options_.stopwatch ? options_.stopwatch() : now.mono; }

  CoreOptions options_;
  ControllerMetrics& metrics_;
  PoolTable table_;
  FeedTable feeds_;
  PoolQueue queue_;
  WriteDispatcher writes_;
  ChangeRouter router_;
  EngineLoads loads_;
  SnapshotBuilder snapshots_;
  Reconciler reconciler_;
  PoolEvents events_;
  WriteOutcomes outcomes_;
  Standby standby_;
  Leadership leadership_;
  bool can_decide_ = false;  // the last step was allowed to look at pools
  bool gave_way_ = false;    // and it ended early, so that a withdrawal leaves
  std::optional<pool::Gate> told_gate_;
  std::uint64_t told_drops_ = 0;  // of Events
  kube::TimePoint now_{};         // of the last step
  kube::TimePoint next_sweep_{};
  std::variant<Running, Stopping> state_;
};

}  // namespace poolwarden::control
