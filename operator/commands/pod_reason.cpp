#include "commands/pod_reason.h"

#include "api/taints.h"
#include "commands/durations.h"
#include "pool/membership.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::commands {
namespace {

std::string with(std::string text, const std::string& detail) {
  if (!detail.empty()) text += ": " + detail;
  return text;
}

std::string logs_of(const PodView& pod) {
  return fmt::format("kubectl -n {} logs {} --all-containers", pod.ns, pod.name);
}

std::string message_of(const PodView& pod, std::string_view type) {
  const api::Condition* found = pod.condition(type);
  return found == nullptr ? std::string{} : found->message;
}

PodReason terminating(const PodView& pod, api::Timestamp now) {
  const std::string left = pod.ends && *pod.ends > now
                               ? fmt::format("it has {} left to finish", in_words(since(now, *pod.ends)))
                               : std::string("its grace period is over");
  return {"", "it is being deleted; " + left, ""};
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

bool is_unready(const Lookup<NodeView>& node) {
  return node.value && node.value->ready != api::Tristate::kTrue;
}

std::string node_is_unready(const PodView& pod, const NodeView& node) {
  return with(fmt::format("its node {} is not ready", pod.node), node.ready_message);
}

PodReason not_ready(const PodView& pod, const Lookup<NodeView>& node, const std::vector<EventView>& events) {
  PodReason out{"", "it is not ready", ""};
  if (const std::string trouble = container_trouble(pod); !trouble.empty()) {
    out.words += ": " + trouble;
    out.fix = logs_of(pod);
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
  const api::Condition* ready = pod.condition("Ready");
  if (ready == nullptr) return out;
  out.words = with(with(out.words, ready->reason), ready->message);
  if (ready->reason == "ContainersNotReady")
    out.words += "; its containers run, so its readinessProbe has not succeeded yet";
  return out;
}

PodReason unmet_gate(const PodView& pod) {
  const std::string gate = shortened(pod.judged.unmet_gate.value_or(""));
  const api::Condition* met = pod.condition(gate);
  return {"",
          with(fmt::format("its readiness gate {} is not met", gate),
               met == nullptr ? "nobody has written that condition" : met->message),
          fmt::format("whoever keeps {} must set it", gate)};
}

// For a person, with more than the operator keeps of a pod.
PodReason explain(const pool::PodVerdict& verdict, const PodView& pod, const Lookup<NodeView>& node,
                  const std::vector<EventView>& events, api::Timestamp now) {
  const std::string detail = shortened(verdict.detail);
  switch (verdict.reason) {
    case pool::Withdrawal::kTerminating:
      return terminating(pod, now);
    case pool::Withdrawal::kFailed:
    case pool::Withdrawal::kEvicted:
      return {"", with(detail, pod.status_message), logs_of(pod)};
    case pool::Withdrawal::kNotScheduled:
      return {"", with(detail, message_of(pod, "PodScheduled")), ""};
    case pool::Withdrawal::kNodeTaint:
      return {"", detail, look_at_node(pod)};
    case pool::Withdrawal::kDisruptionTarget:
      return {"", with(detail, message_of(pod, "DisruptionTarget")), ""};
    case pool::Withdrawal::kReadinessGate:
      return unmet_gate(pod);
    case pool::Withdrawal::kNotReady:
      return not_ready(pod, node, events);
    case pool::Withdrawal::kNodeNotReady:
      return {"", with(detail, node.value ? node.value->ready_message : ""), look_at_node(pod)};
    default:
      return {"", detail, ""};
  }
}

}  // namespace

std::optional<PodReason> reason_against(const PodView& pod, const Lookup<NodeView>& node,
                                        const std::vector<EventView>& events, api::Timestamp now) {
  std::optional<api::Node> judged = node.value;
  // The operator's flags may name other taints, which nobody but itself knows.
  if (judged) judged->withdraw_taint = api::taint::first_of(api::taint::kWithdraw, judged->taints);
  pool::NodeLookup lookup;
  if (node.problem.empty()) lookup = [&judged](const api::Pod&) { return judged ? &*judged : nullptr; };
  const pool::PodVerdict verdict = pool::judge(pod.judged, lookup);
  if (verdict.fit) return std::nullopt;
  PodReason out = explain(verdict, pod, node, events, now);
  out.reason = pool::to_string(verdict.reason);
  out.only_by_its_node = verdict.only_by_its_node;
  return out;
}

std::string look_at_node(const PodView& pod) {
  return "kubectl describe node " + pod.node;
}

}  // namespace poolwarden::commands
