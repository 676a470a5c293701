#include "kube/rfc3339.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <ctime>
#include <string_view>

namespace poolwarden::kube {
namespace {

bool two_digits(std::string_view text, int& out) {
  return text.size() >= 2 && std::isdigit(static_cast<unsigned char>(text[0])) != 0 &&
         std::from_chars(text.data(), text.data() + 2, out).ptr == text.data() + 2;
}

// "Z" or "+hh:mm".
std::optional<std::chrono::seconds> parse_offset(std::string_view text) {
  if (text == "Z" || text == "z") {
    return std::chrono::seconds(0);
  }
  int hours = 0;
  int minutes = 0;
  if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':' ||
      !two_digits(text.substr(1), hours) || !two_digits(text.substr(4), minutes) || hours > 23 ||
      minutes > 59) {
    return std::nullopt;
  }
  const auto offset = std::chrono::hours(hours) + std::chrono::minutes(minutes);
  return text[0] == '-' ? -offset : offset;
}

}  // namespace

std::optional<WallTime> parse_rfc3339(const std::string& text) {
  constexpr std::size_t kDateAndTime = 19;
  if (text.size() <= kDateAndTime || (text[10] != 'T' && text[10] != 't')) {
    return std::nullopt;
  }
  std::tm fields{};
  const std::string head = text.substr(0, 10) + "T" + text.substr(11, 8);
  const char* end = ::strptime(head.c_str(), "%Y-%m-%dT%H:%M:%S", &fields);
  if (end != head.c_str() + kDateAndTime) {
    return std::nullopt;
  }
  std::string_view rest = std::string_view(text).substr(kDateAndTime);
  std::chrono::nanoseconds fraction{0};
  if (rest.front() == '.') {
    rest.remove_prefix(1);
    std::int64_t scale = 100'000'000;
    std::size_t digits = 0;
    for (; digits < rest.size() && std::isdigit(static_cast<unsigned char>(rest[digits])) != 0; ++digits) {
      fraction += std::chrono::nanoseconds((rest[digits] - '0') * scale);
      scale /= 10;
    }
    if (digits == 0) {
      return std::nullopt;
    }
    rest.remove_prefix(digits);
  }
  const auto offset = parse_offset(rest);
  if (!offset) {
    return std::nullopt;
  }
  // The clock counts nanoseconds and ends in 2262. A credential that expires in 9999 never does: what lies
  // beyond is moved to the edge, less a year for what a caller adds to it.
  constexpr std::chrono::seconds kFirst{-9'214'560'000};  // 1678-01-01
  constexpr std::chrono::seconds kLast{9'183'110'400};    // 2261-01-01
  const std::chrono::seconds whole = std::chrono::seconds(::timegm(&fields)) - *offset;
  return WallTime(
      std::chrono::duration_cast<WallTime::duration>(std::clamp(whole, kFirst, kLast) + fraction));
}

}  // namespace poolwarden::kube
