#include "pool/emptied_nodes.h"

#include <chrono>

#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

EmptiedNodes::TimePoint after_seconds(int second) {
  return EmptiedNodes::TimePoint{} + std::chrono::seconds(second);
}

TEST(EmptiedNodes, APodThatComesOnceTheNodeIsBeingEmptiedIsLate) {
  EmptiedNodes nodes;
  nodes.bound("before", "node", after_seconds(5));
  nodes.saw("node", true, after_seconds(10));
  nodes.bound("just-then", "node", after_seconds(19));
  nodes.saw("node", true, after_seconds(19));  // said again: it is since 10 all the same
  nodes.bound("after", "node", after_seconds(20));
  nodes.bound("elsewhere", "other", after_seconds(20));
  EXPECT_FALSE(nodes.came_late("before"));
  EXPECT_FALSE(nodes.came_late("just-then"));
  EXPECT_TRUE(nodes.came_late("after"));
  EXPECT_FALSE(nodes.came_late("elsewhere"));
}

TEST(EmptiedNodes, EmptiedOnceMoreAllItsPodsAreOfBefore) {
  EmptiedNodes nodes;
  nodes.saw("node", true, after_seconds(0));
  nodes.bound("pod", "node", after_seconds(20));
  nodes.saw("node", false, after_seconds(30));
  nodes.saw("node", true, after_seconds(40));
  EXPECT_FALSE(nodes.came_late("pod"));
}

TEST(EmptiedNodes, ForgetsPodsThatAreGone) {
  EmptiedNodes nodes;
  nodes.saw("node", true, after_seconds(0));
  nodes.bound("pod", "node", after_seconds(20));
  nodes.forget("pod");
  EXPECT_FALSE(nodes.came_late("pod"));
}

}  // namespace
}  // namespace poolwarden::pool
