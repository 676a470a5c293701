// Pods of a StatefulSet go in the order of its controller, which the pool only makes wait.
#include "fleet.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

// web-0, web-1 ... with as many requests in flight as `busy` says.
class StatefulFleet : public Fleet {
 protected:
  void make_set(const std::vector<double>& busy) {
    world.pods.clear();
    world.replica_sets.clear();
    api::StatefulSet set;
    set.name = "web";
    set.uid = "web-uid";
    set.update_revision = "web-old";
    set.replicas = static_cast<std::int32_t>(busy.size());
    for (std::size_t i = 0; i < busy.size(); ++i) {
      api::Pod pod = ready_pod("web-" + std::to_string(i), "10.0.1." + std::to_string(i));
      pod = with_labels(pod, {{"app", "vllm"}, {std::string(api::kRevisionHashLabel), "web-old"}});
      pod.controller = std::make_shared<const std::string>(set.uid);
      load[pod.uid] = busy[i];
      world.pods.push_back(pod);
    }
    world.stateful_sets = {set};
    world.pool.scale_target->kind = "StatefulSet";
    world.target->replicas = world.target->status_replicas = set.replicas;
    world.pool.replicas = set.replicas;
    settle(0);
  }
  void scale_set(std::int32_t replicas) {
    world.stateful_sets[0].replicas = world.target->replicas = replicas;
    world.pool.replicas = replicas;
  }
  void update() { world.stateful_sets[0].update_revision = "web-new"; }
};

TEST_F(StatefulFleet, ScaledDown_TheHighestOrdinalsDrainHoweverBusyTheyAre) {
  make_set({0, 1, 2, 3});
  scale_set(2);
  settle(10);
  EXPECT_THAT(draining(), ElementsAre("web-2", "web-3"));
  EXPECT_THAT(served(), ElementsAre("web-0", "web-1"));
  ASSERT_FALSE(notes.empty());
  EXPECT_THAT(notes.back().event.message, HasSubstr("StatefulSet web is to have 2 pods"));
  load["web-2-uid"] = 0;
  pass_seconds(11, 15);
  EXPECT_THAT(drained(), ElementsAre("web-2"));
  EXPECT_THAT(draining(), ElementsAre("web-3")) << "it still answers";
}

TEST_F(StatefulFleet, ScaledUpAgainWhileTheyDrain_TheyServeAgain) {
  make_set({1, 1, 1});
  scale_set(1);
  settle(10);
  ASSERT_THAT(draining(), ElementsAre("web-1", "web-2"));
  scale_set(2);
  settle(11);
  EXPECT_THAT(draining(), ElementsAre("web-2"));
  EXPECT_THAT(served(), ElementsAre("web-0", "web-1"));
}

TEST_F(StatefulFleet, Updated_OneAfterTheOtherFromTheTop) {
  make_set({1, 1, 1});
  update();
  settle(10);
  EXPECT_THAT(draining(), ElementsAre("web-2"));
  EXPECT_EQ(world.pod("web-2").drain_annotations().reason, "Rollout");
  load["web-2-uid"] = 0;
  pass_seconds(11, 15);
  ASSERT_THAT(drained(), ElementsAre("web-2"));
  world.pod("web-2").deletion_timestamp = api::Timestamp{};
  pass_seconds(16, 18);
  EXPECT_THAT(served(), ElementsAre("web-0", "web-1")) << "until it is back, nobody else goes";
}

TEST_F(StatefulFleet, AnUpdateThatIsTakenBackEndsItsDrain) {
  make_set({1, 1});
  update();
  settle(10);
  ASSERT_THAT(draining(), ElementsAre("web-1"));
  world.stateful_sets[0].update_revision = "web-old";
  settle(11);
  EXPECT_THAT(draining(), IsEmpty());
  EXPECT_THAT(served(), ElementsAre("web-0", "web-1"));
}

TEST_F(StatefulFleet, WithoutTheGateNobodyDrains) {
  make_set({1, 1});
  world.gate = Gate::kMissing;
  scale_set(1);
  settle(10);
  EXPECT_THAT(draining(), IsEmpty());
}

TEST_F(StatefulFleet, AGateThatMayNotBeSeen_DrainsOnceItHasHeldForSeconds) {
  make_set({1, 1});
  world.gate = Gate::kUnseen;
  scale_set(1);
  settle(10);
  EXPECT_THAT(draining(), IsEmpty());
  world.surplus_lasts = true;
  settle(16);
  EXPECT_THAT(draining(), ElementsAre("web-1"));
}

TEST_F(StatefulFleet, WhatALeaderDrainsIsNotDrainedTwice) {
  make_set({1, 1});
  another_pool_drains("web-1");
  scale_set(1);
  settle(10);
  EXPECT_TRUE(notes.empty());
}

TEST_F(StatefulFleet, OfANodeThatIsEmptied_NoPodMoreIsAskedFor) {
  make_set({1, 1});
  world.pool.disruption.replace_first = true;
  on_node_two("web-1");
  world.nodes["node-2"].unschedulable = true;
  pass_seconds(10, 12);
  EXPECT_EQ(world.target->replicas, 2) << "its controller would delete that one again";
  EXPECT_THAT(draining(), ElementsAre("web-1"));
}

TEST_F(StatefulFleet, OfANodeThatIsEmptied_TheOnlyOneStaysUnlessThePoolSaysOtherwise) {
  make_set({1});
  world.nodes["node-1"].unschedulable = true;
  settle(10);
  EXPECT_THAT(draining(), IsEmpty()) << "a cordon alone evicts nobody";
  EXPECT_EQ(world.target->replicas, 1);
}

TEST_F(StatefulFleet, ScaledToZeroAllOfThemDrain) {
  make_set({0, 0});
  scale_set(0);
  pass_seconds(10, 13);
  EXPECT_THAT(drained(), UnorderedElementsAre("web-0", "web-1"));
}

}  // namespace
}  // namespace poolwarden::pool
