#include "kube/rate_limiter.h"

#include <chrono>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::kube {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

const TimePoint kLimiterStart = TimePoint{} + 1h;

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
  const TimePoint later = kLimiterStart + 24h;
  EXPECT_TRUE(bucket.full(later));
  EXPECT_TRUE(bucket.try_take(later));
  EXPECT_TRUE(bucket.try_take(later));
  EXPECT_FALSE(bucket.try_take(later));
}

TEST(TokenBucket, ReservationsQueueUpBehindEachOther) {
  TokenBucket bucket(100ms, 2);
  std::vector<Duration> waits;
  for (int i = 0; i < 5; ++i) {
    waits.push_back(bucket.reserve(kLimiterStart));
  }
  EXPECT_THAT(waits, ElementsAre(0ms, 0ms, 100ms, 200ms, 300ms));
  EXPECT_FALSE(bucket.try_take(kLimiterStart + 300ms)) << "that token is reserved";
  EXPECT_TRUE(bucket.try_take(kLimiterStart + 400ms));
}

TEST(ItemBackoff, CountsEachItemByItselfUntilForgotten) {
  ItemBackoff<std::string> backoff(1s, 5s);
  EXPECT_EQ(backoff.next("a"), 1s);
  EXPECT_EQ(backoff.next("a"), 2s);
  EXPECT_EQ(backoff.next("b"), 1s);
  EXPECT_EQ(backoff.next("a"), 4s);
  EXPECT_EQ(backoff.next("a"), 5s);
  EXPECT_EQ(backoff.failures("a"), 4U);
  backoff.forget("a");
  EXPECT_EQ(backoff.failures("a"), 0U);
  EXPECT_EQ(backoff.next("a"), 1s);
  EXPECT_EQ(backoff.next("b"), 2s);
}

}  // namespace
}  // namespace poolwarden::kube
