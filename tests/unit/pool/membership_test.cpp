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

struct TrustRow {
  const char* situation;
  std::function<void(api::Pod&, api::Node&)> change;
  bool trusted;
};

const std::vector<TrustRow>& trust_rows() {
  using api::Tristate;
  static const std::vector<TrustRow> kRows{
      {"its node is not heard of", [](auto&, auto& n) { n.ready = Tristate::kUnknown; }, true},
      {"its node says that it is not ready", [](auto&, auto& n) { n.ready = Tristate::kFalse; }, true},
      {"the node controller says that it is not ready", [](auto& p, auto&) { p.ready = Tristate::kFalse; },
       true},
      {"and so of its node",
       [](auto& p, auto& n) { p.ready = Tristate::kFalse, n.ready = Tristate::kUnknown; }, true},
      {"whether it is ready is unknown",
       [](auto& p, auto&) { p.ready = p.containers_ready = Tristate::kUnknown; }, true},
      {"its kubelet says that it is not ready",
       [](auto& p, auto&) { p.ready = p.containers_ready = Tristate::kFalse; }, false},
      {"its kubelet last said that it is not ready",
       [](auto& p, auto& n) {
         p.ready = p.containers_ready = Tristate::kFalse, n.ready = Tristate::kUnknown;
       },
       false},
      {"its kubelet last said so, and now it is unknown",
       [](auto& p, auto&) { p.ready = Tristate::kUnknown, p.containers_ready = Tristate::kFalse; }, false},
      {"nobody says whether its containers are ready",
       [](auto& p, auto&) { p.ready = Tristate::kFalse, p.containers_ready = Tristate::kAbsent; }, false},
      {"a gate is unmet",
       [](auto& p, auto& n) {
         p.ready = Tristate::kFalse, p.unmet_gate = "example.com/lb", n.ready = Tristate::kUnknown;
       },
       false},
      {"its gate has been met, which its kubelet has yet to see",
       [](auto& p, auto&) { p.ready = Tristate::kFalse, p.ready_reason = "ReadinessGatesNotReady"; }, false},
      {"it has not said anything yet",
       [](auto& p, auto& n) { p.ready = Tristate::kAbsent, n.ready = Tristate::kUnknown; }, false},
      {"it has no address", [](auto& p, auto& n) { p.ip.clear(), n.ready = Tristate::kUnknown; }, false},
      {"it ends", [](auto& p, auto& n) { p.deletion_timestamp.emplace(), n.ready = Tristate::kUnknown; },
       false},
      {"it has failed",
       [](auto& p, auto& n) { p.phase = api::PodPhase::kFailed, n.ready = Tristate::kUnknown; }, false},
      {"it is about to be disrupted",
       [](auto& p, auto& n) { p.disruption_target = "DeletionByTaintManager", n.ready = Tristate::kUnknown; },
       false},
      {"its node is out of service",
       [](auto&, auto& n) {
         n.withdraw_taint = "node.kubernetes.io/out-of-service", n.ready = Tristate::kUnknown;
       },
       false},
  };
  return kRows;
}

// Of many nodes at once that they are not heard of is no sign of illness; what else is said counts as ever.
TEST(Judge, WhileNodesAreUnseen_ItsKubeletsLastWordCounts) {
  for (const TrustRow& row : trust_rows()) {
    api::Pod pod = ready_pod("p", "10.0.0.1");
    api::Node node;
    row.change(pod, node);
    PodVerdict verdict = judge(pod, [&node](const api::Pod&) { return &node; });
    EXPECT_NE(verdict.reason, Withdrawal::kNone) << row.situation << ": of one node alone it counts";
    EXPECT_EQ(verdict.only_by_its_node, row.trusted) << row.situation;
    trust_its_kubelet(verdict);
    EXPECT_EQ(verdict.reason == Withdrawal::kNone, row.trusted) << row.situation;
    EXPECT_EQ(verdict.fit, row.trusted) << row.situation;
    EXPECT_EQ(verdict.detail.empty(), row.trusted) << row.situation;
  }
}

TEST(Judge, WhileNodesAreUnseen_EndpointsStayAndNobodyJoinsThere) {
  World world = settled();
  world.unseen_nodes = UnseenNodes{.unheard = 2, .nodes = 2};
  world.nodes["node-1"].ready = api::Tristate::kUnknown;
  world.pods.push_back(ready_pod("vllm-c", "10.0.0.3"));
  Plan plan = world.decide(1);
  EXPECT_FALSE(plan.publish) << "vllm-c has never been an endpoint";
  EXPECT_TRUE(plan.pod_labels.empty());
  world.pod("vllm-a").ready = api::Tristate::kFalse;
  EXPECT_FALSE(world.decide(2).publish);
  world.nodes["node-2"].ready = api::Tristate::kTrue;
  world.pod("vllm-c").node = std::make_shared<const std::string>("node-2");
  plan = world.decide(3);
  ASSERT_TRUE(plan.publish) << "its node is heard of";
  ASSERT_EQ(plan.publish->changes.size(), 1U);
  EXPECT_EQ(plan.publish->changes[0].pod, "vllm-c");
}

TEST(Judge, WithdrawnForItsNodeAlone_ComesBackOnceManyAreUnseen) {
  World world = settled();
  world.nodes["node-1"].ready = api::Tristate::kUnknown;
  world.settle(1);
  ASSERT_EQ(world.pod("vllm-a").serving, "finishing");
  world.pod("vllm-a").ready = api::Tristate::kFalse;
  world.unseen_nodes = UnseenNodes{.unheard = 2, .nodes = 2};
  const Plan plan = world.decide(2);
  ASSERT_TRUE(plan.publish);
  ASSERT_EQ(plan.publish->changes.size(), 2U);
  EXPECT_EQ(plan.publish->changes[0].reason, Withdrawal::kNone);
  EXPECT_TRUE(plan.publish->changes[0].again);
}

TEST(Judge, WhileNodesAreUnseen_APoolOnHoldKeepsItsEndpoints) {
  World world = settled();
  world.target.reset();
  world.unseen_nodes = UnseenNodes{.unheard = 2, .nodes = 2};
  world.nodes["node-1"].ready = api::Tristate::kUnknown;
  EXPECT_FALSE(world.decide(1).publish);
  world.unseen_nodes.reset();
  EXPECT_TRUE(world.decide(2).publish);
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
