#include "engine/metrics_text.h"

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::engine {
namespace {

using testing::HasSubstr;

constexpr double kInf = std::numeric_limits<double>::infinity();

struct Samples {
  std::vector<std::pair<std::string, double>> all;
  std::string wrong;
};

Samples read(const std::vector<std::string_view>& pieces) {
  Samples samples;
  MetricsText text([&](const MetricSample& sample) { samples.all.emplace_back(sample.name, sample.value); });
  for (const std::string_view piece : pieces) {
    text.feed(piece);
  }
  if (const auto end = text.finish(); !end) {
    samples.wrong = end.error();
  }
  return samples;
}

Samples read_bytewise(const std::string& text) {
  std::vector<std::string_view> bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    bytes.push_back(std::string_view(text).substr(i, 1));
  }
  return read(bytes);
}

struct Row {
  const char* situation;
  std::string text;
  std::vector<std::pair<std::string, double>> samples;
  std::string wrong;  // part of what is said; empty: the text is whole
};

void PrintTo(const Row& row, std::ostream* out) {
  *out << row.situation;
}

class MetricsTextTable : public testing::TestWithParam<Row> {};

TEST_P(MetricsTextTable, Holds) {
  const Row& row = GetParam();
  SCOPED_TRACE(row.situation);
  for (const Samples& samples : {read({row.text}), read_bytewise(row.text)}) {
    EXPECT_EQ(samples.all, row.samples);
    if (row.wrong.empty()) {
      EXPECT_EQ(samples.wrong, "");
    } else {
      EXPECT_THAT(samples.wrong, HasSubstr(row.wrong));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    WellFormed, MetricsTextTable,
    testing::Values(
        Row{"nothing at all", "", {}, ""}, Row{"one sample", "a 1\n", {{"a", 1}}, ""},
        Row{"help and type are skipped",
            "# HELP a b c\n# TYPE a gauge\na 1\n#\n#no blank after it\n",
            {{"a", 1}},
            ""},
        Row{"empty lines and lines of blanks", "\n \t\na 1\n\n", {{"a", 1}}, ""},
        Row{"blanks and tabs wherever they may be", " \ta \t{ b = \"c\" , } \t1 \t\n", {{"a", 1}}, ""},
        Row{"lines that end as DOS has it", "a 1\r\nb 2\r\n", {{"a", 1}, {"b", 2}}, ""},
        Row{"every character of a name", "a:B_9{l_1=\"x\"} 1\n", {{"a:B_9", 1}}, ""},
        Row{"no blank after the labels", "a{b=\"c\"}1\n", {{"a", 1}}, ""},
        Row{"labels, none", "a{} 1\n", {{"a", 1}}, ""},
        Row{"labels, several, a comma at their end", "a{b=\"c\",d=\"e\",} 1\n", {{"a", 1}}, ""},
        Row{"a quoted quote and backslash",
            R"(a{b="x\"} 7\\",c="\n"} 1)"
            "\n",
            {{"a", 1}},
            ""},
        Row{"braces, hashes and bytes of other alphabets in a value",
            "a{b=\"}{#\xc3\xa9\xff\"} 1\n",
            {{"a", 1}},
            ""},
        Row{"numbers of all shapes",
            "a 0\na -0\na +1\na -2.5\na 1e3\na 1.5E-1\na .5\na 5.\n",
            {{"a", 0}, {"a", 0}, {"a", 1}, {"a", -2.5}, {"a", 1000}, {"a", 0.15}, {"a", 0.5}, {"a", 5}},
            ""},
        Row{"infinities as Go writes them",
            "a +Inf\na -Inf\na Inf\n",
            {{"a", kInf}, {"a", -kInf}, {"a", kInf}},
            ""},
        Row{"a timestamp in milliseconds", "a 1 1395066363000\n", {{"a", 1}}, ""},
        Row{"a timestamp in seconds, as OpenMetrics has it", "a{b=\"c\"} 1 1520879607.789\n", {{"a", 1}}, ""},
        Row{"an exemplar", "a_bucket{le=\"1\"} 8 # {trace_id=\"x#\"} 0.67\n", {{"a_bucket", 8}}, ""},
        Row{"an exemplar with timestamps on both", "a 8 12.5 # {} 0.67 1520879607.789\n", {{"a", 8}}, ""},
        Row{"the end as OpenMetrics marks it", "a 1\n# EOF\n", {{"a", 1}}, ""},
        Row{"one series twice", "a 1\na 1\n", {{"a", 1}, {"a", 1}}, ""}));

INSTANTIATE_TEST_SUITE_P(
    Spoiled, MetricsTextTable,
    testing::Values(
        Row{"half a line", "a 1\nb 1", {{"a", 1}}, "end in the middle of a line"},
        Row{"half a comment", "a 1\n# TYP", {{"a", 1}}, "end in the middle of a line"},
        Row{"HTML", "<!DOCTYPE html>\n<title>404</title>\n", {}, "the answer is HTML and not metrics"},
        Row{"HTML that is indented", "\n\n  <html>\n", {}, "the answer is HTML"},
        Row{"JSON, as trtllm-serve has at /metrics", "[]\n", {}, "the answer is JSON and not metrics"},
        Row{"JSON without a newline", "{\"detail\":\"Not Found\"}", {}, "the answer is JSON"},
        Row{"HTML without a newline", "<html></html>", {}, "the answer is HTML"},
        Row{"a JSON error", "{\"detail\":\"Not Found\"}\n", {}, "the answer is JSON"},
        Row{"prose", "Service Unavailable\n", {}, "line 1 is no metric"},
        Row{"samples after a line that is none", "a 1\n???\nb 1\n", {{"a", 1}}, "line 2 is no metric"},
        Row{"zeros", std::string("a 1\n\0\0\0\n", 8), {{"a", 1}}, "line 2 is no metric"},
        Row{"binary", "\x7f\x45LF\x02\xff\xfe\n", {}, "line 1 is no metric"},
        Row{"no value", "a\n", {}, "line 1"}, Row{"a blank for a value", "a \n", {}, "line 1"},
        Row{"a word for a value", "a many\n", {}, "line 1"},
        Row{"a value that is stuck to its name", "a1\n", {}, "line 1"},
        Row{"a value with something stuck to it", "a 1x\n", {}, "line 1"},
        Row{"two signs", "a +-1\n", {}, "line 1"}, Row{"a sign alone", "a +\n", {}, "line 1"},
        Row{"a number that no double holds", "a 1e999\n", {}, "line 1"},
        Row{"a name that begins with a digit", "1a 1\n", {}, "line 1"},
        Row{"a colon in a label's name", "a{b:c=\"d\"} 1\n", {}, "line 1"},
        Row{"labels without an end", "a{b=\"c\" 1\n", {}, "line 1"},
        Row{"a label's value without an end", "a{b=\"c} 1\n", {}, "line 1"},
        Row{"a backslash as the last of a line", "a{b=\"c\\\n", {}, "line 1"},
        Row{"a label without quotes", "a{b=c} 1\n", {}, "line 1"},
        Row{"a label without a value", "a{b} 1\n", {}, "line 1"},
        Row{"two commas", "a{b=\"c\",,} 1\n", {}, "line 1"}, Row{"labels, cut", "a{\n", {}, "line 1"},
        Row{"labels twice", "a{}{} 1\n", {}, "line 1"},
        Row{"a word for a timestamp", "a 1 now\n", {}, "line 1"},
        Row{"something after the timestamp", "a 1 2 3\n", {}, "line 1"},
        Row{"a comment after a sample", "a 1 # well\n", {}, "line 1"},
        Row{"an exemplar without a value", "a 1 # {b=\"c\"}\n", {}, "line 1"},
        Row{"an exemplar with too much", "a 1 # {} 1 2 3\n", {}, "line 1"}));

TEST(MetricsText, ReadsWhatIsNotANumberAsThat) {
  const Samples samples = read({"a NaN\na nan\n"});
  ASSERT_EQ(samples.all.size(), 2U);
  EXPECT_TRUE(std::isnan(samples.all[0].second));
  EXPECT_TRUE(std::isnan(samples.all[1].second));
}

TEST(MetricsText, QuotesNothingOfTheText) {
  EXPECT_EQ(read({"password=secret\n"}).wrong, "line 1 is no metric");
  EXPECT_EQ(read({"{\"secret\":1}\n"}).wrong, "the answer is JSON and not metrics");
  EXPECT_EQ(read({"<p>secret</p>"}).wrong, "the answer is HTML and not metrics");
}

TEST(MetricsText, TakesALineOfTheLongestLengthAndNoneBeyond) {
  const std::string start = "a{b=\"";
  const std::string end = "\"} 1";
  const std::string longest =
      start + std::string(MetricsText::kMaxLine - start.size() - end.size(), 'x') + end;
  EXPECT_EQ(read({longest, "\n"}).all.size(), 1U);

  const Samples beyond = read({"a 1\n", longest, "x", "\na 2\n"});
  EXPECT_EQ(beyond.all.size(), 1U);
  EXPECT_THAT(beyond.wrong, HasSubstr("longer than 65536 bytes"));
}

struct LongLine {
  const char* situation;
  std::string start;
  std::string wrong;  // empty: it is skipped
};

// Only "a" is wanted.
TEST(MetricsText, LongLineOfAnUnwantedMetric_IsSkipped) {
  for (const LongLine& row :
       {LongLine{"another metric", "b{c=\"", ""},
        {"another metric that begins as the wanted one", "ab{c=\"", ""},
        {"a comment", "# HELP a ", ""},
        {"a comment after blanks", " \t# HELP a ", ""},
        {"the wanted one", "a{b=\"", "line 2 of the metrics is longer than 65536 bytes"},
        {"the wanted one after blanks", "  a {b=\"", "line 2 of the metrics is longer"},
        {"a name without an end", "b", "line 2 of the metrics is longer"},
        {"no name", "{", "line 2 of the metrics is longer"}}) {
    const std::string line = row.start + std::string(3 * MetricsText::kMaxLine, 'x') + "\"} 1\n";
    for (const std::size_t piece : {line.size(), std::size_t{1'000}, MetricsText::kMaxLine}) {
      std::vector<double> values;
      MetricsText text([&](const MetricSample& sample) { values.push_back(sample.value); },
                       [](std::string_view name) { return name == "a"; });
      text.feed("a 1\n");
      for (std::size_t at = 0; at < line.size(); at += piece)
        text.feed(std::string_view(line).substr(at, piece));
      text.feed("a 2\n");
      const auto end = text.finish();
      if (row.wrong.empty()) {
        EXPECT_TRUE(end) << row.situation << ": " << end.error();
        EXPECT_EQ(values, (std::vector<double>{1, 2})) << row.situation;
      } else {
        ASSERT_FALSE(end) << row.situation;
        EXPECT_THAT(end.error(), HasSubstr(row.wrong)) << row.situation;
      }
    }
  }
}

TEST(MetricsText, LongLineWithoutAnEnd_IsCutOff) {
  MetricsText text([](const MetricSample&) {}, [](std::string_view) { return false; });
  text.feed("b{c=\"" + std::string(MetricsText::kMaxLine, 'x'));
  EXPECT_EQ(text.finish().error(), "the metrics end in the middle of a line");
}

TEST(MetricsText, LongFirstLineOfJson_IsToldAsThat) {
  EXPECT_EQ(read({"[" + std::string(MetricsText::kMaxLine, '1')}).wrong,
            "the answer is JSON and not metrics");
}

struct LabelsRow {
  const char* line;
  std::vector<std::pair<std::string, std::string>> wanted;
  bool has = true;
};

TEST(MetricsText, Labels_AreThoseOfTheSample) {
  for (const LabelsRow& row : {LabelsRow{"a 1", {}},
                               {"a{} 1", {}},
                               {"a{b=\"c\"} 1", {}},
                               {"a{b=\"c\"} 1", {{"b", "c"}}},
                               {"a { x=\"y\" , b = \"c\" , } 1", {{"b", "c"}, {"x", "y"}}},
                               {"a{b=\"\"} 1", {{"b", ""}}},
                               {R"(a{b="c\\d\"e\nf\g"} 1)", {{"b", "c\\d\"e\nfg"}}},
                               {"a{b=\"c=\\\"d\"} 1", {{"b", "c=\"d"}}},
                               {"a 1", {{"b", "c"}}, false},
                               {"a{b=\"cc\"} 1", {{"b", "c"}}, false},
                               {"a{b=\"c\"} 1", {{"b", "cc"}}, false},
                               {"a{b=\"c\"} 1", {{"b", ""}}, false},
                               {"a{bb=\"c\"} 1", {{"b", "c"}}, false},
                               {"a{b=\"x\",c=\"b=\"} 1", {{"b", "c"}}, false},
                               {"a{b=\"c\"} 1", {{"b", "c"}, {"x", "y"}}, false},
                               {"a 1 # {b=\"c\"} 1", {{"b", "c"}}, false}}) {
    int seen = 0;
    MetricsText text([&](const MetricSample& sample) {
      ++seen;
      EXPECT_EQ(sample.has_labels(row.wanted), row.has) << row.line;
    });
    text.feed(std::string(row.line) + "\n");
    EXPECT_TRUE(text.finish()) << row.line;
    EXPECT_EQ(seen, 1) << row.line;
  }
}

TEST(MetricsText, SaysWhatWasWrongFirst) {
  MetricsText text([](const MetricSample&) {});
  text.feed("a 1\nfirst wrong\n");
  for (int i = 0; i < 100; ++i) {
    text.feed(std::string(MetricsText::kMaxLine, 'x'));
  }
  text.feed("\nsecond wrong\nand half");
  EXPECT_THAT(text.finish().error(), HasSubstr("line 2 is no metric"));
}

}  // namespace
}  // namespace poolwarden::engine
