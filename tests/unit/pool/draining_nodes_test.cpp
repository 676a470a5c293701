#include "pool/draining_nodes.h"

#include <chrono>

#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

DrainingNodes::TimePoint after_seconds(int second) {
  return DrainingNodes::TimePoint{} + std::chrono::seconds(second);
}

TEST(DrainingNodes, APodThatComesOnceTheNodeIsBeingEmptiedIsLate) {
  DrainingNodes nodes;
  nodes.bound("before", "node", after_seconds(5));
  nodes.saw("node", DrainReason::kNodeCordoned, after_seconds(10));
  nodes.bound("just-then", "node", after_seconds(19));
  nodes.saw("node", DrainReason::kNodeCordoned,
            after_seconds(19));  // said again: it is since 10 all the same
  nodes.bound("after", "node", after_seconds(20));
  nodes.bound("elsewhere", "other", after_seconds(20));
  EXPECT_FALSE(nodes.scheduled_after_drain("before"));
  EXPECT_FALSE(nodes.scheduled_after_drain("just-then"));
  EXPECT_TRUE(nodes.scheduled_after_drain("after"));
  EXPECT_FALSE(nodes.scheduled_after_drain("elsewhere"));
}

TEST(DrainingNodes, EmptiedOnceMoreAllItsPodsAreOfBefore) {
  DrainingNodes nodes;
  nodes.saw("node", DrainReason::kNodeCordoned, after_seconds(0));
  nodes.bound("pod", "node", after_seconds(20));
  nodes.saw("node", std::nullopt, after_seconds(30));
  nodes.saw("node", DrainReason::kNodeCordoned, after_seconds(40));
  EXPECT_FALSE(nodes.scheduled_after_drain("pod"));
}

// As an autoscaler that taints, and a person who cordons.
TEST(DrainingNodes, EmptiedBySomebodyElseAllItsPodsAreOfBefore) {
  DrainingNodes nodes;
  nodes.saw("node", DrainReason::kNodeTaint, after_seconds(0));
  nodes.bound("pod", "node", after_seconds(20));
  EXPECT_TRUE(nodes.scheduled_after_drain("pod"));
  nodes.saw("node", DrainReason::kNodeCordoned, after_seconds(40));
  EXPECT_FALSE(nodes.scheduled_after_drain("pod"));
  EXPECT_EQ(nodes.draining_since("node"), after_seconds(40));
}

TEST(DrainingNodes, TellsSinceWhenANodeDrains) {
  DrainingNodes nodes;
  EXPECT_FALSE(nodes.draining_since("node"));
  nodes.saw("node", DrainReason::kNodeCordoned, after_seconds(10));
  nodes.saw("node", DrainReason::kNodeCordoned, after_seconds(20));
  EXPECT_EQ(nodes.draining_since("node"), after_seconds(10));
  nodes.saw("node", std::nullopt, after_seconds(30));
  EXPECT_FALSE(nodes.draining_since("node"));
}

TEST(DrainingNodes, TellsSinceWhenANodeIsKnownToEnd) {
  DrainingNodes nodes;
  EXPECT_FALSE(nodes.any_ends());
  nodes.ends("node", true, after_seconds(10));
  nodes.ends("node", true, after_seconds(20));
  EXPECT_EQ(nodes.ending_since("node"), after_seconds(10));
  EXPECT_TRUE(nodes.any_ends());
  nodes.ends("node", false, after_seconds(30));
  EXPECT_FALSE(nodes.any_ends());
}

TEST(DrainingNodes, ForgetsPodsThatAreGone) {
  DrainingNodes nodes;
  nodes.saw("node", DrainReason::kNodeCordoned, after_seconds(0));
  nodes.bound("pod", "node", after_seconds(20));
  nodes.forget("pod");
  EXPECT_FALSE(nodes.scheduled_after_drain("pod"));
}

}  // namespace
}  // namespace poolwarden::pool
