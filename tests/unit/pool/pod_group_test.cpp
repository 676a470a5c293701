// A group of a LeaderWorkerSet serves as one: what becomes of a worker becomes of its leader's endpoint.
#include "pool/pod_group.h"

#include "fleet.h"
#include "pool/observation.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

api::Pod member_of_group(int group, int index) {
  const std::string number = std::to_string(group);
  const std::string name = "llm-" + number + (index == 0 ? "" : "-" + std::to_string(index));
  api::Pod out = with_labels(ready_pod(name, "10.0." + number + "." + std::to_string(index + 1)),
                             {{"app", "vllm"},
                              {std::string(api::kGroupSetLabel), "llm"},
                              {std::string(api::kGroupIndexLabel), number},
                              {std::string(api::kWorkerIndexLabel), std::to_string(index)}});
  out.group_size = 2;
  return out;
}

// llm-0, llm-1 ... with a worker each: llm-0-1, llm-1-1 ...
class GroupFleet : public Fleet {
 protected:
  void make_groups(int count) {
    world.pods.clear();
    world.replica_sets.clear();
    world.stateful_sets = {{}};
    api::StatefulSet& set = world.stateful_sets[0];
    set.name = "llm";
    set.uid = "llm-uid";
    set.replicas = count;
    set.ordered = false;
    for (int group = 0; group < count; ++group) {
      api::Pod leader = member_of_group(group, 0);
      leader.controller = std::make_shared<const std::string>(set.uid);
      load[leader.uid] = 1;
      world.pods.push_back(std::move(leader));
      world.pods.push_back(member_of_group(group, 1));
    }
    world.pool.scale_target = {
        .api_version = "leaderworkerset.x-k8s.io/v1", .kind = "LeaderWorkerSet", .name = "llm"};
    world.target->name = "llm";
    world.target->selector.match_labels = {{std::string(api::kGroupSetLabel), "llm"},
                                           {std::string(api::kWorkerIndexLabel), "0"}};
    world.target->replicas = world.target->status_replicas = count;
    world.pool.replicas = count;
    settle(0);
  }
  std::vector<std::string> members() const { return in_state(api::serving::kMember); }
  // Of the leader that leaves the list now.
  EndpointChange withdrawal() const {
    const Plan plan = world.decide(10);
    return plan.publish && !plan.publish->changes.empty() ? plan.publish->changes[0] : EndpointChange{};
  }
};

TEST_F(GroupFleet, LeadersAreEndpoints_WorkersAreHeldWithThem) {
  make_groups(2);
  EXPECT_THAT(served(), ElementsAre("llm-0", "llm-1"));
  EXPECT_THAT(members(), ElementsAre("llm-0-1", "llm-1-1"));
}

TEST_F(GroupFleet, TheBudgetHoldsLeadersAndWorkers) {
  make_groups(1);
  ASSERT_TRUE(world.budget);
  EXPECT_EQ(world.budget->selector.to_string(),
            "leaderworkerset.sigs.k8s.io/name in (llm),poolwarden.io/serving in "
            "(draining,finishing,member,true)");
  for (const api::Pod& pod : world.pods) {
    api::LabelMap labels = pod.labels->to_map();
    labels.emplace(api::kServingLabel, *pod.serving);
    EXPECT_TRUE(world.budget->selector.matches(labels)) << pod.name;
  }
}

TEST_F(GroupFleet, AWorkerThatIsNotReady_WithdrawsItsLeaderAlone) {
  make_groups(2);
  world.pod("llm-1-1").ready = api::Tristate::kFalse;
  const EndpointChange change = withdrawal();
  EXPECT_EQ(change.pod, "llm-1");
  EXPECT_EQ(to_string(change.reason), "GroupNotReady");
  EXPECT_EQ(change.detail, "its worker llm-1-1: its condition Ready is False");
  settle(10);
  EXPECT_THAT(served(), ElementsAre("llm-0"));
  EXPECT_THAT(in_state("finishing"), ElementsAre("llm-1")) << "it may still answer";
  world.pod("llm-1-1").ready = api::Tristate::kTrue;
  settle(11);
  EXPECT_THAT(served(), ElementsAre("llm-0", "llm-1"));
}

TEST_F(GroupFleet, AWorkerThatIsGone_LeavesAGroupThatIsNotWhole) {
  make_groups(1);
  std::erase_if(world.pods, [](const api::Pod& pod) { return pod.name == "llm-0-1"; });
  const EndpointChange change = withdrawal();
  EXPECT_EQ(change.pod, "llm-0");
  EXPECT_EQ(change.detail, "its group has 1 of 2 pods");
}

TEST_F(GroupFleet, AWorkerThatTerminates_WithdrawsItsLeader) {
  make_groups(1);
  world.pod("llm-0-1").deletion_timestamp = api::Timestamp{};
  EXPECT_THAT(withdrawal().detail, HasSubstr("its worker llm-0-1: it is being deleted"));
}

