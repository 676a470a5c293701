// Time as the kube layer takes it: always an argument, never read. Deadlines and delays use the monotonic
// clock; only what is written for others to read (leases, events) uses wall time.
#pragma once

#include <chrono>

namespace poolwarden::kube {

using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;
using WallTime = std::chrono::system_clock::time_point;

}  // namespace poolwarden::kube
