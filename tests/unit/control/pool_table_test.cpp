#include "control/pool_table.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace poolwarden::control {
namespace {

api::InferencePool pool(const std::string& name, const std::string& uid, const std::string& app) {
  api::InferencePool made;
  made.ns = "default";
  made.name = name;
  made.uid = uid;
  if (!app.empty()) made.selector = api::LabelSelector{{{"app", app}}, {}};
  return made;
}

api::Pod pod(const std::string& ns, const std::string& app) {
  api::Pod made;
  made.ns = ns;
  made.labels = std::make_shared<const api::Labels>(api::LabelMap{{"app", app}});
  return made;
}

std::vector<std::string> names(const std::vector<PoolRecord*>& records) {
  std::vector<std::string> all;
  for (const PoolRecord* record : records) all.push_back(record->key.name);
  return all;
}

// An answer holds the labels that it is for.
bool is_remembered(const api::Pod& pod) {
  return pod.labels.use_count() > 1;
}

using Names = std::vector<std::string>;

TEST(PoolTable, MatchesWithinTheNamespaceInNameOrder) {
  PoolTable table;
  EXPECT_TRUE(table.upsert(pool("b", "1", "vllm"), nullptr));
  EXPECT_TRUE(table.upsert(pool("a", "2", "vllm"), nullptr));
  EXPECT_TRUE(table.upsert(pool("c", "3", "other"), nullptr));
  const api::Pod here = pod("default", "vllm");
  EXPECT_EQ(names(table.matching(here)), (Names{"a", "b"}));
  EXPECT_EQ(names(table.matching(pod("elsewhere", "vllm"))), Names{});
  EXPECT_TRUE(table.remove({"default", "a"}));
  EXPECT_EQ(names(table.matching(here)), Names{"b"}) << "the answer kept for these labels was thrown away";
}

// As a pass does, which looks up a pod while it goes through the pools of another.
TEST(PoolTable, AnAnswerOutlivesAnyNumberOfOtherQuestions) {
  PoolTable table;
  table.upsert(pool("a", "1", "vllm"), nullptr);
  table.upsert(pool("b", "2", "vllm"), nullptr);
  const api::Pod first = pod("default", "vllm");
  std::vector<api::Pod> others;
  for (int i = 0; i < 25'000; ++i) others.push_back(pod("default", "vllm"));
  for (const PoolRecord* record : table.matching(first)) {
    for (const api::Pod& other : others) ASSERT_EQ(table.matching(other).size(), 2U);
    EXPECT_FALSE(record->key.name.empty());
  }
  EXPECT_TRUE(is_remembered(first));
  EXPECT_TRUE(std::ranges::all_of(others, is_remembered));
  table.trim();
  EXPECT_TRUE(std::ranges::none_of(others, is_remembered));
  EXPECT_EQ(names(table.matching(first)), (Names{"a", "b"}));
  table.trim();
  EXPECT_TRUE(is_remembered(first)) << "few are kept";
}

TEST(PoolTable, PodInANamespaceWithoutPools_LeavesNoAnswer) {
  PoolTable table;
  table.upsert(pool("a", "1", "vllm"), nullptr);
  const api::Pod elsewhere = pod("elsewhere", "vllm");
  EXPECT_EQ(names(table.matching(elsewhere)), Names{});
  EXPECT_FALSE(is_remembered(elsewhere));
  api::InferencePool late = pool("b", "2", "vllm");
  late.ns = "elsewhere";
  table.upsert(late, nullptr);
  EXPECT_EQ(names(table.matching(elsewhere)), Names{"b"});
}

TEST(PoolTable, OtherNamespacesChangeOrAreMany_AnswersStay) {
  PoolTable table;
  table.upsert(pool("a", "1", "vllm"), nullptr);
  api::InferencePool other = pool("b", "2", "vllm");
  other.ns = "busy";
  table.upsert(other, nullptr);
  const api::Pod here = pod("default", "vllm");
  EXPECT_EQ(names(table.matching(here)), Names{"a"});
  EXPECT_TRUE(table.remove({"busy", "b"}));
  table.upsert(other, nullptr);
  EXPECT_TRUE(is_remembered(here));
  std::vector<api::Pod> others;
  for (int i = 0; i < 25'000; ++i) others.push_back(pod("busy", "vllm"));
  for (const api::Pod& one : others) ASSERT_EQ(table.matching(one).size(), 1U);
  table.trim();
  EXPECT_TRUE(is_remembered(here));
  EXPECT_TRUE(std::ranges::none_of(others, is_remembered));
}

TEST(PoolTable, LeaderIsTheFirstThatDecides) {
  PoolTable table;
  const api::Pod here = pod("default", "vllm");
  api::InferencePool broken = pool("a", "1", "vllm");  // it has no ports
  table.upsert(broken, nullptr);
  EXPECT_EQ(table.leader(here), nullptr);
  for (const char* name : {"c", "b"}) {
    api::InferencePool sound = pool(name, name, "vllm");
    sound.target_ports = {{.number = 8000, .name = ""}};
    sound.publish = {.config_map_name = std::string(name) + "-endpoints", .service_name = name};
    table.upsert(sound, nullptr);
  }
  ASSERT_NE(table.leader(here), nullptr);
  EXPECT_EQ(table.leader(here)->key.name, "b");
  EXPECT_TRUE(table.is_selected_by(here, *table.find({"default", "c"})));
  EXPECT_FALSE(table.is_selected_by(pod("default", "other"), *table.find({"default", "c"})));
}

TEST(PoolTable, UnsureAreThoseThatNeverKnewWhomTheySelect) {
  PoolTable table;
  for (const char* name : {"c", "b"}) table.upsert(pool(name, name, ""), nullptr);
  table.upsert(pool("a", "a", "vllm"), nullptr);
  EXPECT_EQ(names(table.unsure("default")), (Names{"b", "c"}));
  EXPECT_EQ(names(table.unsure("elsewhere")), Names{});
  table.upsert(pool("c", "c", "vllm"), nullptr);
  table.remove({"default", "b"});
  EXPECT_EQ(names(table.unsure("default")), Names{});
}

TEST(PoolTable, SaysWhetherASelectionChanged) {
  PoolTable table;
  EXPECT_TRUE(table.upsert(pool("a", "1", "vllm"), nullptr)) << "new";
  EXPECT_FALSE(table.upsert(pool("a", "1", "vllm"), nullptr)) << "the same again";
  EXPECT_TRUE(table.upsert(pool("a", "1", "other"), nullptr)) << "another selector";
  EXPECT_TRUE(table.upsert(pool("a", "2", "other"), nullptr)) << "a namesake";
  api::InferencePool going = pool("a", "2", "other");
  going.deleting = true;
  EXPECT_TRUE(table.upsert(going, nullptr)) << "being deleted";
  EXPECT_EQ(names(table.matching(pod("default", "other"))), Names{}) << "it selects nobody any more";
}

TEST(PoolTable, ANamesakeHasNoMemory) {
  PoolTable table;
  table.upsert(pool("a", "1", "vllm"), nullptr);
  table.find({"default", "a"})->errors.scale = "refused";
  table.upsert(pool("a", "1", "vllm"), nullptr);
  EXPECT_EQ(table.find({"default", "a"})->errors.scale, "refused");
  table.upsert(pool("a", "2", "vllm"), nullptr);
  EXPECT_EQ(table.find({"default", "a"})->errors.scale, "");
}

TEST(PoolTable, TakesTheTargetsSelectorAndKeepsItWhenTheTargetGoes) {
  PoolTable table;
  api::InferencePool without = pool("a", "1", "");
  without.scale_target = api::ScaleTargetRef{"apps/v1", "Deployment", "vllm"};
  table.upsert(without, nullptr);
  EXPECT_FALSE(table.find({"default", "a"})->selector_known);
  EXPECT_EQ(names(table.matching(pod("default", "vllm"))), Names{});
  api::Deployment target;
  target.selector.match_labels = {{"app", "vllm"}};
  EXPECT_TRUE(table.upsert(without, &target));
  EXPECT_EQ(names(table.matching(pod("default", "vllm"))), Names{"a"});
  EXPECT_FALSE(table.upsert(without, nullptr))
      << "the target is missing: nothing is known, so nothing changes";
  EXPECT_FALSE(table.find({"default", "a"})->selector_known);
  EXPECT_EQ(names(table.matching(pod("default", "vllm"))), Names{"a"});
}

// As a pass has it: a pool that will never know its pods must not be taken for the one that decides about
// them.
TEST(PoolTable, TakesNoSelectorThatAPassWouldNotTake) {
  api::Deployment target;
  target.selector.match_labels = {{"app", "vllm"}};
  api::InferencePool without = pool("a", "1", "");
  without.scale_target = api::ScaleTargetRef{"apps/v1", "DaemonSet", "vllm"};
  PoolTable table;
  table.upsert(without, &target);
  EXPECT_FALSE(table.find({"default", "a"})->selector_known) << "a Deployment that only has the name";

  without.scale_target->kind = "Deployment";
  table.upsert(without, &target);
  EXPECT_TRUE(table.find({"default", "a"})->selector_known);

  target.selector.match_labels = {{"poolwarden.io/serving", "true"}};
  table.upsert(without, &target);
  EXPECT_FALSE(table.find({"default", "a"})->selector_known) << "our own label";
}

TEST(PoolTable, AnEmptySelectorMatchesNobody) {
  PoolTable table;
  api::InferencePool all = pool("a", "1", "");
  all.selector = api::LabelSelector{};
  table.upsert(all, nullptr);
  EXPECT_EQ(names(table.matching(pod("default", "vllm"))), Names{});
}

}  // namespace
}  // namespace poolwarden::control
