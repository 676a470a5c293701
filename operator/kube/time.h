// Time as the kube layer takes it: always an argument, never read. Deadlines and delays use the monotonic
// clock; only what is written for others to read (leases, events) uses wall time.
#pragma once

#include <chrono>
#include <optional>

namespace poolwarden::kube {

using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;
using WallTime = std::chrono::system_clock::time_point;

// The earlier of the two; nothing is later than any time.
inline void sooner(std::optional<TimePoint>& earliest, std::optional<TimePoint> other) {
  if (other && (!earliest || *other < *earliest)) earliest = other;
}

}  // namespace poolwarden::kube
