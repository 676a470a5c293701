#include "pool/membership.h"

#include "world.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

using testing::HasSubstr;

struct VerdictRow {
  const char* situation;
  std::function<void(api::Pod&)> change;
  Withdrawal wanted;
  const char* detail;
};

const std::vector<VerdictRow>& rows() {
  using api::PodPhase;
  using api::Tristate;
  static const std::vector<VerdictRow> kRows{
      {"ready", [](auto&) {}, Withdrawal::kNone, ""},
      {"ready, its containers' condition not reported",
       [](auto& p) { p.containers_ready = Tristate::kAbsent; }, Withdrawal::kNone, ""},
      {"terminating", [](auto& p) { p.deletion_timestamp.emplace(), p.deletion_grace_seconds = 60; },
       Withdrawal::kTerminating, "60 s"},
      {"terminating and not ready any more",
       [](auto& p) { p.deletion_timestamp.emplace(), p.ready = Tristate::kFalse; }, Withdrawal::kTerminating,
       ""},
      {"failed, still reported ready", [](auto& p) { p.phase = PodPhase::kFailed; }, Withdrawal::kFailed,
       "Failed"},
      {"failed with a reason", [](auto& p) { p.phase = PodPhase::kFailed, p.status_reason = "OutOfcpu"; },
       Withdrawal::kFailed, "OutOfcpu"},
      {"evicted", [](auto& p) { p.phase = PodPhase::kFailed, p.status_reason = "Evicted"; },
       Withdrawal::kEvicted, "Evicted"},
      {"succeeded", [](auto& p) { p.phase = PodPhase::kSucceeded; }, Withdrawal::kSucceeded, "ended"},
      {"its node is gone", [](auto& p) { p.node = std::make_shared<const std::string>("gone"); },
       Withdrawal::kNodeGone, "node gone is gone"},
      {"not scheduled",
       [](auto& p) { p.node = std::make_shared<const std::string>(), p.ready = Tristate::kAbsent; },
       Withdrawal::kNotScheduled, "no node"},
      {"about to be preempted", [](auto& p) { p.disruption_target = "PreemptionByScheduler"; },
       Withdrawal::kDisruptionTarget, "PreemptionByScheduler"},
      {"about to be disrupted, nobody says why", [](auto& p) { p.disruption_target = ""; },
       Withdrawal::kDisruptionTarget, "disrupted"},
      {"not ready", [](auto& p) { p.ready = Tristate::kFalse, p.ready_reason = "ContainersNotReady"; },
       Withdrawal::kNotReady, "ContainersNotReady"},
      {"its node does not answer: Ready is Unknown",
       [](auto& p) { p.ready = Tristate::kUnknown, p.ready_reason = "NodeStatusUnknown"; },
       Withdrawal::kNotReady, "Unknown: NodeStatusUnknown"},
      {"starting: no Ready yet", [](auto& p) { p.ready = Tristate::kAbsent, p.phase = PodPhase::kPending; },
       Withdrawal::kNoReadyCondition, "kubelet"},
      {"a gate unmet, Ready not turned yet", [](auto& p) { p.unmet_gate = "example.com/lb"; },
       Withdrawal::kReadinessGate, "example.com/lb"},
      {"a gate unmet, Ready turned for it",
       [](auto& p) { p.unmet_gate = "example.com/lb", p.ready = Tristate::kFalse; },
       Withdrawal::kReadinessGate, ""},
      {"a gate unmet, but its containers are what is missing",
       [](auto& p) {
         p.unmet_gate = "example.com/lb", p.ready = Tristate::kFalse, p.containers_ready = Tristate::kFalse;
       },
       Withdrawal::kNotReady, ""},
      {"ready without an address", [](auto& p) { p.ip.clear(); }, Withdrawal::kNoAddress, "address"},
  };
  return kRows;
}

NodeLookup only_node_1() {
  return [](const api::Pod& pod) -> const api::Node* {
    static const api::Node kNode;
    return *pod.node == "node-1" ? &kNode : nullptr;
  };
}

