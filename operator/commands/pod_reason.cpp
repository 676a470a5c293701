#include "commands/pod_reason.h"

#include "api/taints.h"
#include "commands/durations.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::commands {
namespace {

std::string with(std::string text, const std::string& detail) {
  if (!detail.empty()) text += ": " + detail;
  return text;
}

// The end of its life, which no other fact can outweigh.
std::optional<PodReason> ending(const PodView& pod, api::Timestamp now) {
  if (pod.ends) {
    const std::string left = *pod.ends > now
                                 ? fmt::format("it has {} left to finish", in_words(since(now, *pod.ends)))
                                 : std::string("its grace period is over");
    return PodReason{"Terminating", "it is being deleted; " + left, ""};
  }
  if (pod.phase == "Failed") {
    return PodReason{pod.status_reason == "Evicted" ? "Evicted" : "Failed",
                     with(with("its phase is Failed", pod.status_reason), pod.status_message),
                     fmt::format("kubectl -n {} logs {} --all-containers", pod.ns, pod.name)};
  }
  if (pod.phase == "Succeeded") return PodReason{"Succeeded", "its containers have ended", ""};
  return std::nullopt;
}

// The operator's flags may name others, which nobody but itself knows.
std::string withdrawing_taint(const NodeView& node) {
  const auto withdraws = [](const std::string& taint) {
    return std::find(api::taint::kWithdraw.begin(), api::taint::kWithdraw.end(), taint) !=
           api::taint::kWithdraw.end();
  };
  const auto found = std::find_if(node.taints.begin(), node.taints.end(), withdraws);
  return found == node.taints.end() ? std::string{} : *found;
}

std::optional<PodReason> of_node(const PodView& pod, const Lookup<NodeView>& node) {
  if (pod.node.empty()) {
    const api::Condition* scheduled = pod.condition("PodScheduled");
    return PodReason{"NotScheduled",
                     with("it has no node yet", scheduled == nullptr ? "" : scheduled->message), ""};
  }
  if (node.is_absent()) return PodReason{"NodeGone", fmt::format("its node {} is gone", pod.node), ""};
  if (const std::string taint = node.value ? withdrawing_taint(*node.value) : ""; !taint.empty())
    return PodReason{"NodeTaint", fmt::format("its node {} is tainted {}", pod.node, taint),
                     look_at_node(pod)};
  if (const api::Condition* found = pod.condition("DisruptionTarget"); found && found->status == "True") {
    return PodReason{"DisruptionTarget",
                     with(with("it is about to be disrupted", found->reason), found->message), ""};
  }
  return std::nullopt;
}

// What keeps a container from being ready; empty if nothing is to be seen.
std::string container_trouble(const PodView& pod) {
  for (const ContainerView& each : pod.containers) {
    const char* kind = each.init ? "init container" : "container";
    // PodInitializing says nothing: the init container that runs is the news.
    if (each.state == "waiting" && each.reason != "PodInitializing")
      return with(fmt::format("{} {} waits: {}", kind, each.name, each.reason), each.message) +
             (each.restarts > 0 ? fmt::format(" (restarted {})", plural(each.restarts, "time"))
                                : std::string{});
    if (each.init && each.state == "running") return fmt::format("init container {} still runs", each.name);
    if (!each.init && each.state == "terminated")
      return with(fmt::format("container {} has ended: {}", each.name, each.reason), each.message);
  }
  return {};
}

std::string last_probe_failure(const std::vector<EventView>& events) {
  const auto found = std::find_if(events.begin(), events.end(), [](const EventView& event) {
    return event.reason == "Unhealthy" && event.note.find("eadiness") != std::string::npos;
  });
  return found == events.end() ? std::string{} : found->note;
}

// One that says nothing of it counts as ready.
bool is_unready(const Lookup<NodeView>& node) {
  return node.value && !node.value->ready.empty() && node.value->ready != "True";
}

std::string node_is_unready(const PodView& pod, const NodeView& node) {
  return with(fmt::format("its node {} is not ready", pod.node), node.ready_message);
}

PodReason not_ready(const PodView& pod, const Lookup<NodeView>& node, const std::vector<EventView>& events,
                    const api::Condition& ready) {
  PodReason out{"NotReady", "it is not ready", ""};
  if (const std::string trouble = container_trouble(pod); !trouble.empty()) {
    out.words += ": " + trouble;
    out.fix = fmt::format("kubectl -n {} logs {} --all-containers", pod.ns, pod.name);
    return out;
  }
  if (is_unready(node)) {
    out.words += ": " + node_is_unready(pod, *node.value);
    out.fix = look_at_node(pod);
    return out;
  }
  if (const std::string failure = last_probe_failure(events); !failure.empty()) {
    out.words += ": " + failure;
    return out;
  }
  out.words = with(with(out.words, ready.reason), ready.message);
  if (ready.reason == "ContainersNotReady")
    out.words += "; its containers run, so its readinessProbe has not succeeded yet";
  return out;
}

std::optional<PodReason> of_readiness(const PodView& pod, const Lookup<NodeView>& node,
                                      const std::vector<EventView>& events) {
  const api::Condition* ready = pod.condition("Ready");
  const api::Condition* containers = pod.condition("ContainersReady");
  const bool containers_ready = pod.ready() || (containers != nullptr && containers->status == "True");
  for (const std::string& gate : pod.readiness_gates) {
    const api::Condition* met = pod.condition(gate);
    if (!containers_ready || (met != nullptr && met->status == "True")) continue;
    return PodReason{"ReadinessGate",
                     with(fmt::format("its readiness gate {} is not met", gate),
                          met == nullptr ? "nobody has written that condition" : met->message),
                     fmt::format("whoever keeps {} must set it", gate)};
  }
  if (ready == nullptr)
    return PodReason{"NoReadyCondition", "its kubelet has not said yet whether it is ready", ""};
  if (ready->status != "True") return not_ready(pod, node, events, *ready);
  if (pod.ip.empty()) return PodReason{"NoAddress", "it has no IP address", ""};
  // Before its pods are marked, one by one.
  if (is_unready(node))
    return PodReason{"NodeNotReady", node_is_unready(pod, *node.value), look_at_node(pod)};
  return std::nullopt;
}

}  // namespace

std::optional<PodReason> reason_against(const PodView& pod, const Lookup<NodeView>& node,
                                        const std::vector<EventView>& events, api::Timestamp now) {
  if (auto found = ending(pod, now)) return found;
  if (auto found = of_node(pod, node)) return found;
  return of_readiness(pod, node, events);
}

std::string look_at_node(const PodView& pod) {
  return "kubectl describe node " + pod.node;
}

}  // namespace poolwarden::commands
