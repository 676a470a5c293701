#include "pool/emptied_nodes.h"

#include <chrono>

#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

EmptiedNodes::TimePoint at(int second) {
  return EmptiedNodes::TimePoint{} + std::chrono::seconds(second);
}

TEST(EmptiedNodes, APodThatComesOnceTheNodeIsBeingEmptiedIsLate) {
  EmptiedNodes nodes;
  nodes.bound("before", "node", at(5));
  nodes.saw("node", true, at(10));
  nodes.bound("just-then", "node", at(19));
  nodes.saw("node", true, at(19));  // said again: it is since 10 all the same
  nodes.bound("after", "node", at(20));
  nodes.bound("elsewhere", "other", at(20));
  EXPECT_FALSE(nodes.came_late("before"));
  EXPECT_FALSE(nodes.came_late("just-then"));
  EXPECT_TRUE(nodes.came_late("after"));
  EXPECT_FALSE(nodes.came_late("elsewhere"));
}

TEST(EmptiedNodes, EmptiedOnceMoreAllItsPodsAreOfBefore) {
  EmptiedNodes nodes;
  nodes.saw("node", true, at(0));
  nodes.bound("pod", "node", at(20));
  nodes.saw("node", false, at(30));
  nodes.saw("node", true, at(40));
  EXPECT_FALSE(nodes.came_late("pod"));
}

TEST(EmptiedNodes, ForgetsPodsThatAreGone) {
  EmptiedNodes nodes;
  nodes.saw("node", true, at(0));
  nodes.bound("pod", "node", at(20));
  nodes.forget("pod");
  EXPECT_FALSE(nodes.came_late("pod"));
}

}  // namespace
}  // namespace poolwarden::pool
