// A pool that is being deleted (someone else's finalizer holds it) decides nothing any more: its pods are
// nobody's.
#include "world.h"

#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

TEST(Deletion, ThePoolThatGoesWritesNothing) {
  World world = settled();
  world.pool.deleting = true;
  world.pod("vllm-a").ready = api::Tristate::kFalse;
  world.service->labels.clear();
  EXPECT_TRUE(world.decide().empty()) << "the list stays as it is: gateways keep it when the ConfigMap goes";
}

TEST(Deletion, NothingIsMadeForAPoolThatGoes) {
  World world;
  world.pool.deleting = true;
  EXPECT_TRUE(world.decide().empty());
}

}  // namespace
}  // namespace poolwarden::pool
