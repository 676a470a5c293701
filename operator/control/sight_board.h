// Where the loop leaves what it sees, and the status page finds it.
//
// While somebody looks, a new sight is due each second. While nobody does, one is due each five seconds, so
// that the first page is not older than that. Who looks never waits for the loop, and never wakes it.
//
// Time is an argument. due(), next_due() and show() are called on the loop's thread, look() on any.
#pragma once

#include "control/sight.h"
#include "kube/thread_annotations.h"
#include "kube/time.h"

#include <chrono>
#include <memory>

namespace poolwarden::control {

class SightBoard {
 public:
  static constexpr kube::Duration kWatched = std::chrono::seconds(1);
  static constexpr kube::Duration kUnwatched = std::chrono::seconds(5);
  // For how long somebody who looked may look again: longer than a page waits until it reloads itself.
  static constexpr kube::Duration kAttention = std::chrono::seconds(30);

  bool due(kube::TimePoint now) const { return now >= next_due(); }
  kube::TimePoint next_due() const;  // in the past before the first
  void show(Sight sight);

  // Null before the first.
  std::shared_ptr<const Sight> look(kube::TimePoint now);

 private:
  mutable kube::Mutex mutex_;
  std::shared_ptr<const Sight> sight_ POOLWARDEN_GUARDED_BY(mutex_);
  kube::TimePoint attention_until_ POOLWARDEN_GUARDED_BY(mutex_){};
};

}  // namespace poolwarden::control
