// Base64, RFC 3339 and bounded files.
#include "kube/base64.h"
#include "kube/read_file.h"
#include "kube/retry_after.h"
#include "kube/rfc3339.h"
#include "kube/user_agent.h"
#include "temp_dir.h"

#include <gtest/gtest.h>

namespace poolwarden::kube {
namespace {

TEST(Base64, GoesBothWays) {
  for (const std::string text : {"", "a", "ab", "abc", "abcd", "\xff\x00\x01z"}) {
    EXPECT_EQ(base64_decode(base64_encode(text)), text);
  }
  EXPECT_EQ(base64_encode("user:pass"), "dXNlcjpwYXNz");
  EXPECT_EQ(base64_decode("dXNl\ncjpw\r\n YXNz\t"), "user:pass");
}

TEST(Base64, RefusesWhatIsNone) {
  for (const char* text : {"a", "ab", "abc", "a===", "====", "ab=c", "=abc", "ab!d", "dXNl=cjp", "-_-_"}) {
    EXPECT_FALSE(base64_decode(text)) << text;
  }
}

TEST(RetryAfterHeader, IsSecondsOrATime) {
  using std::chrono::seconds;
  const char* const now = "Sun, 22 Nov 2026 23:59:50 GMT";
  struct Row {
    const char* text;
    const char* date;
    std::optional<seconds> wait;
  };
  const Row rows[] = {
      {"0", "", seconds(0)},
      {"7", "", seconds(7)},
      {"3601", "", seconds(3600)},
      {"99999999999999999999999", "", seconds(3600)},
      {"-1", now, {}},
      {"7s", now, {}},
      {"", now, {}},
      {"soon", now, {}},
      {"Mon, 23 Nov 2026 00:00:20 GMT", now, seconds(30)},
      {"Mon, 23 Nov 2099 00:00:20 GMT", now, seconds(3600)},
      {"Sun, 22 Nov 2026 23:59:40 GMT", now, seconds(0)},
      {"Mon, 23 Nov 2026 00:00:20 GMT", "", {}},
      {"Mon, 23 Nov 2026 00:00:20 GMT", "today", {}},
      {"Mon, 23 Foo 2026 00:00:20 GMT", now, {}},
      {"Mon, 23 anF 2026 00:00:20 GMT", now, {}},
      {"Mon, 23 Nov 2026 00:00:20 CET", now, {}},
      {"Monday, 23-Nov-26 00:00:20 GMT", now, {}},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(parse_retry_after(row.text, row.date), row.wait) << row.text;
  }
}

TEST(Rfc3339, ReadsEveryForm) {
  const auto base = std::chrono::system_clock::from_time_t(1767323045);  // 2026-01-02T03:04:05Z
  EXPECT_EQ(parse_rfc3339("2026-01-02T03:04:05Z"), base);
  // Beyond what the clock can hold: for ever, and long ago.
  EXPECT_EQ(parse_rfc3339("9999-12-31T23:59:59Z"), parse_rfc3339("2261-01-01T00:00:00Z"));
  EXPECT_EQ(parse_rfc3339("0001-01-01T00:00:00Z"), parse_rfc3339("1678-01-01T00:00:00Z"));
  EXPECT_EQ(parse_rfc3339("2026-01-02t03:04:05z"), base);
  EXPECT_EQ(parse_rfc3339("2026-01-02T05:04:05+02:00"), base);
  EXPECT_EQ(parse_rfc3339("2026-01-01T21:34:05-05:30"), base);
  EXPECT_EQ(parse_rfc3339("2026-01-02T03:04:05.25Z"), base + std::chrono::milliseconds(250));
  EXPECT_EQ(parse_rfc3339("2026-01-02T03:04:05.123456789123Z"), base + std::chrono::nanoseconds(123456789));
}

TEST(Rfc3339, RefusesWhatIsNone) {
  for (const char* text :
       {"", "2026-01-02", "2026-01-02T03:04:05", "2026-13-02T03:04:05Z", "2026-01-02 03:04:05Z",
        "2026-01-02T03:04:05.Z", "2026-01-02T03:04:05+2:00", "2026-01-02T03:04:05Zx",
        "2026-01-02T03:04:05+24:00", "tomorrow at noon, please"}) {
    EXPECT_FALSE(parse_rfc3339(text)) << text;
  }
}

TEST(ReadFile, IsBoundedAndNamesThePath) {
  const test::TempDir dir;
  const std::string file = dir.write("f", std::string(100, 'x'));
  EXPECT_EQ(read_file(file, 100).value(), std::string(100, 'x'));
  EXPECT_NE(read_file(file, 99).error().find(file), std::string::npos);
  EXPECT_NE(read_file(dir.path("none"), 9).error().find("No such file"), std::string::npos);
  EXPECT_NE(read_file(dir.path(), 9).error().find("directory"), std::string::npos);
}

TEST(UserAgent, NamesProgramAndVersion) {
  EXPECT_EQ(user_agent().substr(0, 11), "poolwarden/");
  EXPECT_GT(user_agent().size(), 11U);
}

}  // namespace
}  // namespace poolwarden::kube
