// The whole operator from a seed (cluster_story.h).
#include "scenarios/cluster_story.h"
#include "scenarios/scenario_cluster.h"
#include "scenarios/seed_block.h"

#include <cstdint>
#include <string>

#include <gtest/gtest.h>

namespace poolwarden::scenarios {
namespace {

class Seeds : public testing::TestWithParam<int> {};

TEST_P(Seeds, TheListIsTrueWheneverTheClusterComesToRest) {
  const SeedBlock block = seed_block(GetParam());
  for (std::uint64_t seed = block.first; seed < block.last; ++seed) {
    ASSERT_EQ(run_cluster_story(seed), "")
        << "seed " << seed << ", to run it again: POOLWARDEN_FIRST_SEED=" << seed
        << " POOLWARDEN_SEEDS=1 bin/seeds";
  }
}

INSTANTIATE_TEST_SUITE_P(Block, Seeds, testing::Range(0, kSeedBlocks));

TEST(Seed, TakenAgain_IsTheSameRun) {
  const auto requests = [](std::uint64_t seed) {
    sim::SimWorld world(cluster_story_world(seed));
    ScenarioCluster cluster(world);
    world.add_operator({"a", "poolwarden", seed, false}).start();
    cluster.create_deployment("vllm", {{"replicas", "3"}});
    cluster.create_pool("vllm", {{"target", "vllm"}});
    world.settle(std::chrono::minutes(1));
    std::string all;
    for (const auto& request : world.op(0).network().requests)
      all += request.verb + request.resource + request.name;
    return all + std::to_string(world.time().elapsed().count());
  };
  EXPECT_EQ(requests(7), requests(7));
}

}  // namespace
}  // namespace poolwarden::scenarios
