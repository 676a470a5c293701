#include "commands/membership.h"

#include "commands/operator_liveness.h"
#include "commands/target.h"
#include "examples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::commands {
namespace {

using testing::HasSubstr;

SelectingPool selecting(const char* name, api::LabelMap labels) {
  SelectingPool out;
  out.pool = healthy_pool();
  out.pool.name = name;
  api::LabelSelector selector;
  selector.match_labels = std::move(labels);
  out.selector.value = selector;
  return out;
}

TEST(Membership, ByLabelsAndNamespace) {
  auto other = selecting("other-namespace", {{"app", "vllm"}});
  other.pool.ns = "ml";
  const std::vector<SelectingPool> pools = {selecting("vllm", {{"app", "vllm"}}),
                                            selecting("sglang", {{"app", "sglang"}}), other};
  const auto found = pools_of(ready_pod(), pools);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0]->pool.name, "vllm");
}

TEST(Membership, ByTheStatusWhereTheSelectorCannotBeTold) {
  auto unreadable = selecting("unreadable", {});
  unreadable.selector = {.value = {}, .problem = "needs verb get on deployments"};
  EXPECT_EQ(pools_of(ready_pod("vllm-a"), {unreadable}).size(), 1U);
  EXPECT_TRUE(pools_of(ready_pod("elsewhere"), {unreadable}).empty());
}

TEST(Membership, WhyInNoPool) {
  const NoPool none = why_in_no_pool(ready_pod(), {selecting("sglang", {{"app", "sglang"}})});
  EXPECT_TRUE(none.certain);
  EXPECT_EQ(none.words, "its labels match none of sglang (app=sglang)");
  EXPECT_EQ(why_in_no_pool(ready_pod(), {}).words,
            "there is no inferencepools.poolwarden.io in namespace default");
  auto unreadable = selecting("unreadable", {});
  unreadable.selector = {.value = {}, .problem = "needs verb get on deployments"};
  auto lost = selecting("lost", {});
  lost.selector = {};
  const NoPool unsure =
      why_in_no_pool(ready_pod("elsewhere"), {selecting("sglang", {{"app", "x"}}), unreadable, lost});
  EXPECT_FALSE(unsure.certain);
  EXPECT_EQ(
      unsure.words,
      "what pool unreadable selects cannot be told: needs verb get on deployments; what pool lost selects "
      "cannot be told: its target is not there");
}

struct HoldRow {
  const char* serving;  // null: no label
  bool ready;
  Hold hold;
};
class Holds : public testing::TestWithParam<HoldRow> {};
TEST_P(Holds, FollowTheGate) {
  PodView pod = GetParam().ready ? ready_pod() : not_ready_pod();
  pod.labels.erase("poolwarden.io/serving");
  if (GetParam().serving != nullptr) label(pod, GetParam().serving);
  EXPECT_EQ(hold_of(reread(pod), kNow), GetParam().hold);
}
INSTANTIATE_TEST_SUITE_P(
    Labels, Holds,
    testing::Values(HoldRow{"true", true, Hold::kServing}, HoldRow{"true", false, Hold::kServing},
                    HoldRow{"draining", true, Hold::kServing}, HoldRow{"draining", false, Hold::kServing},
                    HoldRow{"finishing", true, Hold::kServing}, HoldRow{"finishing", false, Hold::kServing},
                    HoldRow{"drained", true, Hold::kServing}, HoldRow{"drained", false, Hold::kServing},
                    HoldRow{"false", true, Hold::kReleased}, HoldRow{"false", false, Hold::kReleased},
                    HoldRow{nullptr, true, Hold::kServing}, HoldRow{nullptr, false, Hold::kReleased},
                    HoldRow{"nonsense", false, Hold::kReleased}));

