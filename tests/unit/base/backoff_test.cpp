#include "base/backoff.h"

#include <chrono>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::base {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using Duration = std::chrono::steady_clock::duration;

TEST(ExponentialDelay, IsTheSequenceOfTheHeader) {
  std::vector<Duration> delays;
  for (std::uint32_t n = 0; n < 20; ++n) {
    delays.push_back(exponential_delay(5ms, n, 1000s));
  }
  EXPECT_THAT(delays,
              ElementsAre(5ms, 10ms, 20ms, 40ms, 80ms, 160ms, 320ms, 640ms, 1280ms, 2560ms, 5120ms, 10240ms,
                          20480ms, 40960ms, 81920ms, 163840ms, 327680ms, 655360ms, 1000s, 1000s));
}

TEST(ExponentialDelay, DoesNotOverflow) {
  EXPECT_EQ(exponential_delay(5ms, 4'000'000'000U, 1000s), 1000s);
  EXPECT_EQ(exponential_delay(5ms, 4'000'000'000U, Duration::max()), Duration::max());
  EXPECT_EQ(exponential_delay(5ms, 0, 1ms), 1ms) << "the cap holds for the first delay too";
  EXPECT_EQ(exponential_delay(0ms, 70, 1s), 0ms);
}

}  // namespace
}  // namespace poolwarden::base
