// Which seeds a test takes. POOLWARDEN_SEEDS says how many there are in all and POOLWARDEN_FIRST_SEED which
// is the first. They are cut into kSeedBlocks blocks, each a test of its own, so that GoogleTest's sharding
// (GTEST_TOTAL_SHARDS) spreads them over processes.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace poolwarden::scenarios {

inline constexpr int kSeedBlocks = 8;

// From the first to before the last.
struct SeedBlock {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

inline SeedBlock seed_block(int block) {
  const auto from_environment = [](const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
  };
  const std::uint64_t first = from_environment("POOLWARDEN_FIRST_SEED", 1);
  const std::uint64_t count = from_environment("POOLWARDEN_SEEDS", 40);
  constexpr auto kBlocks = static_cast<std::uint64_t>(kSeedBlocks);
  const auto at = static_cast<std::uint64_t>(block);
  return {first + count * at / kBlocks, first + count * (at + 1) / kBlocks};
}

}  // namespace poolwarden::scenarios
