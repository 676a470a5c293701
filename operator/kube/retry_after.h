// How long a server asks to be left alone (RFC 9110, section 10.2.3).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace poolwarden::kube {

// No server may silence us for more than an hour.
std::chrono::seconds bounded_retry_after(std::uint64_t seconds);

// The Retry-After header: seconds, or the time until which to wait. The latter is measured from the answer's
// own Date header, so that the clocks of the two machines need not agree. Nothing if it makes no sense.
std::optional<std::chrono::seconds> parse_retry_after(std::string_view retry_after, std::string_view date);

}  // namespace poolwarden::kube
