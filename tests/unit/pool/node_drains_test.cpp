// How a node is emptied, and who comes first: the pod that goes, or its replacement.
#include "fleet.h"

#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(Fleet, ACordonedNodeIsEmptiedOneByOne) {
  make({2, 1, 3});
  world.nodes["node-2"].name = "node-2";
  world.pod("old-c").node = std::make_shared<const std::string>("node-2");
  world.nodes["node-1"].unschedulable = true;
  settle(10);
  EXPECT_THAT(draining(), ElementsAre("old-b"));
  EXPECT_EQ(world.pod("old-b").drain_annotations().reason, "NodeCordoned");
  load["old-b-uid"] = 0;
  pass_seconds(11, 20);
  EXPECT_THAT(drained(), ElementsAre("old-b"));
  EXPECT_THAT(served(), ElementsAre("old-a", "old-c")) << "nothing has come in its place yet";
  take_released();
  add_set("more", "new", {0}, 1);
  world.pods.back().node = std::make_shared<const std::string>("node-2");
  settle(21);
  settle(22);
  EXPECT_THAT(draining(), ElementsAre("old-a"));
}

// Whoever empties nodes asks for another pod all the time.
TEST_F(Fleet, NobodyEvictsThePodThatHasDrained_ItIsReplaced) {
  make({2, 1, 3});
  cordon_all();
  settle(10);
  ASSERT_THAT(draining(), ElementsAre("old-b"));
  load["old-b-uid"] = 0;
  pass_seconds(11, 60);
  ASSERT_THAT(drained(), ElementsAre("old-b"));
  EXPECT_EQ(world.target->replicas, 3);
  settle(90);
  EXPECT_EQ(world.target->replicas, 4);
  EXPECT_EQ(world.pool.replicas, 3) << "it is not what anybody asked for";
  add_set("more", "new", {0}, 1);
  on_node("node-9", "new-a");
  settle(100);
  EXPECT_EQ(world.target->replicas, 3) << "its ReplicaSet is to delete who has drained";
  EXPECT_THAT(drained(), ElementsAre("old-b"));
  take_released();
  pass_seconds(101, 102);
  EXPECT_THAT(draining(), ElementsAre("old-a"));
}

TEST_F(Fleet, NothingCanReplaceThePodThatHasDrained_ItStepsAside) {
  make({1, 2, 3});
  world.target_autoscalers = {"hpa"};
  cordon_all();
  for (const char* uid : {"old-a-uid", "old-b-uid", "old-c-uid"}) load[uid] = 0;
  settle(10);
  EXPECT_THAT(draining(), ElementsAre("old-a"));
  pass_seconds(11, 60);
  EXPECT_THAT(drained(), ElementsAre("old-a"));
  pass_seconds(80, 90);
  EXPECT_THAT(drained(), ElementsAre("old-b"));
  EXPECT_THAT(served(), ElementsAre("old-a", "old-c"));
  pass_seconds(160, 170);
  EXPECT_THAT(drained(), ElementsAre("old-c"));
  pass_seconds(240, 250);
  EXPECT_THAT(drained(), ElementsAre("old-a")) << "all have had their turn";
  EXPECT_EQ(world.target->replicas, 3);
}

TEST_F(Fleet, NoReplacementComes_WhoHasDrainedStepsAsideAfterATimeout) {
  make({1, 2, 3});
  cordon_all();
  load["old-a-uid"] = 0;
  pass_seconds(10, 20);
  ASSERT_THAT(drained(), ElementsAre("old-a"));
  pass_seconds(100, 101);
  ASSERT_EQ(world.target->replicas, 4);
  settle(360);
  EXPECT_THAT(drained(), ElementsAre("old-a")) << "spec.drain.timeoutSeconds is 300";
  pass_seconds(380, 382);
  EXPECT_THAT(draining(), ElementsAre("old-b"));
  EXPECT_THAT(served(), ElementsAre("old-a", "old-c"));
  EXPECT_EQ(world.target->replicas, 4) << "its replacement may be loading";
  world.nodes["node-2"].unschedulable = world.nodes["node-3"].unschedulable = false;
  world.nodes["node-1"].unschedulable = false;
  pass_seconds(383, 384);
  EXPECT_EQ(world.target->replicas, 3);
}

