// The two readings of one instant that decisions take as an argument, and Kubernetes' text forms of time.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace poolwarden::api {

using Timestamp = std::chrono::system_clock::time_point;

struct Now {
  std::chrono::steady_clock::time_point mono;  // for deadlines
  Timestamp wall;                              // for what people and other programs read
};

// RFC 3339 in UTC: "2026-01-02T03:04:05Z" (metav1.Time) and with nine digits of fraction.
std::string to_rfc3339(Timestamp time);
std::string to_rfc3339_nanos(Timestamp time);
std::optional<Timestamp> parse_rfc3339(std::string_view text);
// Nothing beyond what parse_rfc3339() takes.
std::optional<Timestamp> from_unix_seconds(std::int64_t count);

}  // namespace poolwarden::api
