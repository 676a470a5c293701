#include "control/standby_withdrawals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::control {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using Outcome = StandbyWithdrawals::Outcome;

constexpr auto kHedge = StandbyWithdrawals::kHedge;
const kube::TimePoint kStart = kube::TimePoint{} + 1h;
const ListKey kPool{{"default", "vllm"}};
const ListKey kOther{{"default", "other"}};

TEST(StandbyWithdrawals, APoolIsDueWhenTheHedgeIsOver) {
  StandbyWithdrawals standby;
  EXPECT_EQ(standby.next_deadline(), std::nullopt);
  standby.saw(kPool, "1", {"a"}, kStart);
  standby.saw(kPool, "1", {"a", "b"}, kStart + 100ms);
  EXPECT_EQ(standby.next_deadline(), kStart + kHedge) << "of the one that was seen first";
  EXPECT_THAT(standby.due(kStart + 200ms), IsEmpty()) << "the leader has time of its own";
  EXPECT_THAT(standby.due(kStart + kHedge - 1ns), IsEmpty());
  EXPECT_THAT(standby.due(kStart + kHedge), ElementsAre(kPool));
  EXPECT_EQ(standby.first_seen(kPool, "b"), kStart + 100ms);
  EXPECT_EQ(standby.first_seen(kPool, "c"), std::nullopt);
  EXPECT_EQ(standby.first_seen(kOther, "a"), std::nullopt);
}

TEST(StandbyWithdrawals, EachShardHasAWriteOfItsOwn) {
  const ListKey second{kPool.pool, 2};
  StandbyWithdrawals standby;
  standby.saw(kPool, "1", {"a"}, kStart);
  standby.saw(second, "1", {"b"}, kStart);
  standby.sent(kPool, kStart + kHedge);
  EXPECT_THAT(standby.due(kStart + kHedge), ElementsAre(second));
  EXPECT_THAT(standby.pools(), ElementsAre(kPool.pool));
  standby.forget(kPool.pool);
  EXPECT_EQ(standby.size(), 0U);
}

TEST(StandbyWithdrawals, WhatTheLeaderDidInTimeIsForgotten) {
  StandbyWithdrawals standby;
  standby.saw(kPool, "1", {"a", "b"}, kStart);
  standby.saw(kPool, "2", {"b"}, kStart + 10ms);
  EXPECT_EQ(standby.first_seen(kPool, "a"), std::nullopt);
  standby.saw(kPool, "3", {}, kStart + 20ms);
  EXPECT_EQ(standby.next_deadline(), std::nullopt);
  EXPECT_EQ(standby.size(), 0U);
}

TEST(StandbyWithdrawals, APodThatWasWellInBetweenBeginsAnew) {
  StandbyWithdrawals standby;
  standby.saw(kPool, "1", {"a"}, kStart);
  standby.saw(kPool, "1", {}, kStart + 200ms);
  standby.saw(kPool, "1", {"a"}, kStart + 210ms);
  EXPECT_EQ(standby.next_deadline(), kStart + 210ms + kHedge);
}

TEST(StandbyWithdrawals, OneWriteAtATimeAndOneAHedge) {
  StandbyWithdrawals standby;
  standby.saw(kPool, "1", {"a"}, kStart);
  const auto sent = kStart + kHedge;
  standby.sent(kPool, sent);
  EXPECT_EQ(standby.next_deadline(), std::nullopt) << "its answer comes first";
  EXPECT_THAT(standby.due(sent + 10s), IsEmpty());
  standby.answered(kPool, Outcome::kDone, sent + 5ms);
  standby.saw(kPool, "2", {"b"}, sent + 5ms);
  EXPECT_EQ(standby.next_deadline(), sent + 5ms + kHedge);
  standby.sent(kPool, sent + 5ms + kHedge);
  standby.saw(kPool, "2", {"b", "c"}, sent + 5ms + kHedge + 1ms);
  standby.answered(kPool, Outcome::kDone, sent + 2s);
  standby.saw(kPool, "3", {"c"}, sent + 2s);
  EXPECT_THAT(standby.due(sent + 2s), IsEmpty()) << "it has stood by for long: first a look";
}

