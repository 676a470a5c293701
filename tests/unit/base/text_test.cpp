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
      {"nothing", "", ""},
      {"plain", "abc", "abc"},
      {"escape", "a\x1b[2Jb", "a\\x1b[2Jb"},
      {"a title", "\x1b]0;x\x07", "\\x1b]0;x\\x07"},
      {"ends of lines", "a\r\nb\n", "a\\r\\nb\\n"},
      {"tab", "a\tb", "a\\tb"},
      {"zero", std::string("a\0b", 3), "a\\x00b"},
      {"delete", "a\x7f", "a\\x7f"},
      {"an escape of C1", "a\u009b2J", "a\\u009b2J"},
      {"next line of C1", "\u0085", "\\u0085"},
      {"an override of direction", "a\u202eb", "a\\u202eb"},
      {"an isolate", "\u2066a\u2069", "\\u2066a\\u2069"},
      {"no width", "a\u200bb\ufeff", "a\\u200bb\\ufeff"},
      {"separators", "\u2028\u2029", "\\u2028\\u2029"},
      {"a tag", "\U000e0041", "\\U000e0041"},
      {"other alphabets stay", "\u00fc \u6a21\u578b \U0001f600", "\u00fc \u6a21\u578b \U0001f600"},
      {"a space that does not break", "a\u00a0b", "a\u00a0b"},
      {"a backslash", "a\\x1b", "a\\x1b"},
  };
  for (const Row& row : rows) EXPECT_EQ(printable(row.text), row.wanted) << row.situation;
}

TEST(Printable, BytesThatAreNoUtf8_AreSpelledOut) {
  const Row rows[] = {
      {"an escape of C1 as one byte", "a\x9b", "a\\x9b"},
      {"no lead",
       "\xbf"
       "a",
       "\\xbfa"},
      {"half a character at the end", "a\xc3", "a\\xc3"},
      {"half a character before another",
       "\xe2\x80"
       "a",
       "\\xe2\\x80a"},
      {"an escape in two bytes", "\xc0\x9b", "\\xc0\\x9b"},
      {"an override in four bytes", "\xf0\x82\x80\xae", "\\xf0\\x82\\x80\\xae"},
      {"half of a pair", "\xed\xa0\x80", "\\xed\\xa0\\x80"},
      {"beyond Unicode", "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
      {"a lead of five bytes", "\xf8\x88\x80\x80\x80", "\\xf8\\x88\\x80\\x80\\x80"},
  };
  for (const Row& row : rows) EXPECT_EQ(printable(row.text), row.wanted) << row.situation;
}

TEST(Printable, IsSafeTwice) {
  const std::string once = printable("\x1b\u202e\xff\n");
  EXPECT_EQ(printable(once), once);
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

TEST(PlainWord, EndsNoWordAndNoLine) {
  for (const char* word : {"a", "/v1/metrics?x=1", "~", "!", "sk-0_A"})
    EXPECT_TRUE(is_plain_word(word)) << word;
  for (const char* text : {"", " ", "a b", "a\n", "\r\na", "a\tb", "\x7f", "\xc3\xa4"})
    EXPECT_FALSE(is_plain_word(text)) << text;
  EXPECT_FALSE(is_plain_word(std::string_view("a\0", 2)));
}

}  // namespace
}  // namespace poolwarden::base
