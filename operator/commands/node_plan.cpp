#include "commands/node_plan.h"

#include "commands/membership.h"
#include "commands/status_report.h"

#include <fmt/format.h>

namespace poolwarden::commands {
namespace {

// https://kubernetes.io/docs/tasks/configure-pod-container/static-pod/
constexpr std::string_view kMirrorAnnotation = "kubernetes.io/config.mirror";

std::string stays(const PodView& pod) {
  const api::OwnerReference* owner = pod.controller();
  if (owner != nullptr && owner->kind == "DaemonSet")
    return fmt::format("DaemonSet {} would put it back", owner->name);
  if (pod.annotations.contains(kMirrorAnnotation)) return "it is a static pod of the node's kubelet";
  return {};
}

// What the operator waits for, if it has said so.
std::string detail(const NodePod& pod) {
  const bool said = pod.endpoint && pod.endpoint->state == "ready" && !pod.endpoint->message.empty();
  return said ? ": " + pod.endpoint->message : std::string{};
}

}  // namespace

NodePlan plan_node(const std::vector<NodePod>& pods, api::Timestamp now) {
  NodePlan out;
  for (const NodePod& each : pods) {
    const std::string name = fmt::format("{}/{}", each.pod.ns, each.pod.name);
    if (const std::string why = stays(each.pod); !why.empty()) {
      out.staying.push_back(fmt::format("{}: {}", name, why));
      continue;
    }
    if (each.pod.ends) {
      out.lines.push_back({name, "terminating", "terminating"});
      continue;
    }
    const Hold hold = hold_of(each.answering(), now);
    switch (hold) {
      case Hold::kReleased:
        out.evict.push_back(&each);
        out.lines.push_back({name, is_drained(each.answering()) ? "drained" : "on no list", "released"});
        break;
      case Hold::kServing:
        out.lines.push_back({name, "serving, not drained yet" + detail(each), "serving" + detail(each)});
        break;
      case Hold::kDraining:
      case Hold::kFinishing: {
        ++out.draining;
        EndpointView drain = each.endpoint.value_or(EndpointView{});
        drain.state = hold == Hold::kDraining ? "draining" : "finishing";
        const std::string count = drain.in_flight ? std::to_string(*drain.in_flight) : "?";
        out.lines.push_back({name, state_sentence(drain, now), drain.state + " " + count});
        break;
      }
    }
  }
  return out;
}

}  // namespace poolwarden::commands
