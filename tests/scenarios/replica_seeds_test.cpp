// Two and three operators from a seed (replica_story.h): no two ever undo each other.
#include "scenarios/replica_story.h"
#include "scenarios/seed_block.h"

#include <cstdint>
#include <string>

#include <gtest/gtest.h>

namespace poolwarden::scenarios {
namespace {

class ReplicaSeeds : public testing::TestWithParam<int> {};

TEST_P(ReplicaSeeds, NoTwoReplicasUndoEachOther) {
  const SeedBlock block = seed_block(GetParam());
  std::size_t by_standbys = 0;
  for (std::uint64_t seed = block.first; seed < block.last; ++seed) {
    const ReplicaOutcome outcome = run_replica_story(seed);
    ASSERT_EQ(outcome.wrong, "") << "seed " << seed << ", to run it again: POOLWARDEN_FIRST_SEED=" << seed
                                 << " POOLWARDEN_SEEDS=1 bin/replica_seeds";
    by_standbys += outcome.standby_withdrawals;
  }
  EXPECT_GE(by_standbys, (block.last - block.first) / 4)
      << "hardly any standby had anything to do: this tests nothing";
}

INSTANTIATE_TEST_SUITE_P(Block, ReplicaSeeds, testing::Range(0, kSeedBlocks));

}  // namespace
}  // namespace poolwarden::scenarios
