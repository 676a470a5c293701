// Dice of a seed, for what a simulation does to the operator.
#pragma once

#include <chrono>
#include <cstdint>
#include <random>

namespace poolwarden::scenarios {

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  // One of many dice of a seed, which do not follow from each other.
  Dice(std::uint64_t seed, std::uint64_t index) {
    const auto low = [](std::uint64_t value) { return static_cast<std::uint32_t>(value); };
    std::seed_seq both{low(seed), low(seed >> 32), low(index), low(index >> 32)};
    engine_.seed(both);
  }

  int below(int bound) { return static_cast<int>(engine_() % static_cast<std::uint64_t>(bound)); }
  bool chance(int percent) { return below(100) < percent; }
  std::chrono::nanoseconds until(std::chrono::nanoseconds most) {
    return std::chrono::nanoseconds(
        static_cast<std::int64_t>(engine_() % static_cast<std::uint64_t>(most.count())));
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace poolwarden::scenarios
