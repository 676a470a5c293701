// What a pool that is being deleted still does (someone else's finalizer holds it): take its labels off.
#include "pool/pod_labels.h"
#include "world.h"

#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

World deleting() {
  World world = settled();
  world.pool.deleting = true;
  return world;
}

TEST(Deletion, LabelsGoAndNothingElseHappens) {
  World world = deleting();
  const Plan first = world.decide();
  EXPECT_EQ(first.pod_labels.size(), 2U);
  EXPECT_EQ(first.pod_labels[0].serving, std::nullopt);
  EXPECT_FALSE(first.publish) << "the list stays as it is: gateways keep it when the ConfigMap goes";
  EXPECT_FALSE(first.status);
  world.apply(first);
  EXPECT_TRUE(world.decide().empty());
}

TEST(Deletion, NothingIsMadeForAPoolThatGoes) {
  World world;
  world.pool.deleting = true;
  EXPECT_TRUE(world.decide().empty());
}

struct LabelsOffRow {
  const char* situation;
  std::function<void(World&)> change;
  std::size_t labels;
};

TEST(Deletion, LabelsThatAreOursAloneGo) {
  const LabelsOffRow rows[] = {
      {"its pods carry the label", [](World&) {}, 2},
      {"one of them terminates", [](World& w) { w.pod("vllm-a").deletion_timestamp.emplace(); }, 1},
      {"they are gone", [](World& w) { w.pods.clear(); }, 0},
      {"another pool keeps their labels",
       [](World& w) {
         w.pods_of_others = {"vllm-a-uid", "vllm-b-uid"};
       },
       0},
      {"another pool keeps one label", [](World& w) { w.pods_of_others = {"vllm-a-uid"}; }, 1},
      {"they no longer match",
       [](World& w) {
         w.target->selector.match_labels = {{"app", "x"}};
       },
       2},
      {"the target is gone", [](World& w) { w.target.reset(); }, 2},
      {"the spec is unusable", [](World& w) { w.pool.target_ports.clear(); }, 2},
      {"writes of pods have failed", [](World& w) { w.labels_error = "pods is forbidden"; }, 2},
  };
  for (const LabelsOffRow& row : rows) {
    World world = deleting();
    row.change(world);
    EXPECT_EQ(world.decide().pod_labels.size(), row.labels) << row.situation;
    world.settle();
  }
}

}  // namespace
}  // namespace poolwarden::pool