TEST_F(GroupFleet, AWorkersNodeThatIsGone_WithdrawsItsLeader) {
  make_groups(1);
  world.pod("llm-0-1").node = std::make_shared<const std::string>("lost");
  EXPECT_EQ(withdrawal().detail, "its worker llm-0-1: its node lost is gone");
}

TEST_F(GroupFleet, AGroupOfAnotherSize_IsWholeAsItWasMade) {
  make_groups(2);
  world.pods.push_back(member_of_group(1, 2));
  world.pod("llm-1").group_size = 3;
  settle(10);
  EXPECT_THAT(served(), ElementsAre("llm-0", "llm-1")) << "its set is given three, one group after the other";
}

TEST_F(GroupFleet, AWorkersNodeThatIsNotHeardOf_IsNoSignAmongMany_AlsoWithoutATarget) {
  make_groups(1);
  world.pod("llm-0-1").serving.reset();
  world.pool.scale_target.reset();
  world.pool.selector = api::LabelSelector{.match_labels = {{std::string(api::kGroupSetLabel), "llm"}},
                                           .match_expressions = {}};
  on_node_two("llm-0-1");
  world.nodes["node-2"].ready = api::Tristate::kUnknown;
  world.unseen_nodes = UnseenNodes{};
  settle(10);
  EXPECT_THAT(served(), ElementsAre("llm-0"));
}

TEST_F(GroupFleet, ALeaderThatCameLate_DoesNotHideAWorkerThatHasToLeave) {
  make_groups(2);
  on_node("node-2", "llm-1");
  on_node("node-3", "llm-1-1");
  for (const auto* node : {"node-2", "node-3"}) world.nodes[node].unschedulable = true;
  world.draining_nodes.saw("node-2", DrainReason::kNodeCordoned, at_second(1).mono);
  world.draining_nodes.bound("llm-1-uid", "node-2", at_second(60).mono);
  ASSERT_TRUE(world.draining_nodes.scheduled_after_drain("llm-1-uid"));
  world.draining_nodes.saw("node-3", DrainReason::kNodeCordoned, at_second(100).mono);
  settle(101);
  EXPECT_THAT(draining(), ElementsAre("llm-1"));
}

TEST_F(GroupFleet, ALeaderThatLeavesThePool_TakesItsWorkersAlong) {
  make_groups(2);
  world.pod("llm-1") = with_labels(world.pod("llm-1"), {{"app", "vllm"},
                                                        {std::string(api::kGroupSetLabel), "other"},
                                                        {std::string(api::kGroupIndexLabel), "1"},
                                                        {std::string(api::kWorkerIndexLabel), "0"}});
  world.pod("llm-1-1") = with_labels(world.pod("llm-1-1"), world.pod("llm-1").labels->to_map());
  world.pod("llm-1-1") = with_labels(world.pod("llm-1-1"), {{"app", "vllm"},
                                                            {std::string(api::kGroupSetLabel), "other"},
                                                            {std::string(api::kGroupIndexLabel), "1"},
                                                            {std::string(api::kWorkerIndexLabel), "1"}});
  settle(10);
  EXPECT_THAT(members(), ElementsAre("llm-0-1"));
}

TEST_F(GroupFleet, AWorkersNodeThatIsNotHeardOf_IsNoSignAmongMany) {
  make_groups(1);
  on_node_two("llm-0-1");
  world.nodes["node-2"].ready = api::Tristate::kUnknown;
  world.unseen_nodes = UnseenNodes{};
  settle(10);
  EXPECT_THAT(served(), ElementsAre("llm-0"));
}

TEST_F(GroupFleet, AWorkersNodeIsCordoned_TheLeaderDrainsBeforeTheWorkerIsLetGo) {
  make_groups(2);
  on_node_two("llm-1-1");
  world.nodes["node-2"].unschedulable = true;
  settle(10);
  EXPECT_THAT(draining(), ElementsAre("llm-1"));
  EXPECT_EQ(world.pod("llm-1").drain_annotations().reason, "NodeCordoned");
  EXPECT_THAT(members(), Contains("llm-1-1")) << "its leader answers";
  load["llm-1-uid"] = 0;
  pass_seconds(11, 15);
  EXPECT_THAT(drained(), ElementsAre("llm-1"));
  EXPECT_THAT(members(), ElementsAre("llm-0-1"));
  world.nodes["node-2"].unschedulable = false;
  pass_seconds(16, 17);
  EXPECT_THAT(served(), ElementsAre("llm-0", "llm-1")) << "called off";
  EXPECT_THAT(members(), ElementsAre("llm-0-1", "llm-1-1"));
}

