#include "base/token_bucket.h"

#include <chrono>

#include <gtest/gtest.h>

namespace poolwarden::base {
namespace {

using namespace std::chrono_literals;

const TokenBucket::TimePoint kLimiterStart = TokenBucket::TimePoint{} + 1h;

TEST(TokenBucket, GivesItsBurstAtOnceAndThenOneTokenEachPeriod) {
  TokenBucket bucket(100ms, 3);
  EXPECT_TRUE(bucket.full(kLimiterStart));
  EXPECT_TRUE(bucket.try_take(kLimiterStart));
  EXPECT_TRUE(bucket.try_take(kLimiterStart));
  EXPECT_TRUE(bucket.try_take(kLimiterStart));
  EXPECT_FALSE(bucket.try_take(kLimiterStart));
  EXPECT_EQ(bucket.next_token(), kLimiterStart + 100ms);
  EXPECT_FALSE(bucket.try_take(kLimiterStart + 99ms));
  EXPECT_TRUE(bucket.try_take(kLimiterStart + 100ms));
  EXPECT_FALSE(bucket.try_take(kLimiterStart + 199ms));
  EXPECT_TRUE(bucket.try_take(kLimiterStart + 200ms));
}

TEST(TokenBucket, ARefusedTakeCostsNothing) {
  TokenBucket bucket(1s, 1);
  ASSERT_TRUE(bucket.try_take(kLimiterStart));
  for (int i = 0; i < 1000; ++i) {
    ASSERT_FALSE(bucket.try_take(kLimiterStart + 500ms));
  }
  EXPECT_TRUE(bucket.try_take(kLimiterStart + 1s));
}

TEST(TokenBucket, NeverSavesMoreThanItsBurst) {
  TokenBucket bucket(1s, 2);
  ASSERT_TRUE(bucket.try_take(kLimiterStart));
  const TokenBucket::TimePoint later = kLimiterStart + 24h;
  EXPECT_TRUE(bucket.full(later));
  EXPECT_TRUE(bucket.try_take(later));
  EXPECT_TRUE(bucket.try_take(later));
  EXPECT_FALSE(bucket.try_take(later));
}

}  // namespace
}  // namespace poolwarden::base
