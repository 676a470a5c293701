// SIGTERM and SIGINT as a call: how the kubelet and a person at a terminal ask the process to end.
//
// Construct it first in main, before any thread starts. Every thread inherits the blocked signals, so no
// thread is interrupted or dies of one. The first signal calls `stop`, on a thread of its own, so `stop` may
// take locks. A second signal ends the process at once, for a stop that hangs.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <thread>

namespace poolwarden::telemetry {

class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // What to call; called at once if a signal has come already. An empty function takes it off.
  void on_stop(std::function<void()> stop);

 private:
  void wait();

  std::mutex mutex_;
  std::function<void()> stop_;
  bool asked_ = false;
  std::atomic<bool> done_ = false;
  std::thread thread_;
};

}  // namespace poolwarden::telemetry
