// What a pool does on its way out: take its labels off, then let go, whatever stands in the way.
#include "api/names.h"
#include "pool/pod_labels.h"
#include "world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

using testing::HasSubstr;

World deleting() {
  World world = settled();
  world.pool.deleting = true;
  return world;
}

TEST(Deletion, LabelsGoFirstThenTheFinalizer) {
  World world = deleting();
  const Plan first = world.decide();
  EXPECT_EQ(first.pod_labels.size(), 2U);
  EXPECT_EQ(first.pod_labels[0].serving, std::nullopt);
  EXPECT_EQ(first.finalizer, std::nullopt);
  EXPECT_FALSE(first.publish) << "the list stays as it is: gateways keep it when the ConfigMap goes";
  EXPECT_FALSE(first.status);
  world.apply(first);
  const Plan second = world.decide();
  EXPECT_EQ(second.finalizer, false);
  EXPECT_TRUE(second.events.empty());
  world.apply(second);
  EXPECT_TRUE(world.decide().empty());
}

TEST(Deletion, NothingIsMadeForAPoolThatGoes) {
  World world;
  world.pool.deleting = true;
  EXPECT_TRUE(world.decide().empty());
}

struct LetGoRow {
  const char* situation;
  std::function<void(World&)> change;
  std::size_t labels;
  bool lets_go;
  const char* event;  // a part of the message; null: none
};

TEST(Deletion, NeverWedges) {
  const LetGoRow rows[] = {
      {"its pods carry the label", [](World&) {}, 2, false, nullptr},
      {"one of them terminates", [](World& w) { w.pod("vllm-a").deletion_timestamp.emplace(); }, 1, false,
       nullptr},
      {"all of them terminate",
       [](World& w) {
         for (auto& pod : w.pods) pod.deletion_timestamp.emplace();
       },
       0, true, nullptr},
      {"they are gone", [](World& w) { w.pods.clear(); }, 0, true, nullptr},
      {"another pool keeps their labels",
       [](World& w) {
         w.pods_of_others = {"vllm-a-uid", "vllm-b-uid"};
       },
       0, true, nullptr},
      {"another pool keeps one label", [](World& w) { w.pods_of_others = {"vllm-a-uid"}; }, 1, false,
       nullptr},
      {"they no longer match",
       [](World& w) {
         w.target->selector.match_labels = {{"app", "x"}};
       },
       2, false, nullptr},
      {"the target is gone", [](World& w) { w.target.reset(); }, 2, false, nullptr},
      {"the spec is unusable", [](World& w) { w.pool.target_ports.clear(); }, 2, false, nullptr},
      {"writes of pods fail again and again",
       [](World& w) { w.labels_error = "a webhook times out", w.labels_error_reason = "WriteFailed"; }, 0,
       true, "a webhook times out"},
      {"it may not write pods",
       [](World& w) { w.labels_error = "pods is forbidden", w.labels_error_reason = "Forbidden"; }, 0, true,
       "pods is forbidden"},
      {"the server refuses the write for good",
       [](World& w) { w.labels_error = "denied by policy", w.labels_error_reason = "Invalid"; }, 0, true,
       "denied by policy"},
      {"pods cannot be read", [](World& w) { w.can_see = false; }, 0, true, "cannot be read"},
  };
  for (const LetGoRow& row : rows) {
    World world = deleting();
    row.change(world);
    const Plan plan = world.decide();
    EXPECT_EQ(plan.pod_labels.size(), row.labels) << row.situation;
    EXPECT_EQ(plan.finalizer, row.lets_go ? std::optional{false} : std::nullopt) << row.situation;
    ASSERT_EQ(plan.events.size(), row.event == nullptr ? 0U : 1U) << row.situation;
    if (row.event != nullptr) {
      EXPECT_EQ(plan.events[0].reason, api::event::kLabelsLeft) << row.situation;
      EXPECT_THAT(plan.events[0].message, HasSubstr(row.event)) << row.situation;
      EXPECT_THAT(plan.events[0].message, HasSubstr("kubectl label pods")) << row.situation;
    }
    world.settle();
    EXPECT_TRUE(world.pool.finalizers.empty()) << row.situation;
  }
}

TEST(Deletion, WithoutOurFinalizerLabelsStillGo) {
  World world = deleting();
  world.pool.finalizers = {"example.com/other"};
  EXPECT_EQ(world.decide().pod_labels.size(), 2U);
  world.settle();
  EXPECT_EQ(world.pool.finalizers, std::vector<std::string>{"example.com/other"});
}

}  // namespace
}  // namespace poolwarden::pool
