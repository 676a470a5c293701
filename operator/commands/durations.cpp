#include "commands/durations.h"

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>

namespace poolwarden::commands {
namespace {

struct Scaled {
  std::int64_t number = 0;
  char unit = 's';
};

// Seconds up to ten minutes: a drain is followed second by second.
Scaled scale(std::chrono::seconds time) {
  const std::int64_t seconds = std::max<std::int64_t>(0, time.count());
  if (seconds < 600) return {seconds, 's'};
  if (seconds < 2 * 3600) return {seconds / 60, 'm'};
  if (seconds < 48 * 3600) return {seconds / 3600, 'h'};
  return {seconds / 86400, 'd'};
}

}  // namespace

std::string in_words(std::chrono::seconds time) {
  const Scaled scaled = scale(time);
  const char* unit = scaled.unit == 's'   ? "s"
                     : scaled.unit == 'm' ? "min"
                     : scaled.unit == 'h' ? "h"
                                          : "days";
  return fmt::format("{} {}", scaled.number, unit);
}

std::string in_short(std::chrono::seconds time) {
  const Scaled scaled = scale(time);
  return fmt::format("{}{}", scaled.number, scaled.unit);
}

std::chrono::seconds since(api::Timestamp then, api::Timestamp now) {
  return std::max(std::chrono::seconds(0), std::chrono::duration_cast<std::chrono::seconds>(now - then));
}

std::string age(const std::optional<api::Timestamp>& then, api::Timestamp now) {
  return then ? in_short(since(*then, now)) : "-";
}

}  // namespace poolwarden::commands