TEST_F(Fleet, NobodyElseWaits_WhoHasDrainedGoesOnWaiting) {
  make({0, 2, 3});
  world.target_autoscalers = {"hpa"};
  on_node_two("old-b");
  on_node_two("old-c");
  world.nodes["node-1"].unschedulable = true;
  pass_seconds(10, 20);
  pass_seconds(1000, 1002);
  EXPECT_THAT(drained(), ElementsAre("old-a"));
}

TEST_F(Fleet, WhomAPersonHasTakenOut_DoesNotStepAside) {
  make({0, 2, 3});
  world.target_autoscalers = {"hpa"};
  cordon_all();
  world.pod("old-a").annotations = std::make_shared<const api::DrainAnnotations>(api::DrainAnnotations{
      .started = {}, .reason = {}, .request = "requested", .saved_cost = {}, .deletion_cost = {}});
  pass_seconds(10, 20);
  pass_seconds(1000, 1002);
  EXPECT_THAT(drained(), ElementsAre("old-a"));
}

// As after replicas were raised while it drained.
TEST_F(Fleet, TwoThatNobodyEvicts_AreReplacedAtOnce) {
  make({0, 0, 3, 4});
  cordon_all();
  world.nodes["node-3"].unschedulable = world.nodes["node-4"].unschedulable = false;
  scale(3);
  world.replica_sets[0].replicas = 4;
  pass_seconds(10, 20);
  ASSERT_THAT(drained(), ElementsAre("old-a", "old-b"));
  scale(4);
  pass_seconds(21, 22);
  EXPECT_EQ(world.target->replicas, 4);
  pass_seconds(90, 92);
  EXPECT_EQ(world.target->replicas, 6);
  add_set("more", "new", {0}, 1);
  on_node("node-9", "new-a");
  settle(93);
  EXPECT_EQ(world.target->replicas, 6) << "the other is to be replaced, too";
  add_set("still-more", "newer", {0}, 1);
  on_node("node-9", "newer-a");
  pass_seconds(94, 95);
  EXPECT_EQ(world.target->replicas, 4);
  EXPECT_EQ(world.pool.replicas, 4);
}

TEST_F(Fleet, WhoeverIsOnItsWayBackDoesNotServeYet) {
  make({2, 1, 3});
  world.nodes["node-2"].name = "node-2";
  world.pod("old-c").node = std::make_shared<const std::string>("node-2");
  world.pod("old-c").serving = "draining";
  world.labels_under_way["old-c-uid"] = "true";
  world.nodes["node-1"].unschedulable = true;
  settle(10);
  EXPECT_THAT(draining(), ElementsAre("old-c")) << "nobody else goes before it is back";
  world.labels_under_way.clear();
  world.pod("old-c").serving = "true";
  settle(11);
  EXPECT_THAT(draining(), ElementsAre("old-b"));
}

// The target has one more until the replacement serves; then the pod drains, and its ReplicaSet takes it.
TEST_F(Fleet, AReplacementComesFirstWhereThatIsAsked) {
  make({2});
  world.pool.disruption.replace_first = true;
  world.nodes["node-2"].name = "node-2";
  world.nodes["node-1"].unschedulable = true;
  settle(10);
  EXPECT_THAT(draining(), IsEmpty());
  EXPECT_EQ(world.target->replicas, 2);
  EXPECT_EQ(world.pool.replicas, 1) << "it is not what anybody asked for";
  EXPECT_EQ(world.pool.status.surge_replicas, 1);
  add_set("more", "new", {0}, 1);
  world.pods.back().node = std::make_shared<const std::string>("node-2");
  pass_seconds(11, 12);
  EXPECT_THAT(draining(), ElementsAre("old-a"));
  EXPECT_THAT(served(), ElementsAre("new-a"));
  EXPECT_EQ(world.target->replicas, 2);
  load["old-a-uid"] = 0;
  pass_seconds(13, 16);
  EXPECT_THAT(drained(), ElementsAre("old-a"));
  EXPECT_EQ(world.target->replicas, 1);
  EXPECT_EQ(world.pool.status.surge_replicas, 0);
  EXPECT_EQ(world.pool.replicas, 1);
}

