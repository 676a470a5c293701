// Whether ReplicaSets delete pods of a pool that the gate should have held.
//
// The gate knows the ReplicaSet controller by the name of its account. Where that controller has another one,
// the gate stands, and holds nothing: only the deletes themselves show it. Who deleted a pod is not written
// on it. But of pods that serve, while their ReplicaSet has too many, hardly anybody else deletes two.
//
// Pure: time is an argument. Owned by the loop, one for each pool.
#pragma once

#include <chrono>
#include <map>
#include <string>

namespace poolwarden::pool {

class SlippedDeletes {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // A pod that is held was deleted while its ReplicaSet had too many.
  void saw(const std::string& pod_uid, TimePoint now);
  // Two within a while, and lately.
  bool tell(TimePoint now) const;

 private:
  std::map<std::string, TimePoint> pods_;  // when each was deleted, by UID; none that is long ago
  TimePoint told_until_{};
};

}  // namespace poolwarden::pool
