// Chance as an argument, like time: jitter that a test can fix and a seed can repeat.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <random>

namespace poolwarden::base {

using RandomSource = std::function<double()>;  // uniform in [0, 1); called by its owner's thread only

// Copies draw from one sequence: two streams given the same source must not jitter in step.
inline RandomSource seeded_random(std::uint64_t seed) {
  // Not std::uniform_real_distribution: its sequence differs between standard libraries.
  return [engine = std::make_shared<std::mt19937_64>(seed)] {
    return static_cast<double>((*engine)() >> 11) * 0x1.0p-53;
  };
}

// Another sequence in each process.
inline RandomSource unseeded_random() {
  return seeded_random(std::random_device{}());
}

}  // namespace poolwarden::base
