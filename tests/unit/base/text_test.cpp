#include "base/text.h"

#include <gtest/gtest.h>

namespace poolwarden::base {
namespace {

struct Row {
  const char* situation;
  std::string text;
  std::string wanted;
};

TEST(Printable, LeavesNothingThatATerminalObeys) {
  const Row rows[] = {
      {"plain", "abc", "abc"},
      {"escape", "a\x1b[2Jb", "a [2Jb"},
      {"line feeds", "a\r\nb", "a  b"},
      {"delete", "a\x7f", "a "},
      {"an 8-bit escape",
       "a\xc2\x9b"
       "2J",
       "a  2J"},
      {"half of one at the end", "a\xc2", "a\xc2"},
      {"umlauts stay", "\xc3\xbc", "\xc3\xbc"},
  };
  for (const Row& row : rows) EXPECT_EQ(printable(row.text), row.wanted) << row.situation;
}

TEST(Cut, LongText_EndsBetweenCharacters) {
  EXPECT_EQ(cut("0123456789", 10), "0123456789");
  EXPECT_EQ(cut("0123456789x", 10), "0123456789");
  EXPECT_EQ(cut("012345678\xc3\xbc", 10), "012345678");
  EXPECT_EQ(cut("\xbc\xbc\xbc", 2), "") << "no character begins there";
  EXPECT_EQ(cut("abc", 0), "");
}

TEST(Abridged, LongText_SaysThatItWasCut) {
  EXPECT_EQ(abridged("0123456789", 10), "0123456789");
  EXPECT_EQ(abridged("0123456789x", 10), "0123456789 ...");
  EXPECT_EQ(abridged("012345678\xc3\xbc", 10), "012345678 ...");
}

TEST(Ascii, ReplacesTheRest) {
  EXPECT_EQ(ascii("a\x1b\n~ \xc3\xbc"), "a??~ ??");
  EXPECT_EQ(ascii("a\tb", ' '), "a b");
}

TEST(Plural, CountsInWords) {
  EXPECT_EQ(plural(0, "pod"), "0 pods");
  EXPECT_EQ(plural(1, "pod"), "1 pod");
  EXPECT_EQ(plural(2, "pod"), "2 pods");
}

}  // namespace
}  // namespace poolwarden::base
