// A blue-green Rollout has pods of two templates, of which one gets requests.
#include "fleet.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class BlueGreenFleet : public Fleet {
 protected:
  // blue-a and blue-b serve, and are active.
  void make_blue() {
    world.pods.clear();
    world.replica_sets.clear();
    world.pool.scale_target = {.api_version = "argoproj.io/v1alpha1", .kind = "Rollout", .name = "vllm"};
    world.target->active_template = "blue";
    add("blue", {1, 1});
    settle(0);
  }
  void add(const std::string& hash, const std::vector<double>& busy) {
    const std::size_t first = world.pods.size();
    add_set(hash, hash, busy, static_cast<std::int32_t>(busy.size()));
    world.replica_sets.back().controller = world.target->uid;
    for (std::size_t i = first; i < world.pods.size(); ++i)
      world.pods[i] =
          with_labels(world.pods[i], {{"app", "vllm"}, {std::string(api::kTemplateHashLabel), hash}});
  }
};

TEST_F(BlueGreenFleet, PreviewPodsAreNotPublishedUntilTheyAreActive) {
  make_blue();
  add("green", {0, 0});
  settle(10);
  EXPECT_THAT(served(), ElementsAre("blue-a", "blue-b"));
  EXPECT_EQ(serving(world.pod("green-a")), "") << "nothing holds it";
  ASSERT_EQ(world.pool.status.endpoints.size(), 2U);
  EXPECT_EQ(world.pool.status.endpoints[0].reason, "Preview");
  EXPECT_EQ(world.pool.status.endpoints[0].message, "its template is not the one that is active");
  world.target->active_template = "green";
  const Plan plan = world.decide(20);
  ASSERT_TRUE(plan.publish);
  settle(20);
  EXPECT_THAT(served(), ElementsAre("green-a", "green-b"));
  EXPECT_THAT(draining(), ElementsAre("blue-a", "blue-b")) << "they finish what they answer";
  EXPECT_EQ(world.pod("blue-a").drain_annotations().reason, "Rollout");
}

TEST_F(BlueGreenFleet, WhoWasActiveServesUntilOneOfTheOthersDoes) {
  make_blue();
  add("green", {0, 0});
  for (const auto* pod : {"green-a", "green-b"}) world.pod(pod).ready = api::Tristate::kFalse;
  world.target->active_template = "green";
  settle(10);
  EXPECT_THAT(served(), ElementsAre("blue-a", "blue-b"));
  EXPECT_THAT(draining(), IsEmpty());
  world.pod("green-b").ready = api::Tristate::kTrue;
  settle(11);
  EXPECT_THAT(draining(), IsEmpty()) << "one would have to do the work of two";
  world.pod("green-a").ready = api::Tristate::kTrue;
  settle(12);
  EXPECT_THAT(served(), ElementsAre("green-a", "green-b"));
}

TEST_F(BlueGreenFleet, SwitchedBackWhileTheyDrain_TheyServeAgain) {
  make_blue();
  add("green", {0, 0});
  settle(5);
  world.target->active_template = "green";
  settle(10);
  ASSERT_THAT(draining(), ElementsAre("blue-a", "blue-b"));
  load["green-a-uid"] = load["green-b-uid"] = 1;
  world.target->active_template = "blue";
  settle(11);
  EXPECT_THAT(served(), ElementsAre("blue-a", "blue-b"));
  EXPECT_THAT(draining(), ElementsAre("green-a", "green-b"));
}

TEST_F(BlueGreenFleet, WhatHasDrainedIsLetGo) {
  make_blue();
  add("green", {0, 0});
  settle(5);
  world.target->active_template = "green";
  settle(10);
  load["blue-a-uid"] = 0;
  pass_seconds(11, 15);
  EXPECT_THAT(drained(), ElementsAre("blue-a"));
  EXPECT_THAT(draining(), ElementsAre("blue-b"));
}

TEST_F(BlueGreenFleet, APreviewThatIsGivenUpGoesUndrained) {
  make_blue();
  add("green", {0, 0});
  settle(5);
  world.replica_sets[1].replicas = 0;
  settle(10);
  EXPECT_THAT(draining(), IsEmpty()) << "nothing holds them, and they answer nobody";
}

