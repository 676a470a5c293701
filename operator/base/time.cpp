#include "base/time.h"

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>

namespace poolwarden::base {
namespace {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::nanoseconds;
using std::chrono::seconds;

// What a system_clock in nanoseconds can hold, less a year for what a caller adds to it.
constexpr seconds kFirst{-9'214'560'000};  // 1678-01-01
constexpr seconds kLast{9'183'110'400};    // 2261-01-01

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
  const std::chrono::year_month_day date{std::chrono::year{static_cast<int>(year)},
                                         std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (!date.ok()) return false;
  out = date;
  return true;
}

bool read_clock(Scanner& in, seconds& out, nanoseconds& fraction) {
  std::int64_t hour = 0, minute = 0, second = 0;
  if (!in.number(2, hour) || !in.one_of(":") || !in.number(2, minute) || !in.one_of(":") ||
      !in.number(2, second))
    return false;
  if (hour > 23 || minute > 59 || second > 60) return false;  // 60: a leap second
  if (in.one_of(".") && !in.fraction(fraction)) return false;
  out = std::chrono::hours{hour} + std::chrono::minutes{minute} + seconds{second};
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

// Seconds since the epoch, which hold every year of four digits, and the fraction.
struct Parts {
  seconds whole{0};
  nanoseconds fraction{0};
};

std::optional<Parts> read(std::string_view text) {
  Scanner in{text};
  Parts out;
  std::chrono::sys_days date;
  seconds clock{0};
  std::chrono::minutes zone{0};
  if (!read_date(in, date) || !in.one_of("Tt") || !read_clock(in, clock, out.fraction) ||
      !read_zone(in, zone) || !in.at_end())
    return std::nullopt;
  out.whole = date.time_since_epoch() + clock - zone;
  return out;
}

}  // namespace

std::string to_rfc3339(WallTime time) {
  return date_and_time(floor<seconds>(time)) + "Z";
}

std::string to_rfc3339_nanos(WallTime time) {
  const auto whole = floor<seconds>(time);
  return fmt::format("{}.{:09}Z", date_and_time(whole), nanoseconds{time - whole}.count());
}

std::string to_micro_time(WallTime time) {
  const auto whole = floor<seconds>(time);
  return fmt::format("{}.{:06}Z", date_and_time(whole),
                     floor<std::chrono::microseconds>(time - whole).count());
}

std::optional<WallTime> parse_rfc3339(std::string_view text) {
  const auto parts = read(text);
  if (!parts || parts->whole < kFirst || parts->whole > kLast) return std::nullopt;
  return WallTime{std::chrono::duration_cast<WallTime::duration>(parts->whole + parts->fraction)};
}

std::optional<WallTime> parse_rfc3339_clamped(std::string_view text) {
  const auto parts = read(text);
  if (!parts) return std::nullopt;
  const seconds whole = std::clamp(parts->whole, kFirst, kLast);
  return WallTime{std::chrono::duration_cast<WallTime::duration>(whole + parts->fraction)};
}

std::optional<WallTime> parse_http_date(std::string_view text) {
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  if (text.size() != 29 || text.substr(3, 2) != ", " || text.substr(25) != " GMT") return std::nullopt;
  const std::size_t month = kMonths.find(text.substr(8, 3));
  if (month == std::string_view::npos || month % 3 != 0) return std::nullopt;
  return parse_rfc3339_clamped(fmt::format("{}-{:02}-{}T{}Z", text.substr(12, 4), month / 3 + 1,
                                           text.substr(5, 2), text.substr(17, 8)));
}

std::optional<WallTime> from_unix_seconds(std::int64_t count) {
  if (count < kFirst.count() || count > kLast.count()) return std::nullopt;
  return WallTime{seconds{count}};
}

}  // namespace poolwarden::base
