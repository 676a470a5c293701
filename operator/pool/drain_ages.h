// For how long pods have been draining or finishing, by a clock that does not jump.
//
// A pod says since when, by the wall clock of whoever wrote it. That clock may be set meanwhile, and the
// clock of the next operator may be ahead of it: then a pod would be let go with all that it answers. So a
// drain that was seen to begin counts from that moment, by the monotonic clock. One that had begun before is
// as old as the wall clock says when it is first seen, and from then on ages by the monotonic clock.
//
// Pure: time is an argument. Owned by the loop.
#pragma once

#include "api/pod.h"
#include "api/time.h"

#include <chrono>
#include <map>
#include <optional>
#include <string>

namespace poolwarden::pool {

class DrainAges {
 public:
  // The pod is as it says now; `before`: as it was, null where that is not known.
  void saw(const api::Pod* before, const api::Pod& pod, api::Now now);
  void forget(const std::string& uid) { begun_.erase(uid); }

  // Of a drain that began then, as the pod says. Never negative.
  std::chrono::seconds age(const std::string& uid, api::Timestamp started, api::Now now) const;

 private:
  struct Begun {
    api::Timestamp started{};        // as the pod says
    std::chrono::seconds so_far{0};  // when it was first seen
    std::chrono::steady_clock::time_point seen{};
  };
  std::map<std::string, Begun> begun_;  // by UID
};

}  // namespace poolwarden::pool
