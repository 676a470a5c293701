#include "telemetry/stop_signals.h"

#include <csignal>
#include <cstdlib>
#include <pthread.h>
#include <utility>

namespace poolwarden::telemetry {
namespace {

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

StopSignals::StopSignals() {
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  thread_ = std::thread([this] { wait(); });
}

StopSignals::~StopSignals() {
  done_ = true;
  // Wakes the wait. NOLINTNEXTLINE(bugprone-bad-signal-to-kill-thread)
  pthread_kill(thread_.native_handle(), SIGTERM);
  thread_.join();
}

void StopSignals::on_stop(std::function<void()> stop) {
  const std::lock_guard<std::mutex> lock(mutex_);
  stop_ = std::move(stop);
  if (asked_ && stop_) stop_();
}

void StopSignals::wait() {
  const sigset_t set = stop_signals();
  for (;;) {
    int signal = 0;
    sigwait(&set, &signal);
    if (done_) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (std::exchange(asked_, true)) std::_Exit(128 + signal);
    if (stop_) stop_();
  }
}

}  // namespace poolwarden::telemetry