TEST(StandbyWithdrawals, AfterAConflictTheListHasToChangeFirst) {
  StandbyWithdrawals standby;
  standby.saw(kPool, "1", {"a"}, kStart);
  const auto sent = kStart + kHedge;
  standby.sent(kPool, sent);
  standby.answered(kPool, Outcome::kConflict, sent + 2ms);
  EXPECT_EQ(standby.next_deadline(), std::nullopt);
  standby.saw(kPool, "1", {"a"}, sent + 3ms);
  EXPECT_EQ(standby.next_deadline(), std::nullopt) << "the same list, and it was refused";
  standby.saw(kPool, "2", {"a"}, sent + 4ms);
  EXPECT_EQ(standby.next_deadline(), sent + 2ms + kHedge) << "no sooner than a hedge";
}

TEST(StandbyWithdrawals, AListThatChangedBeforeItsConflictWillDo) {
  StandbyWithdrawals standby;
  standby.saw(kPool, "1", {"a"}, kStart);
  const auto sent = kStart + kHedge;
  standby.sent(kPool, sent);
  standby.saw(kPool, "2", {"a"}, sent + 1ms);
  standby.answered(kPool, Outcome::kConflict, sent + 2ms);
  EXPECT_EQ(standby.next_deadline(), sent + 2ms + kHedge);
}

TEST(StandbyWithdrawals, AFailureIsTriedAgainAfterAHedge) {
  StandbyWithdrawals standby;
  standby.saw(kPool, "1", {"a"}, kStart);
  const auto sent = kStart + kHedge;
  standby.sent(kPool, sent);
  standby.answered(kPool, Outcome::kFailed, sent + 5s);
  EXPECT_EQ(standby.next_deadline(), sent + 5s + kHedge);
  standby.put_off(kPool, sent + 8s);
  EXPECT_EQ(standby.next_deadline(), sent + 8s);
}

TEST(StandbyWithdrawals, AListThatNothingCanBeMadeOfIsLeft) {
  StandbyWithdrawals standby;
  standby.saw(kPool, "1", {"a"}, kStart);
  standby.leave(kPool);
  EXPECT_EQ(standby.next_deadline(), std::nullopt);
  standby.saw(kPool, "1", {"a", "b"}, kStart + 1ms);
  EXPECT_EQ(standby.next_deadline(), std::nullopt);
  standby.saw(kPool, "2", {"a"}, kStart + 2ms);
  EXPECT_EQ(standby.next_deadline(), kStart + kHedge);
}

TEST(StandbyWithdrawals, WhoStoodStillLooksFirst) {
  StandbyWithdrawals standby;
  standby.saw(kPool, "1", {"a"}, kStart);
  const auto woke = kStart + 2 * kHedge + 1ms;
  EXPECT_THAT(standby.due(woke), IsEmpty());
  EXPECT_EQ(standby.next_deadline(), woke + kHedge);
  EXPECT_THAT(standby.due(woke + kHedge), ElementsAre(kPool)) << "and what it looked at still says so";
  EXPECT_EQ(standby.first_seen(kPool, "a"), kStart);
}

TEST(StandbyWithdrawals, PoolsAreApart) {
  StandbyWithdrawals standby;
  standby.saw(kPool, "1", {"a"}, kStart);
  standby.saw(kOther, "1", {"a"}, kStart + 1ms);
  standby.forget(kPool.pool);
  EXPECT_EQ(standby.next_deadline(), kStart + 1ms + kHedge);
  standby.forget_all();
  EXPECT_EQ(standby.size(), 0U);
}

TEST(StandbyWithdrawals, AnswersOfForgottenPoolsDoNothing) {
  StandbyWithdrawals standby;
  standby.sent(kPool, kStart);
  standby.answered(kPool, Outcome::kConflict, kStart);
  standby.put_off(kPool, kStart + 1h);
  standby.leave(kPool);
  EXPECT_EQ(standby.size(), 0U);
}

TEST(StandbyWithdrawals, WhatIsUnderWayIsKeptUntilItIsAnswered) {
  StandbyWithdrawals standby;
  standby.saw(kPool, "1", {"a"}, kStart);
  standby.sent(kPool, kStart + kHedge);
  standby.saw(kPool, "2", {}, kStart + kHedge + 1ms);
  EXPECT_EQ(standby.size(), 1U);
  standby.answered(kPool, Outcome::kConflict, kStart + kHedge + 2ms);
  EXPECT_EQ(standby.size(), 0U);
}

}  // namespace
}  // namespace poolwarden::control
