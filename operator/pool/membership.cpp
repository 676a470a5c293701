#include "pool/membership.h"

#include "api/names.h"

#include <array>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::pool {
namespace {

constexpr std::array kNames{
    std::pair{Withdrawal::kNone, std::string_view{}},
    std::pair{Withdrawal::kDeleted, std::string_view{"Deleted"}},
    std::pair{Withdrawal::kTerminating, std::string_view{"Terminating"}},
    std::pair{Withdrawal::kFailed, std::string_view{"Failed"}},
    std::pair{Withdrawal::kSucceeded, std::string_view{"Succeeded"}},
    std::pair{Withdrawal::kEvicted, std::string_view{"Evicted"}},
    std::pair{Withdrawal::kNodeGone, std::string_view{"NodeGone"}},
    std::pair{Withdrawal::kDisruptionTarget, std::string_view{"DisruptionTarget"}},
    std::pair{Withdrawal::kNotReady, std::string_view{"NotReady"}},
    std::pair{Withdrawal::kNoReadyCondition, std::string_view{"NoReadyCondition"}},
    std::pair{Withdrawal::kReadinessGate, std::string_view{"ReadinessGate"}},
    std::pair{Withdrawal::kNoAddress, std::string_view{"NoAddress"}},
    std::pair{Withdrawal::kNotScheduled, std::string_view{"NotScheduled"}},
    std::pair{Withdrawal::kRelabelled, std::string_view{"Relabelled"}},
    std::pair{Withdrawal::kListFull, std::string_view{"ListFull"}},
    std::pair{Withdrawal::kNodeNotReady, std::string_view{"NodeNotReady"}},
    std::pair{Withdrawal::kNodeTaint, std::string_view{"NodeTaint"}},
    std::pair{Withdrawal::kGroupNotReady, std::string_view{"GroupNotReady"}},
    std::pair{Withdrawal::kPreview, std::string_view{"Preview"}},
    std::pair{Withdrawal::kDraining, std::string_view{"Draining"}},
};

std::string with_reason(std::string text, const api::Rare<std::string>& reason) {
  if (reason && !reason->empty()) text += ": " + *reason;
  return text;
}

// The end of its life, which no other fact can outweigh.
bool judge_ending(const api::Pod& pod, PodVerdict& out) {
  if (pod.deletion_timestamp) {
    out.reason = Withdrawal::kTerminating;
    out.detail = fmt::format("it is being deleted, with {} s to finish", pod.deletion_grace_seconds);
  } else if (pod.phase == api::PodPhase::kFailed) {
    out.reason = pod.status_reason == "Evicted" ? Withdrawal::kEvicted : Withdrawal::kFailed;
    out.detail = with_reason("its phase is Failed", pod.status_reason);
  } else if (pod.phase == api::PodPhase::kSucceeded) {
    out.reason = Withdrawal::kSucceeded;
    out.detail = "its containers have ended";
  }
  return out.reason != Withdrawal::kNone;
}

bool judge_node(const api::Pod& pod, bool sees_nodes, PodVerdict& out) {
  const api::Node* node = out.node;
  if (pod.node->empty()) {
    out.reason = Withdrawal::kNotScheduled;
    out.detail = "it has no node yet";
  } else if (sees_nodes && node == nullptr) {
    out.reason = Withdrawal::kNodeGone;
    out.detail = fmt::format("its node {} is gone", *pod.node);
  } else if (node != nullptr && !node->withdraw_taint.empty()) {
    out.reason = Withdrawal::kNodeTaint;
    out.detail = fmt::format("its node {} is tainted {}", *pod.node, node->withdraw_taint);
  } else if (pod.disruption_target) {
    // Set before the pod gets its deletionTimestamp: by preemption, taints, eviction.
    // https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions
    out.reason = Withdrawal::kDisruptionTarget;
    out.detail = with_reason("it is about to be disrupted", pod.disruption_target);
  }
  return out.reason != Withdrawal::kNone;
}

// Sooner than the pods themselves: the node controller marks those one by one, after the node.
void judge_node_readiness(const api::Pod& pod, PodVerdict& out) {
  if (out.node == nullptr || out.node->ready == api::Tristate::kTrue) return;
  out.reason = Withdrawal::kNodeNotReady;
  out.detail = fmt::format("its node {} is not ready", *pod.node);
}

void judge_readiness(const api::Pod& pod, PodVerdict& out) {
  // A gate turns False some time before the kubelet turns Ready False for it; and when it has, the gate is
  // the cause that helps.
  const bool only_the_gate =
      pod.ready == api::Tristate::kTrue || pod.containers_ready == api::Tristate::kTrue;
  if (pod.unmet_gate && only_the_gate) {
    out.reason = Withdrawal::kReadinessGate;
    out.detail = fmt::format("readiness gate {} is not True", *pod.unmet_gate);
  } else if (pod.ready == api::Tristate::kAbsent) {
    out.reason = Withdrawal::kNoReadyCondition;
    out.detail = "its kubelet has not said yet whether it is ready";
  } else if (pod.ready != api::Tristate::kTrue) {
    out.reason = Withdrawal::kNotReady;
    out.detail = with_reason(pod.ready == api::Tristate::kFalse ? "its condition Ready is False"
                                                                : "its condition Ready is Unknown",
                             pod.ready_reason);
  } else if (pod.ip.empty()) {
    out.reason = Withdrawal::kNoAddress;
    out.detail = "it has no IP address";
  }
}

// Its gates have a say that no kubelet has.
bool is_ready_by_its_kubelet(const api::Pod& pod) {
  return pod.ready == api::Tristate::kTrue || is_unready_by_its_node(pod);
}

}  // namespace