TEST(Holds, OperatorsDrain_HasAnnotations) {
  for (const PodView& fit_or_not : {ready_pod(), not_ready_pod()}) {
    PodView pod = fit_or_not;
    begin_drain(pod);
    EXPECT_EQ(hold_of(reread(pod), kNow), Hold::kDraining);
    drain(pod);
    EXPECT_EQ(hold_of(reread(pod), kNow), Hold::kReleased);
  }
}

TEST(Holds, OneThatTurnedUnready_IsHeldUntilItHasFinished) {
  PodView pod = not_ready_pod();
  begin_drain(pod);
  label(pod, "finishing");
  EXPECT_EQ(hold_of(reread(pod), kNow), Hold::kFinishing);
  label(pod, "false");
  EXPECT_EQ(hold_of(reread(pod), kNow), Hold::kReleased);
}

TEST(Holds, ReadyAndWithdrawnForAnotherReason) {
  PodView pod = ready_pod();
  label(pod, "false");
  pod.conditions[0].last_transition = ago(5);
  EXPECT_EQ(hold_of(reread(pod), kNow), Hold::kServing) << "it became ready a moment ago";
  pod.conditions[0].last_transition = ago(60);
  EXPECT_EQ(hold_of(reread(pod), kNow), Hold::kReleased) << "its node is not ready, say";
}

Lookup<LeaseView> lease(std::string holder, std::optional<api::Timestamp> renewed) {
  LeaseView out;
  out.ns = "poolwarden-system";
  out.name = "poolwarden";
  out.holder = std::move(holder);
  out.renewed = renewed;
  out.duration_seconds = 15;
  return {.value = out, .problem = {}};
}

TEST(OperatorLiveness, AsFarAsTheLeaseTells) {
  EXPECT_FALSE(operator_problem({}, kNow)) << "no Lease: it may run without election";
  EXPECT_FALSE(operator_problem({.value = {}, .problem = "forbidden"}, kNow));
  EXPECT_FALSE(operator_problem(lease("a", ago(3)), kNow));
  EXPECT_FALSE(operator_problem(lease("a", ago(30)), kNow)) << "clocks may differ";
  EXPECT_FALSE(operator_problem(lease("a", ahead(100)), kNow));
  EXPECT_FALSE(operator_problem(lease("a", std::nullopt), kNow));
  EXPECT_EQ(
      operator_problem(lease("a", ago(31)), kNow),
      "no operator seems to run: Lease poolwarden-system/poolwarden was last renewed 31 s ago, by a; see "
      "kubectl -n poolwarden-system get pods");
  EXPECT_THAT(operator_problem(lease("", ago(3)), kNow).value_or(""), HasSubstr("nobody holds Lease"));
}

struct TargetRow {
  const char* text;
  TargetKind kind;
  const char* name;
};
class Targets : public testing::TestWithParam<TargetRow> {};
TEST_P(Targets, AreRead) {
  const auto target = parse_target(GetParam().text);
  ASSERT_TRUE(target) << target.error();
  EXPECT_EQ(target->kind, GetParam().kind);
  EXPECT_EQ(target->name, GetParam().name);
}
INSTANTIATE_TEST_SUITE_P(Words, Targets,
                         testing::Values(TargetRow{"a", TargetKind::kEither, "a"},
                                         TargetRow{"pod/a", TargetKind::kPod, "a"},
                                         TargetRow{"po/a", TargetKind::kPod, "a"},
                                         TargetRow{"pods/a", TargetKind::kPod, "a"},
                                         TargetRow{"node/n.x", TargetKind::kNode, "n.x"},
                                         TargetRow{"no/n", TargetKind::kNode, "n"}));

TEST(Target, WhatIsNoName) {
  for (const char* text :
       {"", "pod/", "deployment/a", "pod/a/b", "../a", "A", "a b", "a\x1b[2J", "pod/node/a"}) {
    const auto target = parse_target(text);
    ASSERT_FALSE(target) << text;
    EXPECT_THAT(target.error(), HasSubstr("name"));
  }
  EXPECT_FALSE(parse_target(std::string(300, 'a')));
}

}  // namespace
}  // namespace poolwarden::commands
