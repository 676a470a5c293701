// The two readings of one instant that decisions take as an argument, and Kubernetes' text forms of time.
#pragma once

#include "base/time.h"

#include <chrono>

namespace poolwarden::api {

using Timestamp = std::chrono::system_clock::time_point;

struct Now {
  std::chrono::steady_clock::time_point mono;  // for deadlines
  Timestamp wall;                              // for what people and other programs read
};

using base::from_unix_seconds;
using base::parse_rfc3339;
using base::to_rfc3339;
using base::to_rfc3339_nanos;

}  // namespace poolwarden::api
