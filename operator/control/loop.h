// The one thread that owns the operator's state, and the one queue that leads to it.
//
// run() steps the core with whatever has arrived, carries its effects out and sleeps until something
// arrives or a deadline of the core comes; it returns when the core says Exit. Producers are held back while
// the queue is full. Everything here but run() may be called from any thread.
#pragma once

#include "control/operator_core.h"
#include "control/shell.h"
#include "kube/bounded_queue.h"
#include "telemetry/log.h"

#include <atomic>
#include <memory>

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

  Loop(OperatorCore& core, telemetry::Log& log, Meters& meters) : core_(core), log_(log), meters_(meters) {}

  // For Shell: waits while the queue is full, does nothing once the loop has ended.
  void post(Input input);
  void request_stop() { post(StopRequested{}); }
  Exit run(Shell& shell);

  std::shared_ptr<const LoopHealth> health() const { return health_.load(); }  // null before the first step

 private:
  void write(const LogLine& line);
  void measure(const std::vector<Input>& inputs, kube::TimePoint now);

  OperatorCore& core_;
  telemetry::Log& log_;
  Meters& meters_;
  kube::BoundedQueue<Input> queue_{kQueueLength};
  std::atomic<std::shared_ptr<const LoopHealth>> health_;
};

}  // namespace poolwarden::control
