#include "kube/line_splitter.h"

#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::kube {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Feeds the chunks in turn; gives the lines handed out.
std::vector<std::string> lines_of(LineSplitter& splitter, const std::vector<std::string_view>& chunks) {
  std::vector<std::string> lines;
  for (const auto chunk : chunks) {
    if (!splitter.feed(chunk, [&](std::string_view line) { lines.emplace_back(line); })) break;
  }
  return lines;
}

struct SplitRow {
  const char* situation;
  std::vector<std::string_view> chunks;
  std::vector<std::string> lines;
  std::size_t pending;
};

TEST(LineSplitter, Lines) {
  const SplitRow rows[] = {
      {"nothing", {}, {}, 0},
      {"an empty chunk", {""}, {}, 0},
      {"one line", {"a\n"}, {"a"}, 0},
      {"two lines in a chunk", {"a\nbc\n"}, {"a", "bc"}, 0},
      {"a line in two chunks", {"a", "b\n"}, {"ab"}, 0},
      {"a line in many chunks", {"a", "", "b", "c", "\n"}, {"abc"}, 0},
      {"the end of one and the start of the next", {"a", "b\nc", "d\ne"}, {"ab", "cd"}, 1},
      {"carriage returns", {"a\r\nb\r\n"}, {"a", "b"}, 0},
      {"a carriage return split from its newline", {"a\r", "\nb\n"}, {"a", "b"}, 0},
      {"only the last of several carriage returns", {"a\r\r\n"}, {"a\r"}, 0},
      {"a carriage return within", {"a\rb\n"}, {"a\rb"}, 0},
      {"empty lines", {"\n\r\n\n", "a\n", "\n"}, {"a"}, 0},
      {"no newline at the end: cut, so no line", {"a\nbc"}, {"a"}, 2},
  };
  for (const SplitRow& row : rows) {
    SCOPED_TRACE(row.situation);
    LineSplitter splitter;
    EXPECT_EQ(lines_of(splitter, row.chunks), row.lines);
    EXPECT_EQ(splitter.pending(), row.pending);
    EXPECT_FALSE(splitter.failed());
  }
}

TEST(LineSplitter, EverySplitOfASampleGivesTheSameLines) {
  const std::string_view sample = "{\"a\":1}\n\n{\"b\":\"\\n\"}\r\nlast\nand the rest";
  LineSplitter whole;
  const auto expected = lines_of(whole, {sample});
  ASSERT_THAT(expected, ElementsAre("{\"a\":1}", "{\"b\":\"\\n\"}", "last"));
  for (std::size_t first = 0; first <= sample.size(); ++first) {
    for (std::size_t second = first; second <= sample.size(); ++second) {
      LineSplitter splitter;
      ASSERT_EQ(lines_of(splitter, {sample.substr(0, first), sample.substr(first, second - first),
                                    sample.substr(second)}),
                expected)
          << first << ", " << second;
      ASSERT_EQ(splitter.pending(), std::string_view("and the rest").size());
    }
  }
}

TEST(LineSplitter, DoesNotCopyALineThatLiesInOneChunk) {
  const std::string chunk = "first\nsecond\n";
  LineSplitter splitter;
  std::vector<const char*> starts;
  ASSERT_TRUE(splitter.feed(chunk, [&](std::string_view line) { starts.push_back(line.data()); }));
  EXPECT_THAT(starts, ElementsAre(chunk.data(), chunk.data() + 6));
}

TEST(LineSplitter, ALineOfTheLimitPasses) {
  LineSplitter splitter(4);
  EXPECT_THAT(lines_of(splitter, {"abcd\n", "ab", "cd\n"}), ElementsAre("abcd", "abcd"));
}

TEST(LineSplitter, ALongerLineFailsForGoodAndHoldsNothing) {
  const std::vector<std::vector<std::string_view>> rows = {
      {"abcde\n"}, {"abcde"}, {"ab", "cde"}, {"ab", "cde\n"}, {"abcd", "e\n"}};
  for (const auto& chunks : rows) {
    LineSplitter splitter(4);
    EXPECT_THAT(lines_of(splitter, chunks), IsEmpty());
    EXPECT_TRUE(splitter.failed());
    EXPECT_EQ(splitter.pending(), 0U);
    EXPECT_THAT(lines_of(splitter, {"x\n"}), IsEmpty()) << "a failed splitter takes nothing in";
    EXPECT_FALSE(splitter.feed("", [](std::string_view) {}));
  }
}

TEST(LineSplitter, LinesBeforeTheLongOneAreHandedOut) {
  LineSplitter splitter(4);
  EXPECT_THAT(lines_of(splitter, {"ab\ncd\nefghi\njk\n"}), ElementsAre("ab", "cd"));
  EXPECT_TRUE(splitter.failed());
}

}  // namespace
}  // namespace poolwarden::kube
