// Drains from a seed: engines that answer requests, people and programs that scale, roll out, cordon, label,
// delete and change their minds, a network that fails, and operators that come and go.
//
// POOLWARDEN_SEEDS says how many, POOLWARDEN_FIRST_SEED which is the first: to run one again. A seed that
// fails prints what happened; with POOLWARDEN_TELL set, every one does. Every other seed has no fault of the
// network or the API server, and is judged more strictly.
#include "scenarios/drain_draw.h"
#include "scenarios/drain_story.h"
#include "scenarios/seed_block.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include <gtest/gtest.h>

namespace poolwarden::scenarios {
namespace {

using Draw = DrainScript (*)(std::uint64_t seed);

void run_seeds(Draw draw, int block_number, const char* suite) {
  const SeedBlock block = seed_block(block_number);
  const std::uint64_t count = block.last - block.first;
  sim::DrainInvariants::Counts all;
  for (std::uint64_t seed = block.first; seed < block.last; ++seed) {
    DrainStory story(draw(seed));
    ASSERT_EQ(story.run(), "") << "seed " << seed << ", to run it again: POOLWARDEN_FIRST_SEED=" << seed
                               << " POOLWARDEN_SEEDS=1 bin/drain_seeds --gtest_filter='*/" << suite << "*'\n"
                               << story.told();
    if (std::getenv("POOLWARDEN_TELL") != nullptr) std::fputs(story.told().c_str(), stderr);
    const auto& counts = story.counts();
    all.started += counts.started;
    all.idle += counts.idle;
    all.timed_out += counts.timed_out;
    all.cancelled += counts.cancelled;
  }
  testing::Test::RecordProperty("drains_started", std::to_string(all.started));
  // Otherwise nothing was tried.
  if (count >= 5) {
    EXPECT_GT(all.started, 0U);
  }
  if (count < 100) return;
  EXPECT_GT(all.idle, count);
  EXPECT_GT(all.timed_out, count / 4);
  EXPECT_GT(all.cancelled, count / 4);
}

class DrainSeeds : public testing::TestWithParam<int> {};

TEST_P(DrainSeeds, NothingIsCutAndNothingIsLeftBehind) {
  run_seeds(draw_drain_script, GetParam(), "DrainSeeds");
}

INSTANTIATE_TEST_SUITE_P(Block, DrainSeeds, testing::Range(0, kSeedBlocks));

// The same of a StatefulSet, where the controller goes by ordinals.
class StatefulDrainSeeds : public testing::TestWithParam<int> {};

TEST_P(StatefulDrainSeeds, NothingIsCutAndNothingIsLeftBehind) {
  run_seeds(draw_stateful_drain_script, GetParam(), "StatefulDrainSeeds");
}

INSTANTIATE_TEST_SUITE_P(Block, StatefulDrainSeeds, testing::Range(0, kSeedBlocks));

}  // namespace
}  // namespace poolwarden::scenarios
