#include "engine/byte_budgets.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace poolwarden::engine {
namespace {

using namespace std::chrono_literals;

constexpr ByteBudgets::TimePoint kStart{1h};

TEST(ByteBudgets, SecondsWorth_IsTakenAtOnce) {
  ByteBudgets budgets(1'000);
  EXPECT_EQ(budgets.wait("a", kStart), 0s);
  budgets.spend("a", 1'000, kStart);
  EXPECT_EQ(budgets.wait("a", kStart), 0s);
  budgets.spend("a", 500, kStart);
  EXPECT_EQ(budgets.wait("a", kStart), 500ms);
  EXPECT_EQ(budgets.wait("a", kStart + 200ms), 300ms);
  EXPECT_EQ(budgets.wait("a", kStart + 500ms), 0s);
}

TEST(ByteBudgets, NamespaceThatTakesMuch_DelaysItselfOnly) {
  ByteBudgets budgets(1'000);
  budgets.spend("floods", 1'000'000, kStart);
  EXPECT_EQ(budgets.wait("floods", kStart), 999s);
  EXPECT_EQ(budgets.wait("calm", kStart), 0s);
  budgets.spend("calm", 900, kStart);
  EXPECT_EQ(budgets.wait("calm", kStart), 0s);
}

TEST(ByteBudgets, OverManySeconds_NoMoreThanTheRate) {
  ByteBudgets budgets(1'000);
  std::size_t taken = 0;
  for (auto now = kStart; now < kStart + 10s; now += 1ms) {
    if (budgets.wait("a", now) > 0s) continue;
    budgets.spend("a", 100, now);
    taken += 100;
  }
  EXPECT_LE(taken, 11'100U) << "ten seconds' worth, one that was saved, and a piece";
  EXPECT_GE(taken, 10'900U);
}

TEST(ByteBudgets, ClockOfAnEarlierMoment_EarnsNothing) {
  ByteBudgets budgets(1'000);
  budgets.spend("a", 2'000, kStart);
  EXPECT_EQ(budgets.wait("a", kStart - 1s), 1s);
}

TEST(ByteBudgets, NamespacesThatAreNotReadAnyMore_AreForgotten) {
  ByteBudgets budgets(1'000);
  for (int i = 0; i < 10'000; ++i) {
    budgets.spend(fmt::format("ns-{}", i), 100, kStart + i * 10ms);
  }
  EXPECT_LE(budgets.size(), 128U);
}

}  // namespace
}  // namespace poolwarden::engine
