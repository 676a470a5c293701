#include "control/write_ledger.h"

#include <chrono>
#include <vector>

#include <gtest/gtest.h>

namespace poolwarden::control {
namespace {

using namespace std::chrono_literals;
using kube::ErrorClass;

const kube::TimePoint kStart = kube::TimePoint{} + 1h;
const WrittenObject kMap{Written::kConfigMap, {"default", "vllm-endpoints"}};

kube::Error error(ErrorClass cls) {
  kube::Error made;
  made.cls = cls;
  return made;
}

TEST(WriteLedger, OneWriteInFlightPerObject) {
  WriteLedger ledger;
  EXPECT_FALSE(ledger.blocked_until(kMap, kStart));
  ledger.sent(kMap);
  EXPECT_EQ(ledger.blocked_until(kMap, kStart), kube::TimePoint::max());
  EXPECT_FALSE(ledger.blocked_until({Written::kPod, kMap.key}, kStart))
      << "another kind of that name is another object";
  EXPECT_EQ(ledger.in_flight(), 1U);
  ledger.succeeded(kMap, kStart);
  EXPECT_FALSE(ledger.blocked_until(kMap, kStart));
  EXPECT_EQ(ledger.in_flight(), 0U);
}

TEST(WriteLedger, WhatSomeoneKeepsUndoingIsDoneMoreAndMoreSlowly) {
  WriteLedger ledger;
  kube::TimePoint now = kStart;
  const std::chrono::milliseconds waits[] = {0ms, 0ms, 0ms, 1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s};
  for (const auto wait : waits) {
    ledger.sent(kMap, 7);
    ledger.succeeded(kMap, now);
    const auto until = ledger.blocked_until(kMap, now, 7);
    EXPECT_EQ(until ? *until - now : 0s, wait);
    EXPECT_FALSE(ledger.blocked_until(kMap, now, 8)) << "another content does not wait";
    now += wait;
  }
  ledger.changed(kMap);
  EXPECT_TRUE(ledger.blocked_until(kMap, now - 1s, 7)) << "seeing it undone is no reason to hurry";
  ledger.sent(kMap, 8);
  ledger.succeeded(kMap, now);
  ledger.sent(kMap, 7);
  ledger.succeeded(kMap, now);
  EXPECT_FALSE(ledger.blocked_until(kMap, now, 7)) << "back and forth is not the same again";
  ledger.sent(kMap, 7);
  ledger.succeeded(kMap, now + 6min);
  ledger.sent(kMap, 7);
  ledger.succeeded(kMap, now + 12min);
  EXPECT_FALSE(ledger.blocked_until(kMap, now + 12min, 7)) << "now and then is no fight";
}

// How long an object waits after its first, second, ... failure in a row.
struct Row {
  const char* situation;
  ErrorClass cls;
  std::vector<std::chrono::milliseconds> waits;
};

TEST(WriteLedger, DelaysAfterFailures) {
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
    WriteLedger ledger;
    kube::TimePoint now = kStart;
    for (const auto wait : row.waits) {
      ledger.sent(kMap);
      ledger.failed(kMap, error(row.cls), now);
      ASSERT_TRUE(ledger.blocked_until(kMap, now)) << row.situation;
      EXPECT_EQ(*ledger.blocked_until(kMap, now) - now, wait) << row.situation;
      now += wait;
      EXPECT_FALSE(ledger.blocked_until(kMap, now)) << row.situation;
    }
  }
}

TEST(WriteLedger, AChangeEndsAWaitForJustThat) {
  struct {
    ErrorClass cls;
    bool ends;
  } const rows[] = {{ErrorClass::kConflict, true},
                    {ErrorClass::kNotFound, true},
                    {ErrorClass::kRetry, false},
                    {ErrorClass::kForbidden, false},
                    {ErrorClass::kTerminal, false}};
  for (const auto& row : rows) {
    WriteLedger ledger;
    ledger.sent(kMap);
    ledger.failed(kMap, error(row.cls), kStart);
    ledger.changed(kMap);
    EXPECT_EQ(!ledger.blocked_until(kMap, kStart), row.ends) << kube::to_string(row.cls);
  }
  WriteLedger ledger;
  ledger.sent(kMap);
  ledger.changed(kMap);
  EXPECT_TRUE(ledger.blocked_until(kMap, kStart)) << "a write in flight stays in flight whatever is seen";
}

TEST(WriteLedger, TheServersWishIsGrantedWithinBounds) {
  struct {
    const char* situation;
    std::chrono::milliseconds asked;
    std::chrono::milliseconds waits;
  } const rows[] = {{"longer than ours", 5s, 5s}, {"shorter than ours", 1ms, 100ms}, {"absurd", 24h, 60s}};
  for (const auto& row : rows) {
    WriteLedger ledger;
    kube::Error busy = error(ErrorClass::kRetry);
    busy.retry_after = row.asked;
    ledger.sent(kMap);
    ledger.failed(kMap, busy, kStart);
    EXPECT_EQ(*ledger.blocked_until(kMap, kStart) - kStart, row.waits) << row.situation;
  }
}

TEST(WriteLedger, ForgetsObjectsThatAreGone) {
  WriteLedger ledger;
  ledger.sent(kMap);
  ledger.failed(kMap, error(ErrorClass::kForbidden), kStart);
  EXPECT_EQ(ledger.failures(kMap), 1U);
  ledger.sweep(kStart + 1min);
  EXPECT_EQ(ledger.size(), 1U);
  ledger.sweep(kStart + 10min);
  EXPECT_EQ(ledger.size(), 0U);
  ledger.sent(kMap);
  ledger.succeeded(kMap, kStart + 10min);
  ledger.sweep(kStart + 14min);
  EXPECT_EQ(ledger.size(), 1U) << "what was written lately";
  ledger.sweep(kStart + 16min);
  EXPECT_EQ(ledger.size(), 0U);
  ledger.sent(kMap);
  ledger.sweep(kStart + 24h);
  EXPECT_EQ(ledger.size(), 1U) << "what is in flight is never forgotten";
}

}  // namespace
}  // namespace poolwarden::control