TEST(Judge, EachFactHasItsReason) {
  for (const VerdictRow& row : rows()) {
    api::Pod pod = ready_pod("p", "10.0.0.1");
    row.change(pod);
    const PodVerdict verdict = judge(pod, only_node_1());
    EXPECT_EQ(to_string(verdict.reason), to_string(row.wanted)) << row.situation;
    EXPECT_THAT(verdict.detail, HasSubstr(row.detail)) << row.situation;
    EXPECT_EQ(verdict.detail.empty(), verdict.reason == Withdrawal::kNone) << row.situation;
  }
}

TEST(Judge, WhileNodesCannotBeReadNoPodIsWithdrawnForOne) {
  api::Pod pod = ready_pod("p", "10.0.0.1");
  pod.node = std::make_shared<const std::string>("gone");
  EXPECT_EQ(judge(pod, nullptr).reason, Withdrawal::kNone);
}

// The whole way: each fact, on a published pod, takes it off the list with that reason.
TEST(Judge, EachFactWithdrawsAPublishedPod) {
  std::set<Withdrawal> covered;
  for (const VerdictRow& row : rows()) {
    if (row.wanted == Withdrawal::kNone) continue;
    World world = settled();
    row.change(world.pod("vllm-a"));
    const Plan plan = world.decide(1);
    ASSERT_TRUE(plan.publish) << row.situation;
    ASSERT_EQ(plan.publish->changes.size(), 1U) << row.situation;
    EXPECT_EQ(plan.publish->changes[0].pod, "vllm-a") << row.situation;
    EXPECT_EQ(plan.publish->changes[0].ip, "10.0.0.1") << row.situation;
    EXPECT_EQ(plan.publish->changes[0].reason, row.wanted) << row.situation;
    EXPECT_FALSE(plan.publish->undo) << row.situation;
    ASSERT_EQ(plan.publish->write.set.endpoints.size(), 1U) << row.situation;
    EXPECT_EQ(plan.publish->write.set.endpoints[0].pod, "vllm-b") << row.situation;
    covered.insert(row.wanted);
  }
  World deleted = settled();
  deleted.pods.erase(deleted.pods.begin());
  EXPECT_EQ(deleted.decide(1).publish->changes.at(0).reason, Withdrawal::kDeleted);
  covered.insert(Withdrawal::kDeleted);
  World relabelled = settled();
  relabelled.pods[0] = with_labels(relabelled.pods[0], {{"app", "other"}});
  EXPECT_EQ(relabelled.decide(1).publish->changes.at(0).reason, Withdrawal::kRelabelled);
  covered.insert(Withdrawal::kRelabelled);

  // Every reason there is has been seen, and has a name of its own.
  std::set<std::string_view> names;
  for (int i = 1; i <= static_cast<int>(Withdrawal::kRelabelled); ++i) {
    const auto reason = static_cast<Withdrawal>(i);
    EXPECT_TRUE(covered.contains(reason)) << i;
    EXPECT_FALSE(to_string(reason).empty()) << i;
    names.insert(to_string(reason));
  }
  EXPECT_EQ(names.size(), covered.size());
}

TEST(IsActive, CountsAsAReplicaSetDoes) {
  api::Pod pod = ready_pod("p", "10.0.0.1");
  EXPECT_TRUE(is_active(pod));
  pod.ready = api::Tristate::kFalse;
  pod.phase = api::PodPhase::kPending;
  EXPECT_TRUE(is_active(pod));
  pod.phase = api::PodPhase::kFailed;
  EXPECT_FALSE(is_active(pod));
  pod.phase = api::PodPhase::kSucceeded;
  EXPECT_FALSE(is_active(pod));
  pod.phase = api::PodPhase::kRunning;
  pod.deletion_timestamp.emplace();
  EXPECT_FALSE(is_active(pod));
}

}  // namespace
}  // namespace poolwarden::pool
