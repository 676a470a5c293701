#include "kube/retry_after.h"

#include "base/time.h"

#include <algorithm>
#include <charconv>
#include <string>

#include <fmt/format.h>

namespace poolwarden::kube {
namespace {

// "Sun, 06 Nov 1994 08:49:37 GMT", the one form that may be sent.
std::optional<base::WallTime> parse_http_date(std::string_view text) {
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  if (text.size() != 29 || text.substr(3, 2) != ", " || text.substr(25) != " GMT") {
    return std::nullopt;
  }
  const std::size_t month = kMonths.find(text.substr(8, 3));
  if (month == std::string_view::npos || month % 3 != 0) {
    return std::nullopt;
  }
  return base::parse_rfc3339_clamped(fmt::format("{}-{:02}-{}T{}Z", text.substr(12, 4), month / 3 + 1,
                                                 text.substr(5, 2), text.substr(17, 8)));
}

}  // namespace

std::chrono::seconds bounded_retry_after(std::uint64_t seconds) {
  constexpr std::uint64_t kLongest = 3600;
  return std::chrono::seconds(std::min(seconds, kLongest));
}

std::optional<std::chrono::seconds> parse_retry_after(std::string_view retry_after, std::string_view date) {
  std::uint64_t seconds = 0;
  const char* const end = retry_after.data() + retry_after.size();
  const auto parsed = std::from_chars(retry_after.data(), end, seconds);
  if (parsed.ptr == end && parsed.ec == std::errc()) {
    return bounded_retry_after(seconds);
  }
  if (parsed.ptr == end && parsed.ec == std::errc::result_out_of_range) {
    return bounded_retry_after(UINT64_MAX);
  }
  const auto until = parse_http_date(retry_after);
  const auto now = parse_http_date(date);
  if (!until || !now) {
    return std::nullopt;
  }
  const auto wait = std::chrono::duration_cast<std::chrono::seconds>(*until - *now).count();
  return bounded_retry_after(static_cast<std::uint64_t>(std::max<std::int64_t>(wait, 0)));
}

}  // namespace poolwarden::kube
