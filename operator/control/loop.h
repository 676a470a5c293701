// The one thread that owns the operator's state, and the one queue that leads to it.
//
// run() steps the core with whatever has arrived and carries its effects out. Then it sleeps until something
// arrives or a deadline of the core comes. It returns when the core says Exit. Producers are held back while
// the queue is full. Everything here but run() may be called from any thread.
#pragma once

#include "control/operator_core.h"
#include "control/quiet_spell.h"
#include "control/shell.h"
#include "control/sight_board.h"
#include "kube/bounded_queue.h"
#include "kube/server_clock.h"
#include "kube/thread_annotations.h"
#include "telemetry/log.h"

#include <optional>

namespace poolwarden::control {

struct LoopHealth {
  CoreHealth core;
  kube::TimePoint at{};  // of the step after which it was taken
};

class Loop {
 public:
  static constexpr std::size_t kQueueLength = 4096;
  // How long the loop sleeps at most, so that its liveness can be seen.
  static constexpr kube::Duration kHeartbeat = std::chrono::seconds(5);

  // `clock`: what is written for others to read has the API server's time, once that is known.
  // `board`: where it leaves what it sees; null: nobody looks.
  Loop(OperatorCore& core, telemetry::Log& log, ControllerMetrics& metrics, const kube::ServerClock& clock,
       SightBoard* board = nullptr)
      : core_(core), log_(log), metrics_(metrics), clock_(clock), board_(board) {}

  // For Shell: waits while the queue is full, does nothing once the loop has ended.
  void post(Input input);
  void request_stop() { post(StopRequested{}); }
  Exit run(Shell& shell);

  std::size_t waiting() const { return queue_.size(); }  // inputs
  std::optional<LoopHealth> health() const;              // nothing before the first step

 private:
  api::Now read_clocks();
  void write(const LogLine& line);
  void show_health(kube::TimePoint now);
  // When to wake at the latest.
  kube::TimePoint sleep_until(kube::TimePoint now) const;
  void measure(const std::vector<Input>& inputs, kube::TimePoint now);

  OperatorCore& core_;
  telemetry::Log& log_;
  ControllerMetrics& metrics_;
  const kube::ServerClock& clock_;
  SightBoard* const board_;
  bool tells_apart_ = false;  // that the two clocks are far apart
  QuietSpell quiet_;
  kube::BoundedQueue<Input> queue_{kQueueLength};
  // For probes only, a few times a minute. Not std::atomic<std::shared_ptr>, whose load() is a data race in
  // libstdc++ 12 (it releases its spin lock with relaxed order).
  mutable kube::Mutex health_mutex_;
  std::optional<LoopHealth> health_ POOLWARDEN_GUARDED_BY(health_mutex_);
};

}  // namespace poolwarden::control
