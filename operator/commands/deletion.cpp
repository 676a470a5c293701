// `drain` and `delete`: what a person named, looked up, and given to whoever drains it.
#include "commands/cluster_reader.h"
#include "commands/context.h"
#include "commands/pod_drain.h"
#include "commands/target.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::commands {
namespace {

constexpr std::chrono::milliseconds kDeletionPoll{500};
constexpr std::chrono::seconds kBeyondTheGracePeriod{60};

// Either may be there, or neither. `node` is asked for by name only where the person did not say which.
struct Found {
  std::optional<PodView> pod;
  std::optional<NodeView> node;
};

tl::expected<Found, int> look_up(Context& context, const Target& target) {
  ClusterReader reader(context.session);
  Found out;
  std::string problem;
  if (target.kind != TargetKind::kNode) {
    auto pod = reader.pod(context.session.ns(), target.name);
    if (!pod && !pod.error().is_not_found()) return tl::unexpected(fail(context, pod.error()));
    if (pod) out.pod = std::move(*pod);
  }
  if (target.kind != TargetKind::kPod) {
    auto node = reader.node(target.name);
    if (node) {
      out.node = std::move(*node);
    } else if (node.error().cls == kube::ErrorClass::kShutdown) {
      return tl::unexpected(fail(context, node.error()));
    } else if (!node.error().is_not_found()) {
      // Who may read pods and no nodes has asked for a pod.
      if (target.kind == TargetKind::kNode) return tl::unexpected(fail(context, node.error()));
      problem = "; whether a node has that name cannot be told: " + node.error().message;
    }
  }
  if (out.pod && out.node)
    return tl::unexpected(fail(context, fmt::format("'{0}' is a pod of namespace {1} and a node as well: say "
                                                    "pod/{0} or node/{0}",
                                                    target.name, context.session.ns())));
  if (out.pod || out.node) return out;
  if (target.kind == TargetKind::kNode)
    return tl::unexpected(fail(context, "there is no node " + target.name));
  if (target.kind == TargetKind::kEither && problem.empty()) problem = ", and no node of that name";
  return tl::unexpected(fail(context, fmt::format("there is no pod {} in namespace {}{}", target.name,
                                                  context.session.ns(), problem)));
}

int drain_one(Context& context, PodView pod, const DrainOptions& options) {
  if (options.undo) return undo_pod_drain(context, pod);
  if (pod.ends)
    return fail(context,
                fmt::format("pod {}/{} is being deleted already, and off the list", pod.ns, pod.name));
  auto subject = find_pool_of(context, std::move(pod));
  if (!subject) return subject.error();
  const DrainReport report =
      drain_pod(context, *subject, {.verb = "drain", .wait = options.wait, .timeout = options.timeout});
  const std::string name = fmt::format("pod {}/{}", subject->pod.ns, subject->pod.name);
  switch (report.result) {
    case DrainResult::kReleased:
      context.console.say(
          fmt::format("{0} is drained, and stays off the list. Delete it with: {1} delete {2} "
                      "-n {3}; or take it back with: {1} drain {2} -n {3} --undo",
                      name, context.program, subject->pod.name, subject->pod.ns));
      return kDone;
    case DrainResult::kGone:
      context.console.say(name + " is gone");
      return kDone;
    case DrainResult::kAsked:
      return kDone;
    case DrainResult::kTerminating:
      return fail(context, name + " was deleted by someone before it was drained");
    case DrainResult::kFailed:
      return report.code;
  }
  return kNotAsAsked;
}

// Until the pod is gone, which its own grace period bounds.
int wait_until_gone(Context& context, const PodView& pod, std::optional<std::chrono::seconds> timeout) {
  ClusterReader reader(context.session);
  const std::string name = fmt::format("pod {}/{}", pod.ns, pod.name);
  const auto started = context.session.now();
  auto limit = timeout;
  while (true) {
    auto seen = reader.pod(pod.ns, pod.name);
    if (!seen && seen.error().is_not_found()) break;
    if (!seen && seen.error().cls != kube::ErrorClass::kRetry) return fail(context, seen.error());
    if (seen && seen->uid != pod.uid) break;
    if (seen && !limit && seen->ends)
      limit = std::max(std::chrono::duration_cast<std::chrono::seconds>(*seen->ends - started.wall) +
                           kBeyondTheGracePeriod,
                       kBeyondTheGracePeriod);
    context.console.progress(name + ": terminating", "terminating");
    if (limit && limit->count() > 0 && context.session.now().mono - started.mono >= *limit)
      return fail(context, fmt::format("{} is deleted, but not gone yet: {} why {} -n {}", name,
                                       context.program, pod.name, pod.ns));
    if (!context.session.pause(kDeletionPoll)) {
      fail(context,
           fmt::format("interrupted: {} is deleted and ends by itself; that cannot be undone", name));
      return kInterrupted;
    }
  }
  context.console.say(name + " is gone");
  return kDone;
}

int delete_drained(Context& context, const PodView& pod, const DrainOptions& options) {
  const auto done = context.session.call(
      kube::remove(kube::kPods, pod.ns, pod.name, {.uid = pod.uid, .resource_version = {}}));
  const std::string name = fmt::format("pod {}/{}", pod.ns, pod.name);
  if (!done) {
    // A conflict is about the UID: another of its name is there.
    const bool gone = done.error().is_not_found() || done.error().cls == kube::ErrorClass::kConflict;
    if (!gone) return fail(context, done.error());
    context.console.say(name + " is gone");
    return kDone;
  }
  context.console.say(name + " deleted");
  return options.wait ? wait_until_gone(context, pod, options.timeout) : kDone;
}

}  // namespace

int run_drain(Context& context, const DrainOptions& options) {
  const auto target = parse_target(options.target);
  if (!target) return usage(context, target.error());
  auto found = look_up(context, *target);
  if (!found) return found.error();
  if (found->node) return drain_node(context, *found->node, options);
  return drain_one(context, std::move(*found->pod), options);
}

int run_delete(Context& context, const DrainOptions& options) {
  auto target = parse_target(options.target);
  if (!target) return usage(context, target.error());
  if (target->kind == TargetKind::kNode)
    return usage(context, "delete is about pods: name one, as NAME or pod/NAME");
  target->kind = TargetKind::kPod;
  auto found = look_up(context, *target);
  if (!found) return found.error();
  const PodView& pod = *found->pod;
  if (pod.ends) {
    context.console.say(fmt::format("pod {}/{} is being deleted already", pod.ns, pod.name));
    return options.wait ? wait_until_gone(context, pod, options.timeout) : kDone;
  }
  const auto subject = find_pool_of(context, pod);
  if (!subject) return subject.error();
  const DrainReport report =
      drain_pod(context, *subject, {.verb = "delete", .wait = true, .timeout = options.timeout});
  switch (report.result) {
    case DrainResult::kReleased:
      return delete_drained(context, pod, options);
    case DrainResult::kGone:
      context.console.say(fmt::format("pod {}/{} is gone", pod.ns, pod.name));
      return kDone;
    case DrainResult::kTerminating:
      return fail(context,
                  fmt::format("pod {}/{} was deleted by someone before it was drained", pod.ns, pod.name));
    case DrainResult::kAsked:
    case DrainResult::kFailed:
      return report.code;
  }
  return kNotAsAsked;
}

}  // namespace poolwarden::commands
