// A clock that stands still until told, and what is to happen on it.
//
// Work due at the same moment runs in the order in which it was scheduled, and the clock has moved before the
// work it released runs, so that what a timer schedules is counted from the timer's own time.
#pragma once

#include "api/time.h"
#include "kube/time.h"

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

namespace poolwarden::sim {

class VirtualTime {
 public:
  api::Now now() const {
    return {now_, wall_start() + std::chrono::duration_cast<api::Timestamp::duration>(elapsed())};
  }
  kube::Duration elapsed() const { return now_ - kube::TimePoint{}; }

  void after(kube::Duration delay, std::function<void()> work) {
    work_.emplace(std::pair(now_ + std::max(delay, kube::Duration::zero()), ++sequence_), std::move(work));
  }
  void at(kube::TimePoint when, std::function<void()> work) { after(when - now_, std::move(work)); }

  // Runs what comes next; false when nothing is to come.
  bool run_next() {
    if (work_.empty()) return false;
    auto next = work_.extract(work_.begin());
    now_ = next.key().first;
    next.mapped()();
    return true;
  }
  void run_until(kube::TimePoint end) {
    while (!work_.empty() && work_.begin()->first.first <= end) run_next();
    now_ = std::max(now_, end);
  }
  void run_for(kube::Duration time) { run_until(now_ + time); }

 private:
  static api::Timestamp wall_start() {
    return api::Timestamp(std::chrono::seconds(1'767'225'600));
  }  // 2026-01-01

  kube::TimePoint now_ = kube::TimePoint{} + std::chrono::hours(1);
  std::map<std::pair<kube::TimePoint, std::uint64_t>, std::function<void()>> work_;
  std::uint64_t sequence_ = 0;
};

}  // namespace poolwarden::sim
