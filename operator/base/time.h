// Text forms of time: Kubernetes' own, which are RFC 3339 as metav1.Time and metav1.MicroTime carry it, and
// that of HTTP. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace poolwarden::base {

using WallTime = std::chrono::system_clock::time_point;

// In UTC.
std::string to_rfc3339(WallTime time);        // "2026-01-02T03:04:05Z", metav1.Time
std::string to_rfc3339_nanos(WallTime time);  // "2026-01-02T03:04:05.000000006Z"
std::string to_micro_time(WallTime time);     // "2026-01-02T03:04:05.000006Z", as leases and events have it

// With any fraction and any offset; nothing for anything else, and for what the clock cannot hold: it counts
// nanoseconds, from 1678 to 2261.
std::optional<WallTime> parse_rfc3339(std::string_view text);
// The same, but what lies beyond is moved to the edge. A credential that expires in 9999 never does.
std::optional<WallTime> parse_rfc3339_clamped(std::string_view text);

// "Sun, 06 Nov 1994 08:49:37 GMT", the one form that may be sent (RFC 9110, section 5.6.7). What lies beyond
// is moved to the edge.
std::optional<WallTime> parse_http_date(std::string_view text);

// Nothing beyond what parse_rfc3339() takes.
std::optional<WallTime> from_unix_seconds(std::int64_t count);

}  // namespace poolwarden::base
