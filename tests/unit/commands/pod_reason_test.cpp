#include "commands/pod_reason.h"

#include "examples.h"

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::commands {
namespace {

using testing::HasSubstr;

struct Example : PodView {
  std::string ip = "10.0.0.1";
  std::vector<std::string> readiness_gates;
};
PodView reread(const Example& pod) {
  return reread(pod, pod.ip, pod.readiness_gates);
}
Example example() {
  return {ready_pod(), "10.0.0.1", {}};
}

struct Row {
  const char* situation;
  std::function<void(Example&)> change;
  const char* reason;  // null: fit
  const char* words;
};
void PrintTo(const Row& row, std::ostream* out) {
  *out << row.situation;
}

NodeView node(api::Tristate ready = api::Tristate::kTrue) {
  NodeView out;
  out.name = "n1";
  out.ready = ready;
  out.ready_message = "Kubelet stopped posting node status.";
  return out;
}

void unready(PodView& pod, const char* reason = "ContainersNotReady") {
  pod.conditions = {condition("Ready", "False", reason), condition("ContainersReady", "False")};
}
ContainerView container(const char* state, const char* reason, const char* message = "", bool init = false) {
  ContainerView out;
  out.name = "vllm";
  out.init = init;
  out.state = state;
  out.reason = reason;
  out.message = message;
  return out;
}

class Reasons : public testing::TestWithParam<Row> {};
TEST_P(Reasons, AreInWords) {
  Example pod = example();
  GetParam().change(pod);
  const auto found = reason_against(reread(pod), {.value = node(), .problem = {}}, {}, kNow);
  ASSERT_EQ(found.has_value(), GetParam().reason != nullptr);
  if (!found) return;
  EXPECT_EQ(found->reason, GetParam().reason);
  EXPECT_THAT(found->words, HasSubstr(GetParam().words));
}
INSTANTIATE_TEST_SUITE_P(
    Pods, Reasons,
    testing::Values(
        Row{"fit", [](Example&) {}, nullptr, ""},
        Row{"terminating", [](Example& p) { p.ends = ahead(30); }, "Terminating",
            "it has 30 s left to finish"},
        Row{"terminating for too long", [](Example& p) { p.ends = ago(1); }, "Terminating",
            "its grace period is over"},
        Row{"terminating outweighs the rest",
            [](Example& p) {
              p.ends = ahead(30);
              unready(p);
            },
            "Terminating", "being deleted"},
        Row{"evicted by the kubelet",
            [](Example& p) {
              p.phase = "Failed";
              p.status_reason = "Evicted";
              p.status_message = "The node was low on resource: memory.";
            },
            "Evicted", "its phase is Failed: Evicted: The node was low"},
        Row{"failed", [](Example& p) { p.phase = "Failed"; }, "Failed", "its phase is Failed"},
        Row{"succeeded", [](Example& p) { p.phase = "Succeeded"; }, "Succeeded", "have ended"},
        Row{"no GPU is free",
            [](Example& p) {
              p.node.clear();
              p.conditions = {condition("PodScheduled", "False", "Unschedulable",
                                        "0/3 nodes: Insufficient nvidia.com/gpu")};
            },
            "NotScheduled", "it has no node yet: 0/3 nodes: Insufficient nvidia.com/gpu"},
        Row{"not scheduled, and nobody has said why",
            [](Example& p) {
              p.node.clear();
              p.conditions.clear();
            },
            "NotScheduled", "it has no node yet"},
        Row{"about to be preempted",
            [](Example& p) {
              p.conditions.push_back(condition("DisruptionTarget", "True", "PreemptionByScheduler", "m"));
            },
            "DisruptionTarget", "about to be disrupted: PreemptionByScheduler: m"},
        Row{"a disruption that was called off",
            [](Example& p) { p.conditions.push_back(condition("DisruptionTarget", "False")); }, nullptr, ""},
        Row{"crash loop",
            [](Example& p) {
              unready(p);
              p.containers = {container("waiting", "CrashLoopBackOff", "back-off 5m0s")};
              p.containers[0].restarts = 4;
            },
            "NotReady", "container vllm waits: CrashLoopBackOff: back-off 5m0s (restarted 4 times)"},
        Row{"an init container loads the model",
            [](Example& p) {
              unready(p, "ContainersNotInitialized");
              p.containers = {container("running", "", "", true), container("waiting", "PodInitializing")};
            },
            "NotReady", "init container vllm still runs"},
        Row{"a container has ended",
            [](Example& p) {
              unready(p);
              p.containers = {container("terminated", "OOMKilled")};
            },
            "NotReady", "container vllm has ended: OOMKilled"},
        Row{"an init container that is done is no news",
            [](Example& p) {
              unready(p);
              p.containers = {container("terminated", "Completed", "", true), container("running", "")};
            },
            "NotReady", "its containers run, so its readinessProbe has not succeeded yet"},
        Row{"a readiness gate that nobody has written",
            [](Example& p) { p.readiness_gates = {"lb/attached"}; }, "ReadinessGate",
            "its readiness gate lb/attached is not met: nobody has written that condition"},
        Row{"a readiness gate that is False",
            [](Example& p) {
              p.readiness_gates = {"lb/attached"};
              p.conditions.push_back(condition("lb/attached", "False", "", "target is unhealthy"));
            },
            "ReadinessGate", "target is unhealthy"},
        Row{"a readiness gate that is met",
            [](Example& p) {
              p.readiness_gates = {"lb/attached"};
              p.conditions.push_back(condition("lb/attached", "True"));
            },
            nullptr, ""},
        Row{"the kubelet has not spoken", [](Example& p) { p.conditions.clear(); }, "NoReadyCondition",
            "its kubelet"},
        Row{"no address", [](Example& p) { p.ip.clear(); }, "NoAddress", "no IP address"}));

std::string said(const PodView& pod, const NodeView& node) {
  const auto found = reason_against(reread(pod), {.value = node, .problem = {}}, {}, kNow);
  return found ? found->reason + ": " + found->words : std::string{};
}

// Of two, the one that the operator names.
TEST(Reasons, OfTheNodeComeInTheOperatorsOrder) {
  NodeView lost = node(api::Tristate::kUnknown);
  PodView pod = ready_pod();
  pod.conditions.push_back(condition("DisruptionTarget", "True"));
  EXPECT_THAT(said(pod, lost), HasSubstr("DisruptionTarget"));
  lost.taints = {"node.kubernetes.io/out-of-service"};
  EXPECT_THAT(said(pod, lost), HasSubstr("NodeTaint"));
  pod.ends = ahead(30);
  EXPECT_THAT(said(pod, lost), HasSubstr("Terminating"));
  pod = ready_pod();
  lost.taints.clear();
  unready(pod);
  EXPECT_THAT(said(pod, lost), HasSubstr("NotReady: it is not ready")) << "the pod's own word, if it has one";
}

TEST(Reasons, TheNode) {
  const PodView pod = reread(ready_pod());
  EXPECT_EQ(reason_against(pod, {}, {}, kNow)->reason, "NodeGone");
  EXPECT_FALSE(reason_against(pod, {.value = {}, .problem = "forbidden"}, {}, kNow))
      << "not known is not gone";
  EXPECT_EQ(said(pod, read_node({{"metadata", {{"name", "n1"}}}})), "")
      << "a node that says nothing counts as ready";
  EXPECT_THAT(said(pod, node(api::Tristate::kUnknown)),
              "NodeNotReady: its node n1 is not ready: Kubelet stopped posting node status.");
  NodeView tainted = node();
  tainted.taints = {"node-role.kubernetes.io/control-plane", "karpenter.sh/disrupted"};
  EXPECT_THAT(said(pod, tainted), "") << "with these its pods are drained, at most";
  tainted.taints.push_back("node.cloudprovider.kubernetes.io/shutdown");
  EXPECT_THAT(said(pod, tainted),
              "NodeTaint: its node n1 is tainted node.cloudprovider.kubernetes.io/shutdown");
  PodView lost = pod;
  unready(lost, "NodeStatusUnknown");
  EXPECT_THAT(
      reason_against(reread(lost), {.value = node(api::Tristate::kUnknown), .problem = {}}, {}, kNow)->words,
      HasSubstr("its node n1 is not ready: Kubelet stopped posting"));
}

TEST(Reasons, TheProbeInItsOwnWords) {
  PodView pod = ready_pod();
  unready(pod);
  EventView other;
  other.reason = "Unhealthy";
  other.note = "Liveness probe failed: x";
  EventView event;
  event.reason = "Unhealthy";
  event.note = "Readiness probe failed: HTTP probe failed with statuscode: 503";
  EXPECT_EQ(reason_against(reread(pod), {.value = node(), .problem = {}}, {other, event}, kNow)->words,
            "it is not ready: Readiness probe failed: HTTP probe failed with statuscode: 503");
}

}  // namespace
}  // namespace poolwarden::commands
