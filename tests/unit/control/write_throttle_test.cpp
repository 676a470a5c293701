#include "control/write_throttle.h"

#include <chrono>
#include <vector>

#include <gtest/gtest.h>

namespace poolwarden::control {
namespace {

using namespace std::chrono_literals;
using kube::ErrorClass;

const kube::TimePoint kAnyTime = kube::TimePoint{} + 1h;
const WrittenObject kMap{Written::kConfigMap, {"default", "vllm-endpoints"}};

kube::Error error(ErrorClass cls) {
  kube::Error made;
  made.cls = cls;
  return made;
}

TEST(WriteThrottle, OneWriteInFlightPerObject) {
  WriteThrottle throttle;
  EXPECT_FALSE(throttle.blocked_until(kMap, kAnyTime));
  throttle.sent(kMap);
  EXPECT_EQ(throttle.blocked_until(kMap, kAnyTime), kube::TimePoint::max());
  EXPECT_FALSE(throttle.blocked_until({Written::kPod, kMap.key}, kAnyTime))
      << "another kind of that name is another object";
  EXPECT_EQ(throttle.in_flight(), 1U);
  throttle.succeeded(kMap, kAnyTime);
  EXPECT_FALSE(throttle.blocked_until(kMap, kAnyTime));
  EXPECT_EQ(throttle.in_flight(), 0U);
}

TEST(WriteThrottle, WhatSomeoneKeepsUndoingIsDoneMoreAndMoreSlowly) {
  WriteThrottle throttle;
  kube::TimePoint now = kAnyTime;
  const std::chrono::milliseconds waits[] = {0ms, 0ms, 0ms, 1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s};
  for (const auto wait : waits) {
    throttle.sent(kMap, 7);
    throttle.succeeded(kMap, now);
    const auto until = throttle.blocked_until(kMap, now, 7);
    EXPECT_EQ(until ? *until - now : 0s, wait);
    EXPECT_FALSE(throttle.blocked_until(kMap, now, 8)) << "another content does not wait";
    now += wait;
  }
  throttle.changed(kMap);
  EXPECT_TRUE(throttle.blocked_until(kMap, now - 1s, 7)) << "seeing it undone is no reason to hurry";
  throttle.sent(kMap, 8);
  throttle.succeeded(kMap, now);
  throttle.sent(kMap, 7);
  throttle.succeeded(kMap, now);
  EXPECT_FALSE(throttle.blocked_until(kMap, now, 7)) << "back and forth is not the same again";
  throttle.sent(kMap, 7);
  throttle.succeeded(kMap, now + 6min);
  throttle.sent(kMap, 7);
  throttle.succeeded(kMap, now + 12min);
  EXPECT_FALSE(throttle.blocked_until(kMap, now + 12min, 7)) << "now and then is no fight";
}

TEST(WriteThrottle, WriteThatUndoesNothing_IsNotCounted) {
  WriteThrottle throttle;
  for (int n = 0; n < 10; ++n) {
    throttle.sent(kMap, 7, false);
    throttle.succeeded(kMap, kAnyTime);
    EXPECT_FALSE(throttle.blocked_until(kMap, kAnyTime, 7));
  }
  throttle.sent(kMap, 7);
  throttle.succeeded(kMap, kAnyTime);
  EXPECT_FALSE(throttle.blocked_until(kMap, kAnyTime, 7)) << "the first undoing of what was written before";
}

// How long an object waits after its first, second, ... failure in a row.
struct Row {
  const char* situation;
  ErrorClass cls;
  std::vector<std::chrono::milliseconds> waits;
};

TEST(WriteThrottle, DelaysAfterFailures) {
  const Row rows[] = {
      {"retry doubles to 30 s",
       ErrorClass::kRetry,
       {100ms, 200ms, 400ms, 800ms, 1600ms, 3200ms, 6400ms, 12800ms, 25600ms, 30s, 30s}},
      {"forbidden doubles to 60 s", ErrorClass::kForbidden, {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s}},
      {"terminal too: the cluster may change", ErrorClass::kTerminal, {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s}},
      {"a conflict waits for news, a second at most", ErrorClass::kConflict, {1s, 1s, 1s}},
      {"not found likewise", ErrorClass::kNotFound, {1s, 1s, 1s}},
  };
  for (const Row& row : rows) {
    WriteThrottle throttle;
    kube::TimePoint now = kAnyTime;
    for (const auto wait : row.waits) {
      throttle.sent(kMap);
      throttle.failed(kMap, error(row.cls), now);
      ASSERT_TRUE(throttle.blocked_until(kMap, now)) << row.situation;
      EXPECT_EQ(*throttle.blocked_until(kMap, now) - now, wait) << row.situation;
      now += wait;
      EXPECT_FALSE(throttle.blocked_until(kMap, now)) << row.situation;
    }
  }
}

TEST(WriteThrottle, AChangeEndsAWaitForJustThat) {
  struct {
    ErrorClass cls;
    bool ends;
  } const rows[] = {{ErrorClass::kConflict, true},
                    {ErrorClass::kNotFound, true},
                    {ErrorClass::kRetry, false},
                    {ErrorClass::kForbidden, false},
                    {ErrorClass::kTerminal, false}};
  for (const auto& row : rows) {
    WriteThrottle throttle;
    throttle.sent(kMap);
    throttle.failed(kMap, error(row.cls), kAnyTime);
    throttle.changed(kMap);
    EXPECT_EQ(!throttle.blocked_until(kMap, kAnyTime), row.ends) << kube::to_string(row.cls);
  }
  WriteThrottle throttle;
  throttle.sent(kMap);
  throttle.changed(kMap);
  EXPECT_TRUE(throttle.blocked_until(kMap, kAnyTime)) << "a write in flight stays in flight whatever is seen";
}

TEST(WriteThrottle, TheServersWishIsGrantedWithinBounds) {
  struct {
    const char* situation;
    std::chrono::milliseconds asked;
    std::chrono::milliseconds waits;
  } const rows[] = {{"longer than ours", 5s, 5s}, {"shorter than ours", 1ms, 100ms}, {"absurd", 24h, 60s}};
  for (const auto& row : rows) {
    WriteThrottle throttle;
    kube::Error busy = error(ErrorClass::kRetry);
    busy.retry_after = row.asked;
    throttle.sent(kMap);
    throttle.failed(kMap, busy, kAnyTime);
    EXPECT_EQ(*throttle.blocked_until(kMap, kAnyTime) - kAnyTime, row.waits) << row.situation;
  }
}

TEST(WriteThrottle, ForgetsObjectsThatAreGone) {
  WriteThrottle throttle;
  throttle.sent(kMap);
  throttle.failed(kMap, error(ErrorClass::kForbidden), kAnyTime);
  EXPECT_EQ(throttle.failures(kMap), 1U);
  throttle.sweep(kAnyTime + 1min);
  EXPECT_EQ(throttle.size(), 1U);
  throttle.sweep(kAnyTime + 10min);
  EXPECT_EQ(throttle.size(), 0U);
  throttle.sent(kMap);
  throttle.succeeded(kMap, kAnyTime + 10min);
  throttle.sweep(kAnyTime + 14min);
  EXPECT_EQ(throttle.size(), 1U) << "what was written lately";
  throttle.sweep(kAnyTime + 16min);
  EXPECT_EQ(throttle.size(), 0U);
  throttle.sent(kMap);
  throttle.sweep(kAnyTime + 24h);
  EXPECT_EQ(throttle.size(), 1U) << "what is in flight is never forgotten";
}

}  // namespace
}  // namespace poolwarden::control
