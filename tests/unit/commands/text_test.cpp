#include "commands/durations.h"
#include "commands/export.h"
#include "commands/text_table.h"
#include "examples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

namespace poolwarden::commands {
namespace {

using nlohmann::json;
using std::chrono::seconds;

struct TimeRow {
  std::int64_t time;
  const char* words;
  const char* brief;
};
class Durations : public testing::TestWithParam<TimeRow> {};

TEST_P(Durations, InWords) {
  EXPECT_EQ(in_words(seconds(GetParam().time)), GetParam().words);
  EXPECT_EQ(in_short(seconds(GetParam().time)), GetParam().brief);
}
INSTANTIATE_TEST_SUITE_P(Times, Durations,
                         testing::Values(TimeRow{-5, "0 s", "0s"}, TimeRow{0, "0 s", "0s"},
                                         TimeRow{12, "12 s", "12s"}, TimeRow{599, "599 s", "599s"},
                                         TimeRow{600, "10 min", "10m"}, TimeRow{7199, "119 min", "119m"},
                                         TimeRow{7200, "2 h", "2h"}, TimeRow{172799, "47 h", "47h"},
                                         TimeRow{172800, "2 days", "2d"}));

TEST(Since, IsNeverNegative) {
  EXPECT_EQ(since(ahead(10), kNow), seconds(0));
  EXPECT_EQ(since(ago(10), kNow), seconds(10));
  EXPECT_EQ(age(std::nullopt, kNow), "-");
}

TEST(TerminalText, HasNoControlCharactersButItsOwn) {
  TerminalText text(Paint::kOn);
  text.add("a\n\x1b[2J", Style::kBad).add("").add("\u202e").end_line().line("", Style::kGood);
  EXPECT_EQ(text.str(), "\x1b[31ma\\n\\x1b[2J\x1b[0m\\u202e\n\n");
  TerminalText plain(Paint::kOff);
  plain.line("b", Style::kBad).append(text);
  EXPECT_EQ(plain.str(), "b\n" + text.str());
}

TEST(TextTable, CellsAreMadePrintableBeforeTheyLineUp) {
  TextTable table({"A", "B"});
  table.add({"\x1b\n", "1"});
  table.add({"x", "2"});
  EXPECT_EQ(table.render(Paint::kOff).str(),
            "A        B\n"
            "\\x1b\\n   1\n"
            "x        2\n");
  EXPECT_EQ(table.render(Paint::kOff, 4).str(), "A\n\\x1b\nx\n");
}

TEST(TextTable, LinesUpByCharactersAndEndsNoLineInBlanks) {
  TextTable table({"A", "B", "C"});
  table.add({"über", "1", ""});
  table.add({"x", "", "z"});
  EXPECT_EQ(table.render(Paint::kOff).str(),
            "A      B   C\n"
            "über   1\n"
            "x          z\n");
}

TEST(TextTable, ColoursDoNotMoveColumns) {
  TextTable table({"A", "B"});
  table.add({Cell("up", Style::kGood), "1"});
  EXPECT_EQ(table.render(Paint::kOn).str(), "\x1b[1mA\x1b[0m    \x1b[1mB\x1b[0m\n\x1b[32mup\x1b[0m   1\n");
}

TEST(TextTable, CutsLinesToTheTerminal) {
  TextTable table({"A", "B"});
  table.add({"abcdef", Cell("ghijkl", Style::kBad)});
  EXPECT_EQ(table.render(Paint::kOff, 11).str(), "A        B\nabcdef   gh\n");
  EXPECT_EQ(table.render(Paint::kOff, 4).str(), "A\nabcd\n");
  EXPECT_EQ(cut_to("für", 2), "fü");
}

TEST(Export, YamlReadsBackAsTheSameValues) {
  const json document = {{"text", "plain-word"},
                         {"spaces", "a b: c # d"},
                         {"truth", "true"},
                         {"no", "no"},
                         {"number", "12"},
                         {"version", "1.0"},
                         {"empty", ""},
                         {"quote", "say \"x\"\n\ttwo"},
                         {"dash", "- a"},
                         {"count", 3},
                         {"nothing", nullptr},
                         {"list", {1, "two", {{"a", "b"}, {"c", {"d"}}}}},
                         {"no_items", json::array()},
                         {"no_keys", json::object()}};
  const YAML::Node read = YAML::Load(to_yaml(document));
  for (const char* key : {"text", "spaces", "truth", "no", "number", "version", "empty", "quote", "dash"})
    EXPECT_EQ(read[key].as<std::string>(), document[key].get<std::string>()) << key;
  // A quoted text has the tag "!": what would be read as a truth or a number is one.
  for (const char* key : {"truth", "no", "number", "version", "empty"})
    EXPECT_EQ(read[key].Tag(), "!") << key;
  EXPECT_EQ(read["count"].as<int>(), 3);
  EXPECT_TRUE(read["nothing"].IsNull());
  ASSERT_EQ(read["list"].size(), 3U);
  EXPECT_EQ(read["list"][2]["a"].as<std::string>(), "b");
  EXPECT_EQ(read["list"][2]["c"][0].as<std::string>(), "d");
  EXPECT_TRUE(read["no_items"].IsSequence());
  EXPECT_EQ(read["no_items"].size(), 0U);
  EXPECT_TRUE(read["no_keys"].IsMap());
}

TEST(Export, WhatIsNotPrintableIsEscaped) {
  const std::string value = "\x1b\x7f\u009b\u202e\u2028\U000e0041 \u00fc\n";
  EXPECT_EQ(to_pretty_json({{"a", value}}),
            "{\n  \"a\": \"\\u001b\\u007f\\u009b\\u202e\\u2028\\udb40\\udc41 \u00fc\\n\"\n}\n");
  EXPECT_EQ(json::parse(to_pretty_json({{"a", value}}))["a"], value);
  EXPECT_EQ(to_yaml({{"a", value}}), "a: \"\\u001b\\u007f\\u009b\\u202e\\u2028\\U000e0041 \u00fc\\n\"\n");
  EXPECT_EQ(YAML::Load(to_yaml({{"a", value}}))["a"].as<std::string>(), value);
  EXPECT_EQ(to_yaml({{"a", "\x7f"}}), "a: \"\\u007f\"\n") << "of ASCII alone";
}

TEST(Export, JsonSurvivesBytesThatAreNoText) {
  const std::string text = to_pretty_json({{"bad", std::string("\xff")}});
  EXPECT_FALSE(json::parse(text, nullptr, false).is_discarded());
}

}  // namespace
}  // namespace poolwarden::commands
