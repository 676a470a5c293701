#include "kube/retry_after.h"

#include "base/time.h"

#include <algorithm>
#include <charconv>

namespace poolwarden::kube {

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
  const auto until = base::parse_http_date(retry_after);
  const auto now = base::parse_http_date(date);
  if (!until || !now) {
    return std::nullopt;
  }
  const auto wait = std::chrono::duration_cast<std::chrono::seconds>(*until - *now).count();
  return bounded_retry_after(static_cast<std::uint64_t>(std::max<std::int64_t>(wait, 0)));
}

}  // namespace poolwarden::kube
