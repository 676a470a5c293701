// What becomes of pods that carry our label though no pool selects them any more. Their pool was deleted, or
// they were relabelled out of it.
//
// Our label goes, and with it what holds their deletion. Where some of a ReplicaSet's orphans drain, it has
// too many pods. Those are released for it to take, and the others stay held until it has had the time: it
// would take any of them.
//
// Pure; time is an argument. Owned by the loop.
#pragma once

#include "api/pod.h"
#include "api/writes.h"

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace poolwarden::pool {

class Orphans {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // Takes notice of all orphans there are, before write_for() is asked of each.
  void see(const std::vector<const api::Pod*>& orphans, TimePoint now);
  // What to write of one; nothing while it has to wait.
  std::optional<api::PodLabelWrite> write_for(const api::Pod& orphan, TimePoint now) const;
  // When the wait of some ends; nothing if none waits.
  std::optional<TimePoint> next_deadline(TimePoint now) const;

 private:
  struct Grace {
    TimePoint began;
    TimePoint until;  // put off while a release is yet to be written, to some time after `began` at most
  };
  std::map<std::string, Grace> grace_;  // by UID of the controller
};

}  // namespace poolwarden::pool
