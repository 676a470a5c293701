// Clang's thread-safety annotations, and a mutex that carries them. The compiler then checks which lock
// guards what (-Wthread-safety), and a test proves that the check bites. Empty under other compilers.
// https://clang.llvm.org/docs/ThreadSafetyAnalysis.html
#pragma once

#include "kube/time.h"

#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define POOLWARDEN_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define POOLWARDEN_THREAD_ANNOTATION(x)
#endif

#define POOLWARDEN_CAPABILITY(name) POOLWARDEN_THREAD_ANNOTATION(capability(name))
#define POOLWARDEN_SCOPED_CAPABILITY POOLWARDEN_THREAD_ANNOTATION(scoped_lockable)
#define POOLWARDEN_GUARDED_BY(mutex) POOLWARDEN_THREAD_ANNOTATION(guarded_by(mutex))
#define POOLWARDEN_REQUIRES(...) POOLWARDEN_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define POOLWARDEN_EXCLUDES(...) POOLWARDEN_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))
#define POOLWARDEN_ACQUIRE(...) POOLWARDEN_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define POOLWARDEN_RELEASE(...) POOLWARDEN_THREAD_ANNOTATION(release_capability(__VA_ARGS__))

namespace poolwarden::kube {

// std::mutex, with the annotations that libstdc++ lacks.
class POOLWARDEN_CAPABILITY("mutex") Mutex {
 public:
  void lock() POOLWARDEN_ACQUIRE() { mutex_.lock(); }
  void unlock() POOLWARDEN_RELEASE() { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class POOLWARDEN_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) POOLWARDEN_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() POOLWARDEN_RELEASE() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// Waits may end without a notification: call them in a loop that tests the condition.
class CondVar {
 public:
  void wait(Mutex& mutex) POOLWARDEN_REQUIRES(mutex) {
    std::unique_lock lock(mutex.mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();  // the caller's MutexLock still owns it
  }
  // False: the deadline has passed.
  bool wait_until(Mutex& mutex, TimePoint deadline) POOLWARDEN_REQUIRES(mutex) {
    std::unique_lock lock(mutex.mutex_, std::adopt_lock);
    const std::cv_status status = condition_.wait_until(lock, deadline);
    lock.release();
    return status == std::cv_status::no_timeout;
  }
  void notify_one() { condition_.notify_one(); }
  void notify_all() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace poolwarden::kube
