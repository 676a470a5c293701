#include "base/time.h"

#include <gtest/gtest.h>

namespace poolwarden::base {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

WallTime at(std::int64_t unix_seconds, std::int64_t nanos = 0) {
  return WallTime{seconds{unix_seconds} + nanoseconds{nanos}};
}

struct ParseRow {
  const char* situation;
  const char* text;
  std::optional<WallTime> wanted;
};

TEST(Rfc3339, IsRead) {
  const ParseRow rows[] = {
      {"the epoch", "1970-01-01T00:00:00Z", at(0)},
      {"as Kubernetes writes it", "2026-01-02T03:04:05Z", at(1767323045)},
      {"with micros, as Leases have them", "2026-01-02T03:04:05.123456Z", at(1767323045, 123456000)},
      {"with nanos", "2026-01-02T03:04:05.123456789Z", at(1767323045, 123456789)},
      {"more digits than there are nanos", "2026-01-02T03:04:05.1234567891Z", at(1767323045, 123456789)},
      {"another zone", "2026-01-02T05:04:05+02:00", at(1767323045)},
      {"a zone behind", "2026-01-01T23:34:05-03:30", at(1767323045)},
      {"small letters", "2026-01-02t03:04:05z", at(1767323045)},
      {"before the epoch", "1969-12-31T23:59:59Z", at(-1)},
      {"29 February of a leap year", "2024-02-29T00:00:00Z", at(1709164800)},
      {"29 February of none", "2023-02-29T00:00:00Z", std::nullopt},
      {"a leap second", "2016-12-31T23:59:60Z", at(1483228800)},
      {"empty", "", std::nullopt},
      {"no zone", "2026-01-02T03:04:05", std::nullopt},
      {"no time", "2026-01-02", std::nullopt},
      {"a point without digits", "2026-01-02T03:04:05.Z", std::nullopt},
      {"something after it", "2026-01-02T03:04:05Z ", std::nullopt},
      {"month 13", "2026-13-02T03:04:05Z", std::nullopt},
      {"hour 24", "2026-01-02T24:00:00Z", std::nullopt},
      {"a sign instead of a digit", "2026-01-02T-3:04:05Z", std::nullopt},
      {"a year the clock cannot hold", "9999-01-01T00:00:00Z", std::nullopt},
      {"the year nought", "0000-01-01T00:00:00Z", std::nullopt},
      {"the last moment", "2261-01-01T00:00:00Z", at(9183110400)},
      {"a zone of a day", "2026-01-02T03:04:05+24:00", std::nullopt},
      {"one digit", "2026-01-02T03:04:05+2:00", std::nullopt},
      {"a space for the T", "2026-01-02 03:04:05Z", std::nullopt},
      {"words", "tomorrow at noon, please", std::nullopt},
  };
  for (const ParseRow& row : rows) {
    EXPECT_EQ(parse_rfc3339(row.text), row.wanted) << row.situation;
    if (row.wanted) {
      EXPECT_EQ(parse_rfc3339_clamped(row.text), row.wanted) << row.situation;
    }
  }
}

TEST(Rfc3339, BeyondTheClock_IsMovedToItsEdgeWhereAsked) {
  EXPECT_EQ(parse_rfc3339_clamped("9999-12-31T23:59:59Z"), parse_rfc3339("2261-01-01T00:00:00Z"));
  EXPECT_EQ(parse_rfc3339_clamped("0001-01-01T00:00:00Z"), parse_rfc3339("1678-01-01T00:00:00Z"));
  EXPECT_EQ(parse_rfc3339_clamped("soon"), std::nullopt);
}

TEST(Rfc3339, IsWritten) {
  EXPECT_EQ(to_rfc3339(at(1767323045, 999999999)), "2026-01-02T03:04:05Z") << "seconds are cut, not rounded";
  EXPECT_EQ(to_rfc3339(at(-1)), "1969-12-31T23:59:59Z");
  EXPECT_EQ(to_rfc3339_nanos(at(1767323045, 7)), "2026-01-02T03:04:05.000000007Z");
  EXPECT_EQ(to_rfc3339_nanos(at(-1, 5)), "1969-12-31T23:59:59.000000005Z");
  EXPECT_EQ(to_micro_time(at(1767323045, 6999)), "2026-01-02T03:04:05.000006Z");
  EXPECT_EQ(to_micro_time(at(-1, 5000)), "1969-12-31T23:59:59.000005Z");
  EXPECT_EQ(to_micro_time(at(0, 999'999'999)), "1970-01-01T00:00:00.999999Z") << "cut, not rounded up";
}

TEST(HttpDate, OnlyTheOneForm) {
  EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), at(784111777));
  EXPECT_EQ(parse_http_date("Fri, 31 Dec 9999 23:59:59 GMT"), parse_rfc3339("2261-01-01T00:00:00Z"));
  for (const char* text :
       {"", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "784111777",
        "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 06 anF 1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT "})
    EXPECT_EQ(parse_http_date(text), std::nullopt) << text;
}

TEST(Rfc3339, EachTruncationIsRefused) {
  const std::string_view whole = "2026-01-02T03:04:05.25+01:00";
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_EQ(parse_rfc3339(whole.substr(0, length)), std::nullopt) << length;
  }
  EXPECT_NE(parse_rfc3339(whole), std::nullopt);
}

}  // namespace
}  // namespace poolwarden::base
