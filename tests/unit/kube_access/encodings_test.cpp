// Base64, Retry-After and bounded files.
#include "kube/base64.h"
#include "kube/read_file.h"
#include "kube/retry_after.h"
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
