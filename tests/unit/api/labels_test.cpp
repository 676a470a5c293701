#include "api/labels.h"

#include "api/rare.h"

#include <string>

#include <gtest/gtest.h>

namespace poolwarden::api {
namespace {

TEST(Labels, AreFoundByTheirKeyOnly) {
  const Labels labels(LabelMap{{"app", "vllm"}, {"empty", ""}, {"tier", "app"}});
  EXPECT_EQ(labels.find("app"), "vllm");
  EXPECT_EQ(labels.find("tier"), "app");
  EXPECT_EQ(labels.find("empty"), "");
  EXPECT_EQ(labels.find("vllm"), std::nullopt) << "a value is no key";
  EXPECT_EQ(labels.find("ap"), std::nullopt);
  EXPECT_EQ(labels.find(""), std::nullopt);
  EXPECT_EQ(Labels().find("app"), std::nullopt);
}

TEST(Labels, AreTheSameAsTheirMap) {
  const LabelMap map{{"", ""}, {"a", "b"}, {"c", ""}};
  EXPECT_EQ(Labels(map).to_map(), map);
  EXPECT_EQ(Labels(map), Labels(map));
  EXPECT_NE(Labels(LabelMap{{"a", "b"}, {"c", ""}}), Labels(LabelMap{{"a", ""}, {"b", "c"}}));
}

TEST(Labels, Unknown_AreNotTheSameAsNone) {
  EXPECT_FALSE(Labels::unknown().known());
  EXPECT_NE(Labels::unknown(), Labels());
  EXPECT_EQ(Labels::unknown(), Labels::unknown());
  EXPECT_EQ(Labels::unknown().find("app"), std::nullopt);
  for (const LabelMap& map : {LabelMap{}, LabelMap{{"", ""}}, LabelMap{{"a", ""}}})
    EXPECT_TRUE(Labels(map).known());
}

TEST(Labels, WithANul_AreLeftOut) {
  const std::string nul("a\0b", 3);
  const Labels labels(LabelMap{{nul, "x"}, {"b", nul}, {"c", "d"}});
  EXPECT_EQ(labels.to_map(), (LabelMap{{"c", "d"}}));
}

TEST(Rare, IsCopiedWithWhatItHolds) {
  Rare<std::string> one;
  EXPECT_FALSE(one);
  EXPECT_EQ(one.value_or("none"), "none");
  one = "a";
  Rare<std::string> copy = one;
  copy = std::string("b");
  EXPECT_EQ(*one, "a");
  EXPECT_EQ(copy, "b");
  copy = one;
  EXPECT_EQ(copy, one);
  one.reset();
  EXPECT_EQ(one, std::nullopt);
  EXPECT_EQ(copy, "a");
  copy = one;
  EXPECT_EQ(copy, one);
}

TEST(Rare, NoneIsNotTheSameAsAnEmptyOne) {
  Rare<std::string> empty;
  empty.emplace();
  EXPECT_NE(empty, Rare<std::string>());
  EXPECT_EQ(empty, "");
  EXPECT_FALSE(Rare<std::string>() == "");
  EXPECT_EQ(empty, std::optional<std::string>(""));
  EXPECT_EQ(std::optional<std::string>(empty), "");
  EXPECT_EQ(Rare<std::string>(), std::optional<std::string>());
}

}  // namespace
}  // namespace poolwarden::api