TEST_F(Fleet, TheOnlyOneIsReplacedFirstWhateverThePoolSays) {
  make({0});
  world.nodes["node-1"].unschedulable = true;
  pass_seconds(10, 20);
  EXPECT_THAT(served(), ElementsAre("old-a"));
  EXPECT_EQ(world.target->replicas, 2);
  world.nodes["node-1"].unschedulable = false;
  settle(21);
  EXPECT_EQ(world.target->replicas, 1) << "uncordoned before it came to that";
  EXPECT_EQ(world.pool.status.surge_replicas, 0);
}

TEST_F(Fleet, TheOnlyOneStaysWhereItsTargetCannotBeSeen) {
  for (const Visibility visibility : {Visibility::kUnknown, Visibility::kAbsent}) {
    make({0});
    world.pool.selector = api::LabelSelector{{{"app", "vllm"}}, {}};
    const auto target = std::exchange(world.target, std::nullopt);
    world.target_visibility = visibility;
    world.nodes["node-1"].unschedulable = true;
    pass_seconds(10, 20);
    EXPECT_THAT(served(), ElementsAre("old-a"));
    world.target = target;
    world.nodes["node-1"].unschedulable = false;
  }
}

TEST_F(Fleet, ReplicasUnsetDuringReplacement_KeepsWhatWasAsked) {
  await_replacement();
  world.pool.replicas.reset();
  settle(11);
  EXPECT_EQ(world.pool.replicas, 1);
  EXPECT_EQ(world.target->replicas, 2) << "the replacement still comes";
}

TEST_F(Fleet, ScalingTheTargetWhileAReplacementComesIsTakenOver) {
  await_replacement();
  world.target->replicas = 5;
  settle(11);
  EXPECT_EQ(world.pool.replicas, 5);
}

// It would take the one more away again at each of its turns, and no replacement would ever be ready.
TEST_F(Fleet, AutoscalerOnTarget_GetsNoReplacement) {
  make({2});
  world.target_autoscalers = {"hpa"};
  world.nodes["node-1"].unschedulable = true;
  settle(10);
  EXPECT_EQ(world.target->replicas, 1);
  EXPECT_EQ(world.pool.status.surge_replicas, 0);
  EXPECT_THAT(served(), ElementsAre("old-a"))
      << "nobody else would serve, for as long as it is only cordoned";
  EXPECT_THAT(world.pool.status.endpoints[0].message, HasSubstr("it is the only one that does"));
}

TEST_F(Fleet, AReplacementIsGivenUpWhenAnAutoscalerComes) {
  make({2});
  world.nodes["node-1"].unschedulable = true;
  settle(10);
  ASSERT_EQ(world.target->replicas, 2);
  world.target_autoscalers = {"hpa"};
  settle(11);
  EXPECT_EQ(world.target->replicas, 1);
  EXPECT_EQ(world.pool.replicas, 1);
}

// It has no room, and nobody would know why the upgrade does not go on.
TEST_F(Fleet, TheOnlyOneWaitsForLong_ItIsTold) {
  make({2});
  world.target->has_pre_stop = world.target->has_readiness_probe = true;
  world.nodes["node-1"].unschedulable = true;
  world.draining_nodes.saw("node-1", DrainReason::kNodeCordoned, at_second(10).mono);
  pass_seconds(10, 12);
  settle(309);
  EXPECT_NE(condition(world.pool.status, "DisruptionSafe").reason, "OnlyReplicaStays");
  settle(310);
  const api::Condition& told = condition(world.pool.status, "DisruptionSafe");
  EXPECT_EQ(told.reason, "OnlyReplicaStays");
  EXPECT_EQ(told.status, "False");
  EXPECT_THAT(told.message, HasSubstr("make room for its replacement, kubectl poolwarden delete old-a"));
  world.target_autoscalers = {"hpa"};
  settle(400);
  EXPECT_THAT(condition(world.pool.status, "DisruptionSafe").message,
              HasSubstr("let HorizontalPodAutoscaler hpa scale the pool"));
  EXPECT_THAT(served(), ElementsAre("old-a"));
  world.nodes["node-1"].unschedulable = false;
  settle(410);
  EXPECT_NE(condition(world.pool.status, "DisruptionSafe").reason, "OnlyReplicaStays");
}

