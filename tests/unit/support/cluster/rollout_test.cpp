// The sizes that a rollout gives to its ReplicaSets.
#include "support/cluster/rollout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::cluster {
namespace {

using nlohmann::json;
using testing::ElementsAre;

RolloutLimits limits_of(int replicas, const json& surge, const json& unavailable) {
  json deployment = {{"spec", {{"replicas", replicas}}}};
  json& rolling = deployment["spec"]["strategy"]["rollingUpdate"];
  rolling = json::object();
  if (!surge.is_null()) rolling["maxSurge"] = surge;
  if (!unavailable.is_null()) rolling["maxUnavailable"] = unavailable;
  return rollout_limits(deployment);
}

TEST(RolloutLimits, DefaultIsAQuarterSurgeUpUnavailableDown) {
  const RolloutLimits limits = limits_of(3, nullptr, nullptr);
  EXPECT_EQ(limits.surge, 1);
  EXPECT_EQ(limits.unavailable, 0);
}

TEST(RolloutLimits, NumbersAndPercentages) {
  EXPECT_EQ(limits_of(10, 3, "50%").surge, 3);
  EXPECT_EQ(limits_of(10, 3, "50%").unavailable, 5);
  EXPECT_EQ(limits_of(10, "11%", 0).surge, 2);
}

TEST(RolloutLimits, BothZeroAllowsOneUnavailable) {
  EXPECT_EQ(limits_of(4, 0, 0).unavailable, 1);
}

TEST(RolloutLimits, UnavailableIsAtMostAll) {
  EXPECT_EQ(limits_of(2, 0, 9).unavailable, 2);
}

TEST(NewSetSize, FirstWaveIsTheSurge) {
  EXPECT_EQ(new_set_size({4, 1, 1}, {0, 0, {}}, {{4, 4, {}}}), 1);
}
TEST(NewSetSize, WaitsWhileThereIsNoRoom) {
  EXPECT_EQ(new_set_size({4, 1, 1}, {1, 0, {}}, {{4, 4, {}}}), 1);
}
TEST(NewSetSize, GrowsAsOldOnesGo) {
  EXPECT_EQ(new_set_size({4, 1, 1}, {1, 1, {}}, {{2, 2, {}}}), 3);
}
TEST(NewSetSize, NeverBeyondTheDeployment) {
  EXPECT_EQ(new_set_size({4, 9, 0}, {0, 0, {}}, {}), 4);
}
TEST(NewSetSize, ShrinksToTheDeployment) {
  EXPECT_EQ(new_set_size({2, 1, 0}, {5, 5, {}}, {}), 2);
}

TEST(OldSetSizes, NothingGoesBeforeTheNewAreAvailable) {
  EXPECT_THAT(old_set_sizes({4, 1, 0}, {1, 0, {}}, {{4, 4, {}}}), ElementsAre(4));
}
TEST(OldSetSizes, MaxUnavailableGoesAtOnce) {
  EXPECT_THAT(old_set_sizes({4, 1, 1}, {1, 0, {}}, {{4, 4, {}}}), ElementsAre(3));
}
TEST(OldSetSizes, OneGoesForEachAvailable) {
  EXPECT_THAT(old_set_sizes({4, 1, 0}, {1, 1, {}}, {{4, 4, {}}}), ElementsAre(3));
}
TEST(OldSetSizes, UnhealthyOnesGoFirst) {
  EXPECT_THAT(old_set_sizes({4, 2, 1}, {2, 0, {}}, {{2, 2, {}}, {2, 1, {}}}), ElementsAre(2, 1));
}
TEST(OldSetSizes, OldestGoesFirst) {
  EXPECT_THAT(old_set_sizes({4, 1, 0}, {1, 1, {}}, {{2, 2, {}}, {2, 2, {}}}), ElementsAre(1, 2));
}
TEST(OldSetSizes, AllGoWhenTheNewAreThere) {
  EXPECT_THAT(old_set_sizes({4, 1, 0}, {4, 4, {}}, {{1, 1, {}}}), ElementsAre(0));
}

TEST(ProportionalSizes, TheExampleOfTheDocumentation) {
  // https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#proportional-scaling
  // 10 replicas, maxSurge 3, maxUnavailable 2: 8 old and 5 new; scaled to 15.
  EXPECT_THAT(proportional_sizes({15, 3, 2}, {{8, 8, 13}, {5, 0, 13}}, 13), ElementsAre(11, 7));
}
TEST(ProportionalSizes, ToNone) {
  EXPECT_THAT(proportional_sizes({0, 0, 1}, {{3, 3, 4}, {1, 1, 4}}, 4), ElementsAre(0, 0));
}
TEST(ProportionalSizes, SharesAddUp) {
  EXPECT_THAT(proportional_sizes({5, 2, 0}, {{8, 8, 13}, {5, 0, 13}}, 13), ElementsAre(4, 3));
}

}  // namespace
}  // namespace poolwarden::cluster
