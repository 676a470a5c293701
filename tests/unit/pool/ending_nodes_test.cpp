// Nodes that end within moments: all their pods go at once, in the time that there is.
#include "fleet.h"

#include <chrono>
#include <string>

#include <gmock/gmock.h>

namespace poolwarden::pool {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class EndingNode : public Fleet {
 protected:
  void ends(const std::string& node, int second) {
    world.nodes[node].deadline_taint = "aws-node-termination-handler/spot-itn";
    world.draining_nodes.saw(node, DrainReason::kNodeCordoned, at_second(second).mono);
    world.draining_nodes.ends(node, true, at_second(second).mono);
  }
};

TEST_F(EndingNode, AllItsPodsGoAtOnce_AsLongAsAnotherServes) {
  make({2, 1, 3});
  on_node_two("old-c");
  ends("node-1", 10);
  settle(10);
  EXPECT_THAT(draining(), ElementsAre("old-a", "old-b"));
  EXPECT_THAT(served(), ElementsAre("old-c"));
  EXPECT_EQ(world.pod("old-a").drain_annotations().reason, "NodeTaint");
}

TEST_F(EndingNode, OneThatIsKeptBeyondItsTime_HasAllThatItsNodeHas) {
  make({2, 1, 3});
  on_node_two("old-c");
  world.pool.drain.timeout = std::chrono::seconds{30};
  world.pool.drain.on_timeout = api::OnTimeout::kKeep;
  scale_replica_set(2);
  settle(10);
  ASSERT_THAT(draining(), ElementsAre("old-b"));
  ends("node-1", 210);
  settle(210);
  settle(299);
  EXPECT_THAT(drained(), IsEmpty());
  settle(300);
  EXPECT_THAT(drained(), ElementsAre("old-a", "old-b")) << "old-a began when the node did";
}

TEST_F(EndingNode, NobodyElseServes_TheyGoOneByOneAndTheLastStays) {
  make({2, 1});
  ends("node-1", 10);
  pass_seconds(10, 12);
  EXPECT_THAT(draining(), ElementsAre("old-b"));
  EXPECT_THAT(served(), ElementsAre("old-a"));
}

TEST_F(EndingNode, TwoOfThemAndNoOther_OneIsEmptied) {
  make({2, 1, 3});
  on_node_two("old-c");
  ends("node-1", 10);
  ends("node-2", 10);
  pass_seconds(10, 12);
  EXPECT_THAT(served(), ElementsAre("old-c"));
}

TEST_F(EndingNode, DrainsEndWithIt) {
  make({2, 1, 3});
  on_node_two("old-c");
  ends("node-1", 10);
  pass_seconds(10, 99);
  EXPECT_THAT(draining(), ElementsAre("old-a", "old-b"));
  ASSERT_EQ(world.pool.status.endpoints.size(), 2U);
  EXPECT_EQ(world.pool.status.endpoints[0].deadline, at_second(100).wall);
  settle(100);
  EXPECT_THAT(drained(), ElementsAre("old-a", "old-b"));
}

TEST_F(EndingNode, ADrainThatBeganBefore_HasWhatIsLeft) {
  make({2, 1, 3});
  on_node_two("old-c");
  scale(2);
  settle(10);
  ASSERT_THAT(draining(), ElementsAre("old-b"));
  pass_seconds(11, 100);
  ends("node-1", 100);
  pass_seconds(101, 189);
  EXPECT_THAT(draining(), testing::Contains("old-b"));
  settle(190);
  EXPECT_THAT(drained(), testing::Contains("old-b"));
}

TEST_F(EndingNode, ADrainIsNeverLongerForIt) {
  make({2, 1, 3});
  on_node_two("old-c");
  world.pool.drain.timeout = std::chrono::seconds{20};
  ends("node-1", 10);
  pass_seconds(10, 30);
  EXPECT_THAT(drained(), ElementsAre("old-a", "old-b"));
}

}  // namespace
}  // namespace poolwarden::pool