TEST_F(Fleet, TheOnlyOneWaitsForLong_ItDrainsWhereThePoolSaysSo) {
  make({2});
  world.pool.disruption.only_replica = api::OnlyReplica::kDrain;
  world.nodes["node-1"].unschedulable = true;
  world.draining_nodes.saw("node-1", DrainReason::kNodeCordoned, at_second(10).mono);
  pass_seconds(10, 12);
  settle(309);
  EXPECT_THAT(draining(), IsEmpty());
  EXPECT_EQ(world.decide(309).look_again, std::chrono::seconds{1});
  pass_seconds(310, 311);
  EXPECT_THAT(draining(), ElementsAre("old-a"));
  load["old-a-uid"] = 0;
  pass_seconds(312, 316);
  EXPECT_THAT(drained(), ElementsAre("old-a"));
  EXPECT_EQ(world.target->replicas, 2) << "its replacement is still to come";
}

// One of several that turned unready, say.
TEST_F(Fleet, TheLastThatServesOfSeveral_DrainsWhereThePoolSaysSo) {
  make({2, 3});
  world.pool.disruption.only_replica = api::OnlyReplica::kDrain;
  world.pod("old-b").serving = "false";
  world.pod("old-b").ready = api::Tristate::kFalse;
  world.nodes["node-1"].unschedulable = true;
  world.draining_nodes.saw("node-1", DrainReason::kNodeCordoned, at_second(10).mono);
  pass_seconds(10, 12);
  EXPECT_THAT(draining(), IsEmpty());
  pass_seconds(310, 311);
  EXPECT_THAT(draining(), ElementsAre("old-a"));
}

// Its replacement would come to the same node again, and so on.
TEST_F(Fleet, APodThatCameToANodeBeingEmptiedStays) {
  using std::chrono::seconds;
  make({2});
  world.pool.disruption.replace_first = true;
  world.nodes["node-1"].drain_taint = "ToBeDeletedByClusterAutoscaler";
  world.draining_nodes.saw("node-1", DrainReason::kNodeCordoned, at_second(0).mono);
  settle(10);
  ASSERT_EQ(world.target->replicas, 2);
  add_set("more", "new", {0}, 1);
  world.draining_nodes.bound("new-a-uid", "node-1", at_second(12).mono);
  pass_seconds(12, 13);
  ASSERT_THAT(draining(), ElementsAre("old-a"));
  load["old-a-uid"] = 0;
  pass_seconds(14, 18);
  take_released();
  pass_seconds(19, 25);
  EXPECT_THAT(served(), ElementsAre("new-a"));
  EXPECT_EQ(world.target->replicas, 1) << "no more replacements";
  ASSERT_EQ(world.pool.status.endpoints.size(), 2U);
  EXPECT_THAT(world.pool.status.endpoints[0].message, HasSubstr("it came to its node when"));
}

TEST_F(Fleet, APodWhoseNodeIsEmptiedTellsWhatItWaitsFor) {
  make({2, 1});
  world.nodes["node-1"].unschedulable = true;
  world.pod("old-b").serving = "false";
  world.pod("old-b").ready = api::Tristate::kFalse;
  settle(10);
  EXPECT_THAT(draining(), IsEmpty());
  EXPECT_THAT(world.pool.status.endpoints[0].message, HasSubstr("once the pool serves with 2, 1 do"));
  world.pod("old-b").ready = api::Tristate::kTrue;
  settle(11);
  ASSERT_THAT(draining(), ElementsAre("old-b"));
  EXPECT_THAT(world.pool.status.endpoints[0].message, HasSubstr("once the pool serves with 2, 1 do"));
  world.nodes["node-1"].unschedulable = false;
  settle(12);
  EXPECT_THAT(world.pool.status.endpoints, IsEmpty()) << "both are plainly ready";
}

