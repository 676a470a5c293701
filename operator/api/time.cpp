#include "api/time.h"

#include <cstdint>

#include <fmt/format.h>

namespace poolwarden::api {
namespace {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::nanoseconds;
using std::chrono::seconds;

// What a system_clock in nanoseconds can hold, less a day for time zones.
constexpr std::int64_t kFirstYear = 1678;
constexpr std::int64_t kLastYear = 2261;

std::string date_and_time(std::chrono::sys_seconds time) {
  const auto day = floor<days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{time - day};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Takes `text` apart from the front; each step fails by returning false and is not gone on from.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool number(std::size_t digits, std::int64_t& out) {
    if (rest_.size() < digits) return false;
    out = 0;
    for (const char c : rest_.substr(0, digits)) {
      if (!is_digit(c)) return false;
      out = out * 10 + (c - '0');
    }
    rest_.remove_prefix(digits);
    return true;
  }
  bool one_of(std::string_view allowed, char* taken = nullptr) {
    if (rest_.empty() || allowed.find(rest_.front()) == std::string_view::npos) return false;
    if (taken != nullptr) *taken = rest_.front();
    rest_.remove_prefix(1);
    return true;
  }
  // Digits after the point; those beyond nanoseconds are dropped.
  bool fraction(nanoseconds& out) {
    std::int64_t value = 0;
    std::size_t digits = 0;
    while (!rest_.empty() && is_digit(rest_.front())) {
      if (digits < 9) value = value * 10 + (rest_.front() - '0');
      ++digits;
      rest_.remove_prefix(1);
    }
    for (std::size_t i = digits; i < 9; ++i) value *= 10;
    out = nanoseconds{value};
    return digits > 0;
  }
  bool at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

bool read_date(Scanner& in, std::chrono::sys_days& out) {
  std::int64_t year = 0, month = 0, day = 0;
  if (!in.number(4, year) || !in.one_of("-") || !in.number(2, month) || !in.one_of("-") || !in.number(2, day))
    return false;
  if (year < kFirstYear || year > kLastYear) return false;
  const std::chrono::year_month_day date{std::chrono::year{static_cast<int>(year)},
                                         std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (!date.ok()) return false;
  out = date;
  return true;
}

bool read_clock(Scanner& in, nanoseconds& out) {
  std::int64_t hour = 0, minute = 0, second = 0;
  if (!in.number(2, hour) || !in.one_of(":") || !in.number(2, minute) || !in.one_of(":") ||
      !in.number(2, second))
    return false;
  if (hour > 23 || minute > 59 || second > 60) return false;  // 60: a leap second
  nanoseconds fraction{0};
  if (in.one_of(".") && !in.fraction(fraction)) return false;
  out = std::chrono::hours{hour} + std::chrono::minutes{minute} + seconds{second} + fraction;
  return true;
}

bool read_zone(Scanner& in, std::chrono::minutes& out) {
  out = std::chrono::minutes{0};
  if (in.one_of("Zz")) return true;
  char sign = '+';
  std::int64_t hour = 0, minute = 0;
  if (!in.one_of("+-", &sign) || !in.number(2, hour) || !in.one_of(":") || !in.number(2, minute))
    return false;
  if (hour > 23 || minute > 59) return false;
  out = std::chrono::minutes{hour * 60 + minute} * (sign == '-' ? -1 : 1);
  return true;
}

}  // namespace

std::string to_rfc3339(Timestamp time) {
  return date_and_time(floor<seconds>(time)) + "Z";
}

std::string to_rfc3339_nanos(Timestamp time) {
  const auto whole = floor<seconds>(time);
  return fmt::format("{}.{:09}Z", date_and_time(whole), nanoseconds{time - whole}.count());
}

std::optional<Timestamp> parse_rfc3339(std::string_view text) {
  Scanner in{text};
  std::chrono::sys_days date;
  nanoseconds clock{0};
  std::chrono::minutes zone{0};
  if (!read_date(in, date) || !in.one_of("Tt") || !read_clock(in, clock) || !read_zone(in, zone) ||
      !in.at_end())
    return std::nullopt;
  return Timestamp{std::chrono::duration_cast<Timestamp::duration>(date.time_since_epoch() + clock - zone)};
}

std::optional<Timestamp> from_unix_seconds(std::int64_t count) {
  constexpr auto first_second = [](std::int64_t year) {
    const std::chrono::sys_days day{std::chrono::year{static_cast<int>(year)} / std::chrono::January / 1};
    return std::chrono::sys_seconds{day}.time_since_epoch().count();
  };
  if (count < first_second(kFirstYear) || count >= first_second(kLastYear + 1)) return std::nullopt;
  return Timestamp{seconds{count}};
}

}  // namespace poolwarden::api
