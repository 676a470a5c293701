#include "api/metric_selector.h"

#include <gtest/gtest.h>

namespace poolwarden::api {
namespace {

TEST(MetricSelector, NameWithOrWithoutLabels) {
  using Labels = std::vector<std::pair<std::string, std::string>>;
  struct {
    const char* text;
    MetricSelector wanted;
  } const rows[] = {
      {"busy", {"busy", {}}},
      {"vllm:num_requests_running", {"vllm:num_requests_running", {}}},
      {R"(busy{type="active"})", {"busy", Labels{{"type", "active"}}}},
      {R"(busy{a="1",b="2",c="3",d="4"})", {"busy", Labels{{"a", "1"}, {"b", "2"}, {"c", "3"}, {"d", "4"}}}},
      {R"(busy{a="{},= 1"})", {"busy", Labels{{"a", "{},= 1"}}}},
      {R"(busy{a=""})", {"busy", Labels{{"a", ""}}}},
  };
  for (const auto& [text, wanted] : rows) {
    const auto found = parse_metric_selector(text);
    ASSERT_TRUE(found) << text;
    EXPECT_EQ(*found, wanted) << text;
  }
}

TEST(MetricSelector, AnythingElse_IsNone) {
  for (const char* text : {"",
                           "1busy",
                           "bu-sy",
                           "busy ",
                           "busy{}",
                           "busy{",
                           "busy}",
                           "{a=\"1\"}",
                           "busy{a}",
                           "busy{a=1}",
                           "busy{a=\"1}",
                           "busy{a=\"1\"",
                           "busy{a=\"1\",}",
                           "busy{a=\"1\"} ",
                           "busy{a=\"1\"}x",
                           "busy{a:b=\"1\"}",
                           "busy{a=~\"1\"}",
                           "busy{a!=\"1\"}",
                           "busy{ a=\"1\"}",
                           "busy{a=\"1\\\"2\"}",
                           "busy{a=\"1\",b=\"2\",c=\"3\",d=\"4\",e=\"5\"}",
                           "busy{a=\"1\"}{b=\"2\"}",
                           "busy{a=\"1\"b=\"2\"}"})
    EXPECT_FALSE(parse_metric_selector(text)) << text;
}

}  // namespace
}  // namespace poolwarden::api