// Who goes for its node is one too many already: the other is warm, and nobody has to be made in its place.
TEST_F(Fleet, AVictimComesBackWhereAnotherGoesForItsNode) {
  make({1, 2, 3});
  on_node_two("old-b");
  scale(2);
  settle(10);
  ASSERT_THAT(draining(), ElementsAre("old-a"));
  world.nodes["node-2"].unschedulable = true;
  settle(20);
  settle(21);
  EXPECT_THAT(draining(), ElementsAre("old-b"));
  EXPECT_THAT(served(), ElementsAre("old-a", "old-c"));
}

TEST_F(Fleet, RaisingReplicasTakesBackWhoDoesNotGoForItsNode) {
  make({1, 2, 3});
  on_node_two("old-b");
  on_node_two("old-c");
  world.nodes["node-1"].unschedulable = true;
  settle(10);
  ASSERT_THAT(draining(), ElementsAre("old-a"));
  scale(1);
  settle(11);
  ASSERT_THAT(draining(), ElementsAre("old-a", "old-b"));
  scale(2);
  settle(12);
  EXPECT_THAT(draining(), ElementsAre("old-a"));
}

TEST_F(Fleet, WhoIsNotWantedAnyMoreIsNotReplaced) {
  make({1, 2, 3});
  on_node_two("old-b");
  on_node_two("old-c");
  world.nodes["node-1"].unschedulable = true;
  settle(10);
  ASSERT_THAT(draining(), ElementsAre("old-a"));
  scale(1);
  pass_seconds(11, 14);
  EXPECT_THAT(draining(), ElementsAre("old-a", "old-b"));
  EXPECT_EQ(world.target->replicas, 1);
  EXPECT_EQ(world.pool.status.surge_replicas, 0);
}

TEST_F(Fleet, NobodyIsReplacedInAPoolOfNone) {
  make({1, 2});
  world.pool.disruption.replace_first = true;
  on_node_two("old-b");
  world.nodes["node-1"].unschedulable = true;
  world.pool.replicas = 0;
  settle(10);
  EXPECT_EQ(world.target->replicas, 0) << "before its ReplicaSet has heard of it";
  scale_replica_set(0);
  pass_seconds(11, 14);
  EXPECT_EQ(world.target->replicas, 0);
  EXPECT_THAT(served(), IsEmpty());
}

// As in a rollout that is paused: the ReplicaSet that brings the replacement would take another again, and so
// on.
TEST_F(Fleet, ReplacementInAnotherSet_StaysUntilRelease) {
  make({1, 2});
  add_set("next", "new", {3, 4}, 2);
  for (const char* pod : {"old-b", "new-a", "new-b"}) on_node_two(pod);
  world.pool.disruption.replace_first = true;
  world.pool.replicas = world.target->replicas = 3;
  settle(1);
  world.nodes["node-1"].unschedulable = true;
  pass_seconds(10, 12);
  ASSERT_THAT(draining(), ElementsAre("old-a"));
  ASSERT_EQ(world.target->replicas, 4);
  add_set("more", "more", {0}, 1);
  on_node_two("more-a");
  pass_seconds(13, 15);
  EXPECT_EQ(world.target->replicas, 4);
  load["old-a-uid"] = 0;
  pass_seconds(16, 19);
  ASSERT_THAT(drained(), ElementsAre("old-a"));
  EXPECT_EQ(world.target->replicas, 3);
}

TEST_F(Fleet, AReplacementStillComesFirstWhereAPersonIsImpatient) {
  make({2});
  world.nodes["node-1"].unschedulable = true;
  settle(10);
  ASSERT_EQ(world.target->replicas, 2);
  world.pod("old-a").annotations = std::make_shared<const api::DrainAnnotations>(api::DrainAnnotations{
      .started = {}, .reason = {}, .request = "requested", .saved_cost = {}, .deletion_cost = {}});
  pass_seconds(11, 13);
  ASSERT_THAT(draining(), ElementsAre("old-a"));
  EXPECT_EQ(world.target->replicas, 2);
}

