// How many readings of zero in a row show that an engine was idle for a time.
#pragma once

#include <chrono>
#include <cstdint>

namespace poolwarden::api {

// The first of them begins that time, so they span one interval less than they are.
inline std::int32_t quiet_reads_for(std::chrono::seconds idle, std::chrono::seconds poll) {
  return static_cast<std::int32_t>(1 + (idle + poll - std::chrono::seconds{1}) / poll);
}

inline std::chrono::seconds idle_for(std::int32_t quiet_reads, std::chrono::seconds poll) {
  return (quiet_reads - 1) * poll;
}

}  // namespace poolwarden::api
