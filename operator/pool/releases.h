// Since when pods are released, and which of them were taken back into service.
//
// A pod says that it is released, and not since when. Who waits for somebody to take it has to know that, and
// whose turn it was last. What is remembered here is gone with the process: then all waits begin anew.
//
// Pure: time is an argument. Owned by the loop.
#pragma once

#include "api/pod.h"

#include <chrono>
#include <map>
#include <optional>
#include <string>

namespace poolwarden::pool {

class Releases {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  // The pod is as it says now.
  void saw(const api::Pod& pod, TimePoint now);
  void forget(const std::string& uid);

  // Nothing: it is not released.
  std::optional<Duration> released_for(const std::string& uid, TimePoint now) const;
  // When it was last taken back. Nothing: it never was.
  std::optional<TimePoint> taken_back(const std::string& uid) const;

 private:
  std::map<std::string, TimePoint> since_;  // by UID, and so below
  std::map<std::string, TimePoint> taken_back_;
};

}  // namespace poolwarden::pool