// They serve, whoever decides about them.
TEST_F(Fleet, PodsThatAnotherPoolDecidesAboutCountAsServing) {
  make({1, 2, 3});
  on_node_two("old-b");
  on_node_two("old-c");
  world.led_by_others = {"old-b-uid", "old-c-uid"};
  world.nodes["node-1"].unschedulable = true;
  settle(10);
  EXPECT_THAT(draining(), ElementsAre("old-a"));
}

TEST_F(Fleet, AReleasedPodTellsWhatItWaitsForNow) {
  make({0, 2, 3});
  on_node_two("old-b");
  on_node_two("old-c");
  scale(2);
  pass_seconds(10, 14);
  ASSERT_THAT(drained(), ElementsAre("old-a"));
  EXPECT_THAT(world.pool.status.endpoints[0].message, HasSubstr("its controller deletes it"));
  EXPECT_TRUE(world.decide(14).oldest_drain);
  world.nodes["node-1"].unschedulable = true;
  scale(3);
  pass_seconds(15, 16);
  ASSERT_THAT(drained(), ElementsAre("old-a"));
  EXPECT_THAT(world.pool.status.endpoints[0].message, HasSubstr("evicted from its node"));
  EXPECT_FALSE(world.decide(16).oldest_drain) << "nobody is late";
}

TEST_F(Fleet, UncordoningTakesItBack) {
  make({2, 1});
  world.nodes["node-1"].unschedulable = true;
  settle(10);
  ASSERT_THAT(draining(), ElementsAre("old-b"));
  world.nodes["node-1"].unschedulable = false;
  settle(11);
  EXPECT_THAT(served(), ElementsAre("old-a", "old-b"));
}

TEST_F(Fleet, DrainTaintDrains_WithdrawTaintWithdraws) {
  make({2, 1});
  world.nodes["node-1"].drain_taint = "karpenter.sh/disrupted";
  settle(10);
  EXPECT_EQ(world.pod("old-b").drain_annotations().reason, "NodeTaint");
  world.nodes["node-1"].withdraw_taint = "node.kubernetes.io/out-of-service";
  settle(11);
  EXPECT_THAT(served(), IsEmpty());
}

// A pod in two budgets cannot be evicted at all: kubectl drain would give up.
TEST_F(Fleet, ABudgetOfSomebodyElse_OursSelectsNobody) {
  make({0, 5});
  const auto held = [this] { return world.budget->selector.match_expressions.back().values; };
  world.other_budgets = {"theirs"};
  settle(8);
  EXPECT_THAT(held(), ElementsAre("nobody"));
  world.other_budgets.clear();
  settle(9);
  EXPECT_THAT(held(), ElementsAre("draining", "finishing", "true"));
}

TEST_F(Fleet, ABudgetOfOursWithoutAnOwner_IsTakenBack) {
  make({0, 5});
  world.budget->owners.clear();
  settle(8);
  ASSERT_FALSE(world.budget->owners.empty());
  EXPECT_EQ(world.budget->owners[0].uid, world.pool.uid);
}

// Nobody would see that a node is cordoned, and so nobody would ever let its pods go.
TEST_F(Fleet, EvictionsAreNotHeldWhereNodesCannotBeRead) {
  make({0, 5});
  const auto held = [this] { return world.budget->selector.match_expressions.back().values; };
  EXPECT_THAT(held(), ElementsAre("draining", "finishing", "true"));
  world.nodes_stale = true;
  settle(8);
  EXPECT_THAT(held(), ElementsAre("nobody")) << "what was read once tells of no cordon that came since";
  world.nodes_stale = false;
  settle(9);
  EXPECT_THAT(held(), ElementsAre("draining", "finishing", "true"));
  world.nodes_readable = false;
  settle(10);
  EXPECT_THAT(held(), ElementsAre("nobody"));
  world.budget.reset();
  settle(11);
  EXPECT_FALSE(world.budget) << "none is made only to hold nobody";
}

}  // namespace
}  // namespace poolwarden::pool
