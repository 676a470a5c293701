#include "pool/withdrawal.h"

#include "pool/endpoints.h"
#include "unit/pool/world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

api::Endpoint endpoint(const std::string& pod, api::EndpointState state = api::EndpointState::kReady) {
  return {.pod = pod,
          .uid = pod + "-uid",
          .ip = "10.0.0.1",
          .ports = {{8000, ""}},
          .node = "n",
          .zone = "",
          .state = state};
}

api::EndpointSet list_of(std::vector<api::Endpoint> endpoints) {
  return {.ns = "default", .pool = "vllm", .revision = 7, .endpoints = std::move(endpoints)};
}

std::vector<std::string> pods(const api::EndpointSet& set) {
  std::vector<std::string> names;
  for (const api::Endpoint& one : set.endpoints) names.push_back(one.pod);
  return names;
}

TEST(Withdraw, UnfitReadyEndpoint_LeavesAndIsTold) {
  api::EndpointSet list = list_of({endpoint("a"), endpoint("b"), endpoint("c")});
  const auto changes = withdraw(list, {{"b-uid", Withdrawal::kTerminating, "it is being deleted"}}, 8);
  EXPECT_THAT(pods(list), ElementsAre("a", "c"));
  EXPECT_EQ(list.revision, 8);
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].pod, "b");
  EXPECT_EQ(changes[0].reason, Withdrawal::kTerminating);
  EXPECT_EQ(changes[0].detail, "it is being deleted");
}

TEST(Withdraw, DrainingEndpoint_LeavesWithoutNews) {
  api::EndpointSet list = list_of({endpoint("a"), endpoint("b", api::EndpointState::kDraining)});
  EXPECT_THAT(withdraw(list, {{"b-uid", Withdrawal::kDeleted, ""}}, 8), IsEmpty());
  EXPECT_THAT(pods(list), ElementsAre("a"));
}

TEST(Withdraw, UnknownUid_IsPassedOver) {
  api::EndpointSet list = list_of({endpoint("a")});
  EXPECT_THAT(withdraw(list, {{"z-uid", Withdrawal::kDeleted, ""}}, 8), IsEmpty());
  EXPECT_THAT(withdraw(list, {{"another-uid", Withdrawal::kDeleted, ""}}, 8), IsEmpty())
      << "a pod of a StatefulSet comes back under its name";
  EXPECT_THAT(pods(list), ElementsAre("a"));
}

TEST(Withdraw, SeveralInAnyOrder_AreToldInTheOrderOfTheList) {
  api::EndpointSet list = list_of({endpoint("a"), endpoint("b"), endpoint("c"), endpoint("d")});
  const auto changes = withdraw(list,
                                {{"d-uid", Withdrawal::kDeleted, ""},
                                 {"a-uid", Withdrawal::kNotReady, ""},
                                 {"d-uid", Withdrawal::kNotReady, ""}},
                                8);
  EXPECT_THAT(pods(list), ElementsAre("b", "c"));
  ASSERT_EQ(changes.size(), 2U);
  EXPECT_EQ(changes[0].pod, "a");
  EXPECT_EQ(changes[1].pod, "d");
}

// What the short way publishes is what the whole decision finds right afterwards.
TEST(Withdraw, DecideAgreesAfterwards) {
  World world;
  world.settle();
  ASSERT_TRUE(world.config_map);
  const std::string name = world.pods.back().name;
  world.pods.back().deletion_timestamp = at_second(1).wall;
  const PublishedDocument before = read_published(world.pool, *world.config_map);
  ASSERT_TRUE(before.set && before.edited.empty());
  api::EndpointSet list = *before.set;
  const PodVerdict verdict = judge_endpoint(&world.pods.back(), nullptr, {});
  EXPECT_EQ(verdict.reason, Withdrawal::kTerminating);
  const auto changes =
      withdraw(list, {{world.pods.back().uid, verdict.reason, verdict.detail}}, before.set->revision + 1);
  const Plan plan = world.decide(1);
  ASSERT_TRUE(plan.publish);
  EXPECT_EQ(plan.publish->write.set, list);
  ASSERT_EQ(plan.publish->changes.size(), changes.size());
  EXPECT_EQ(plan.publish->changes[0].pod, name);
  EXPECT_EQ(plan.publish->changes[0].detail, changes[0].detail);
}

TEST(JudgeEndpoint, GoneRelabelledOrWell) {
  const api::Pod pod = ready_pod("a", "10.0.0.1");
  const api::LabelSelector theirs{.match_labels = {{"app", "other"}}, .match_expressions = {}};
  EXPECT_EQ(judge_endpoint(nullptr, nullptr, {}).reason, Withdrawal::kDeleted);
  EXPECT_EQ(judge_endpoint(&pod, &theirs, {}).reason, Withdrawal::kRelabelled);
  EXPECT_EQ(judge_endpoint(&pod, nullptr, {}).reason, Withdrawal::kNone);
}

}  // namespace
}  // namespace poolwarden::pool
