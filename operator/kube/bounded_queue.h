// The one place where threads meet: transport threads put inputs in, the loop takes them all out.
//
// Promises: items of one producer come out in the order it put them in. At most `capacity` items wait. After
// close() no call blocks and nothing more gets in, while what is in can still be taken out. There is one
// mutex, and nothing is called or handed over while it is held. So a shutdown cannot deadlock (compare
// controller-runtime#3239, #3538).
//
// Threads: push() and close() from any; try_pop_all() and wait_until() from the one consumer. The consumer
// must not push(): on a full queue it would wait for itself.
#pragma once

#include "kube/thread_annotations.h"
#include "kube/time.h"

#include <cstddef>
#include <iterator>
#include <utility>
#include <vector>

namespace poolwarden::kube {

enum class WaitResult { kItems, kTimeout, kClosed };

template <class T>
class BoundedQueue {
 public:
  // Precondition: capacity >= 1.
  explicit BoundedQueue(std::size_t capacity) : capacity_(capacity) {}

  // Waits while the queue is full. False: it is closed, and the item was not taken. A full queue thus holds
  // its producers back, and through them the server, instead of growing.
  [[nodiscard]] bool push(T item) POOLWARDEN_EXCLUDES(mutex_) {
    {
      MutexLock lock(mutex_);
      while (items_.size() >= capacity_ && !closed_) {
        has_space_.wait(mutex_);
      }
      if (closed_) {
        return false;
      }
      items_.push_back(std::move(item));
    }
    has_items_.notify_one();
    return true;
  }

  // Appends everything that is in to `out`. False: there was nothing.
  bool try_pop_all(std::vector<T>& out) POOLWARDEN_EXCLUDES(mutex_) {
    std::vector<T> taken;
    {
      MutexLock lock(mutex_);
      taken.swap(items_);
    }
    if (taken.empty()) {
      return false;
    }
    has_space_.notify_all();
    out.insert(out.end(), std::make_move_iterator(taken.begin()), std::make_move_iterator(taken.end()));
    return true;
  }

  // Returns when there is something to take out, at `deadline`, or when the queue is closed and empty.
  WaitResult wait_until(TimePoint deadline) POOLWARDEN_EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    bool in_time = true;
    while (items_.empty() && !closed_ && in_time) {
      in_time = has_items_.wait_until(mutex_, deadline);
    }
    if (!items_.empty()) {
      return WaitResult::kItems;
    }
    return closed_ ? WaitResult::kClosed : WaitResult::kTimeout;
  }

  void close() POOLWARDEN_EXCLUDES(mutex_) {
    {
      MutexLock lock(mutex_);
      closed_ = true;
    }
    has_space_.notify_all();
    has_items_.notify_all();
  }

  std::size_t size() const POOLWARDEN_EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return items_.size();
  }

 private:
  const std::size_t capacity_;
  mutable Mutex mutex_;
  CondVar has_items_;
  CondVar has_space_;
  std::vector<T> items_ POOLWARDEN_GUARDED_BY(mutex_);
  bool closed_ POOLWARDEN_GUARDED_BY(mutex_) = false;
};

}  // namespace poolwarden::kube