std::string_view to_string(Withdrawal reason) {
  for (const auto& [value, name] : kNames) {
    if (value == reason) return name;
  }
  return {};
}

PodVerdict judge(const api::Pod& pod, const NodeLookup& node) {
  PodVerdict out;
  out.pod = &pod;
  if (node && !pod.node->empty()) out.node = node(pod);
  if (!judge_ending(pod, out) && !judge_node(pod, static_cast<bool>(node), out)) {
    judge_readiness(pod, out);
    if (out.reason == Withdrawal::kNone) judge_node_readiness(pod, out);
  }
  const bool for_readiness = out.reason == Withdrawal::kNotReady || out.reason == Withdrawal::kNodeNotReady;
  out.only_by_its_node = for_readiness && is_ready_by_its_kubelet(pod);
  out.fit = out.reason == Withdrawal::kNone;
  return out;
}

bool is_unready_by_its_node(const api::Pod& pod) {
  if (pod.unmet_gate) return false;
  if (pod.ready == api::Tristate::kUnknown) return pod.containers_ready != api::Tristate::kFalse;
  // The kubelet's own words while it has yet to see that a gate is met.
  constexpr std::string_view kForItsGates = "ReadinessGatesNotReady";
  return pod.ready == api::Tristate::kFalse && pod.containers_ready == api::Tristate::kTrue &&
         !(pod.ready_reason && *pod.ready_reason == kForItsGates);
}

void trust_its_kubelet(PodVerdict& verdict) {
  if (!verdict.only_by_its_node) return;
  verdict.reason = Withdrawal::kNone;
  verdict.detail.clear();
  verdict.fit = true;
}

bool may_pass(Withdrawal reason) {
  return reason == Withdrawal::kNotReady || reason == Withdrawal::kNoReadyCondition ||
         reason == Withdrawal::kReadinessGate || reason == Withdrawal::kNoAddress ||
         reason == Withdrawal::kDisruptionTarget || reason == Withdrawal::kGroupNotReady;
}

bool may_have_to_finish(const PodVerdict& verdict) {
  if (verdict.fit || !is_active(*verdict.pod)) return false;
  // With its node, whatever ran there is gone.
  if (verdict.reason == Withdrawal::kNodeGone || verdict.reason == Withdrawal::kNodeTaint) return false;
  return is_held(*verdict.pod);
}

bool is_active(const api::Pod& pod) {
  return !pod.deletion_timestamp && pod.phase != api::PodPhase::kFailed &&
         pod.phase != api::PodPhase::kSucceeded;
}

}  // namespace poolwarden::pool
