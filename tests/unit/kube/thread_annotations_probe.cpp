// Compiled by thread_annotations_check.cmake, twice: as it is it must compile; with FORGET_THE_LOCK it must
// not.
#include "kube/bounded_queue.h"
#include "kube/thread_annotations.h"

namespace poolwarden::kube {

template class BoundedQueue<int>;

class Counter {
 public:
  void add() POOLWARDEN_EXCLUDES(mutex_) {
#ifndef FORGET_THE_LOCK
    MutexLock lock(mutex_);
#endif
    ++count_;
  }

 private:
  Mutex mutex_;
  int count_ POOLWARDEN_GUARDED_BY(mutex_) = 0;
};

void use() {
  Counter().add();
}

}  // namespace poolwarden::kube