class RestartedFleet : public Fleet {
 protected:
  // old-a, old-b and old-c, all older than the restart.
  void make_and_restart(const std::vector<double>& busy) {
    make(busy);
    world.pool.scale_target = {.api_version = "argoproj.io/v1alpha1", .kind = "Rollout", .name = "vllm"};
    world.target->restart_at = at_second(10).wall;
    world.replica_sets[0].controller = world.target->uid;
    for (api::Pod& pod : world.pods) pod.created = at_second(-100).wall;
  }
  // As Argo's controller and the ReplicaSet's: what may be evicted is, and is made anew.
  void replace(const std::string& name, int second) {
    api::Pod& pod = world.pod(name);
    api::Pod fresh = ready_pod("new-" + name, pod.ip);
    fresh.controller = pod.controller;
    fresh.created = at_second(second).wall;
    load[fresh.uid] = 0;
    pod = fresh;
  }
};

TEST_F(RestartedFleet, OneAfterTheOtherDrains_TheLeastBusyFirst) {
  make_and_restart({2, 0, 1});
  settle(9);
  EXPECT_THAT(draining(), IsEmpty()) << "it is to be restarted in a second";
  pass_seconds(10, 15);
  EXPECT_THAT(drained(), ElementsAre("old-b"));
  EXPECT_THAT(served(), ElementsAre("old-a", "old-c")) << "no other goes before it is replaced";
  replace("old-b", 16);
  settle(16);
  EXPECT_THAT(draining(), ElementsAre("old-c"));
  EXPECT_EQ(world.pod("old-c").drain_annotations().reason, "Rollout");
  load["old-c-uid"] = 0;
  pass_seconds(17, 20);
  replace("old-c", 21);
  world.pod("new-old-c").ready = api::Tristate::kFalse;
  settle(21);
  EXPECT_THAT(draining(), IsEmpty()) << "fewer serve than should";
  world.pod("new-old-c").ready = api::Tristate::kTrue;
  settle(22);
  EXPECT_THAT(draining(), ElementsAre("old-a"));
}

TEST_F(RestartedFleet, TakenBack_TheDrainIsCalledOff) {
  make_and_restart({1, 1});
  settle(10);
  ASSERT_EQ(draining().size(), 1U);
  world.target->restart_at.reset();
  settle(11);
  EXPECT_THAT(draining(), IsEmpty());
  EXPECT_THAT(served(), ElementsAre("old-a", "old-b"));
}

TEST_F(RestartedFleet, PodsOfOthersAreNotItsToRestart) {
  make_and_restart({1, 0});
  world.replica_sets[0].controller = "another";
  settle(10);
  EXPECT_THAT(draining(), IsEmpty());
}

TEST_F(RestartedFleet, WhileArgoWouldEvictNobody_NobodyDrains) {
  make_and_restart({1, 1});
  add_set("green", "green", {0, 0}, 2);
  world.replica_sets[1].controller = world.target->uid;
  for (const auto* pod : {"green-c", "green-d", "green-a", "green-b"}) {
    for (api::Pod& each : world.pods)
      if (each.name == pod) each.ready = api::Tristate::kFalse, each.created = at_second(5).wall;
  }
  settle(10);
  EXPECT_THAT(draining(), IsEmpty()) << "two of four are ready";
}

TEST_F(RestartedFleet, WhoIsYoungerStays) {
  make_and_restart({1, 1});
  for (api::Pod& pod : world.pods) pod.created = at_second(10).wall;
  settle(20);
  EXPECT_THAT(draining(), IsEmpty());
}

TEST_F(BlueGreenFleet, WithoutAnActiveTemplateAllServe) {
  make_blue();
  world.target->active_template.clear();
  add("green", {0});
  settle(10);
  EXPECT_THAT(served(), ElementsAre("blue-a", "blue-b", "green-a"));
}

TEST_F(BlueGreenFleet, PodsOfAnotherRolloutAreNotJudgedByThisOne) {
  make_blue();
  add("red", {0});
  world.replica_sets.back().controller = "another";
  settle(10);
  EXPECT_THAT(served(), ElementsAre("blue-a", "blue-b", "red-a"));
}

TEST_F(BlueGreenFleet, UntilItsRolloutIsRead_NobodyJoinsAndNoDrainIsCalledOff) {
  make_blue();
  world.target_awaited = true;
  add("green", {0});
  settle(10);
  EXPECT_THAT(served(), ElementsAre("blue-a", "blue-b"));
}

TEST_F(BlueGreenFleet, APodWithoutTheLabelServes) {
  make_blue();
  world.pods.push_back(ready_pod("other", "10.0.9.1"));
  settle(10);
  EXPECT_THAT(served(), ElementsAre("blue-a", "blue-b", "other"));
}

}  // namespace
}  // namespace poolwarden::pool