TEST_F(GroupFleet, TwoNodesOfAGroupAreCordoned_ItDrainsOnce) {
  make_groups(2);
  on_node_two("llm-1-1");
  on_node("node-3", "llm-1");
  world.nodes["node-2"].unschedulable = world.nodes["node-3"].unschedulable = true;
  settle(10);
  EXPECT_THAT(draining(), ElementsAre("llm-1"));
  EXPECT_THAT(served(), ElementsAre("llm-0"));
}

TEST_F(GroupFleet, TheOnlyGroupOnACordonedNodeStays_AndTheWorkersNodeIsNamed) {
  make_groups(1);
  on_node_two("llm-0-1");
  world.nodes["node-2"].unschedulable = true;
  world.draining_nodes.saw("node-2", DrainReason::kNodeCordoned, at_second(10).mono);
  settle(10);
  EXPECT_THAT(served(), ElementsAre("llm-0"));
  pass_seconds(1000, 1001);
  const auto status = world.pool.status;
  EXPECT_EQ(condition(status, "DisruptionSafe").reason, "OnlyReplicaStays");
  EXPECT_THAT(condition(status, "DisruptionSafe").message, HasSubstr("Node node-2 is being emptied"));
}

TEST_F(GroupFleet, ScaledDown_TheHighestGroupDrains) {
  make_groups(3);
  world.stateful_sets[0].replicas = world.target->replicas = 1;
  world.pool.replicas = 1;
  settle(10);
  EXPECT_THAT(draining(), ElementsAre("llm-1", "llm-2"));
  EXPECT_THAT(members(), ElementsAre("llm-0-1", "llm-1-1", "llm-2-1"));
}

TEST_F(GroupFleet, APoolWithoutATargetHoldsNoWorker) {
  make_groups(1);
  world.pool.scale_target.reset();
  world.pool.selector = api::LabelSelector{.match_labels = {{std::string(api::kGroupSetLabel), "llm"}},
                                           .match_expressions = {}};
  world.pod("llm-0-1").serving.reset();
  settle(10);
  EXPECT_THAT(members(), IsEmpty()) << "its budget does not select them";
}

TEST_F(GroupFleet, AWorkerLabelledByAnotherPoolIsLeftAlone) {
  make_groups(1);
  world.pod("llm-0-1").serving = "true";
  settle(10);
  EXPECT_EQ(serving(world.pod("llm-0-1")), "true");
}

TEST_F(GroupFleet, AGroupLargerThanIsLookedAt_IsWholeWithThoseThatAre) {
  make_groups(1);
  world.pod("llm-0").group_size = 1000;
  std::erase_if(world.pods, [](const api::Pod& pod) { return pod.name == "llm-0-1"; });
  for (std::size_t i = 1; i < kMaxGroup; ++i) world.pods.push_back(member_of_group(0, static_cast<int>(i)));
  settle(10);
  EXPECT_THAT(served(), ElementsAre("llm-0"));
}

TEST(PodGroup, IsOfAWholeSetOfLabels) {
  EXPECT_EQ(group_of(*member_of_group(3, 1).labels), "llm/3");
  EXPECT_FALSE(group_of(api::LabelMap{{std::string(api::kGroupSetLabel), "llm"}}));
  EXPECT_TRUE(is_leader(*member_of_group(0, 0).labels));
  EXPECT_FALSE(is_worker(*member_of_group(0, 0).labels));
  EXPECT_TRUE(is_worker(*member_of_group(0, 2).labels));
  EXPECT_FALSE(is_worker(*ready_pod("a", "10.0.0.1").labels));
}

TEST(PodGroup, APoolOfALeaderWorkerSetSelectsItsLeaders) {
  World world;
  world.pool.scale_target = {
      .api_version = "leaderworkerset.x-k8s.io/v1", .kind = "LeaderWorkerSet", .name = "llm"};
  world.pool.selector = api::LabelSelector{.match_labels = {{"app", "vllm"}}, .match_expressions = {}};
  const auto selector = selector_in_force(world.pool, nullptr);
  ASSERT_TRUE(selector);
  EXPECT_EQ(selector->to_string(),
            "app=vllm,leaderworkerset.sigs.k8s.io/name=llm,leaderworkerset.sigs.k8s.io/worker-index=0");
  EXPECT_TRUE(selector->matches(*member_of_group(0, 0).labels));
  EXPECT_FALSE(selector->matches(*member_of_group(0, 1).labels));
  world.pool.selector->match_expressions = {
      {.key = std::string(api::kWorkerIndexLabel), .op = "Exists", .values = {}}};
  EXPECT_TRUE(selector_in_force(world.pool, nullptr)->matches(*member_of_group(0, 1).labels))
      << "who asks for workers by their label gets them";
}

}  // namespace
}  // namespace poolwarden::pool
