// `drain NODE`: cordons the node, and evicts each pool pod on it as soon as it is drained.
#include "api/names.h"
#include "commands/cluster_reader.h"
#include "commands/membership.h"
#include "commands/node_plan.h"
#include "commands/operator_liveness.h"
#include "commands/pod_drain.h"

#include <map>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace poolwarden::commands {
namespace {

using nlohmann::json;

constexpr std::chrono::seconds kNodePoll{1};
// An operator that runs sees the cordon at once; it may drain the pods one by one, but it begins.
constexpr std::chrono::seconds kNodeHeed{10};

// Preconditions hold it to the node that was read.
kube::Call cordon(const NodeView& node, bool cordoned) {
  const json body = {{"metadata", {{"uid", node.uid}}},
                     {"spec", {{"unschedulable", cordoned ? json(true) : json(nullptr)}}}};
  return kube::guarded(kube::merge_patch(kube::kNodes, {}, node.name, body.dump()));
}

// https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/
kube::Call evict(const PodView& pod) {
  const json body = {{"apiVersion", "policy/v1"},
                     {"kind", "Eviction"},
                     {"metadata", {{"name", pod.name}, {"namespace", pod.ns}}},
                     {"deleteOptions", {{"preconditions", {{"uid", pod.uid}}}}}};
  kube::Call call = kube::create(kube::kPods, pod.ns, body.dump());
  call.name = pod.name;
  call.subresource = "eviction";
  return call;
}

class NodeDrain {
 public:
  NodeDrain(Context& context, const NodeView& node, const DrainOptions& options)
      : context_(context),
        node_(node),
        options_(options),
        reader_(context.session),
        started_(context_.session.now().mono) {}

  int run() {
    while (true) {
      const auto pods = pool_pods();
      if (!pods && pods.error().cls == kube::ErrorClass::kShutdown) return stopped();
      if (!pods && pods.error().cls != kube::ErrorClass::kRetry) return fail(context_, pods.error());
      if (pods) {
        if (const auto code = turn(*pods)) return *code;
      } else {
        context_.console.progress(pods.error().message, pods.error().message);
      }
      const auto limit = options_.timeout.value_or(std::chrono::seconds(0));
      if (limit.count() > 0 && context_.session.now().mono - started_ >= limit)
        return fail(context_, fmt::format("not emptied within {} s: {}", limit.count(), what_stays()));
      if (!context_.session.pause(kNodePoll)) return stopped();
    }
  }

 private:
  // Who is whose is asked anew each time: pods come and go, and so do pools.
  kube::Result<std::vector<NodePod>> pool_pods() {
    auto pools = reader_.selecting_pools({});
    if (!pools) return tl::unexpected(std::move(pools.error()));
    auto pods = reader_.pods_on(node_.name);
    if (!pods) return tl::unexpected(std::move(pods.error()));
    std::vector<NodePod> out;
    for (PodView& pod : *pods) {
      if (pod.node != node_.name) continue;
      NodePod each{.pod = std::move(pod), .endpoint = {}};
      auto mine = pools_of(each.pod, *pools);
      if (mine.empty()) {
        each.leader = leader_of(each.pod);
        if (each.leader) mine = pools_of(*each.leader, *pools);
      }
      if (mine.empty()) continue;
      if (const EndpointView* found = mine.front()->pool.endpoint(each.answering().name))
        each.endpoint = *found;
      out.push_back(std::move(each));
    }
    return out;
  }

  // A worker is in no pool. It goes when its leader, wherever that is, has drained.
  std::optional<PodView> leader_of(const PodView& pod) {
    const std::string name = pod.annotation(api::kLeaderNameAnnotation);
    if (!is_worker(pod) || name.empty()) return std::nullopt;
    auto leader = reader_.pod(pod.ns, name);
    return leader ? std::optional{*std::move(leader)} : std::nullopt;
  }

  // An exit code, once it is over.
  std::optional<int> turn(const std::vector<NodePod>& pods) {
    const NodePlan plan = plan_node(pods, context_.session.now().wall);
    report(plan);
    for (const std::string& each : plan.staying) {
      if (warned_staying_.insert(each).second) context_.console.warn("stays: " + each);
    }
    if (plan.lines.empty()) {
      context_.console.say(fmt::format(
          "node {} is cordoned, and no pool pod is left on it{}. Take the cordon "
          "back with: {} drain node/{} --undo",
          node_.name, plan.staying.empty() ? "" : " but those that stay", context_.program, node_.name));
      return kDone;
    }
    left_ = plan.lines.size();
    for (const NodePod* each : plan.evict) {
      if (const auto code = evict_one(each->pod)) return code;
    }
    if (plan.draining == 0 && plan.evict.empty() && !warned_unheeded_ && !pods_moving(plan) &&
        context_.session.now().mono - started_ >= kNodeHeed) {
      warned_unheeded_ = true;
      context_.console.warn(
          operator_problem(reader_.lease(pods.front().pod.ns), context_.session.now().wall)
              .value_or(
                  "no pod on the node is being drained: does an operator run that looks after them? See "
                  "kubectl -n poolwarden-system get pods") +
          "; still waiting");
    }
    return std::nullopt;
  }

  static bool pods_moving(const NodePlan& plan) {
    for (const NodeLine& line : plan.lines) {
      if (line.news == "terminating") return true;
    }
    return false;
  }

  std::optional<int> evict_one(const PodView& pod) {
    const std::string name = fmt::format("{}/{}", pod.ns, pod.name);
    const auto done = context_.session.call(evict(pod));
    if (done) {
      context_.console.say(fmt::format("pod {}: evicted", name));
      return std::nullopt;
    }
    const kube::Error& error = done.error();
    if (error.is_not_found() || error.cls == kube::ErrorClass::kConflict) return std::nullopt;  // it is gone
    if (error.cls == kube::ErrorClass::kShutdown) return stopped();
    if (error.cls != kube::ErrorClass::kRetry) return fail(context_, error);
    // Another budget, or a server under load: kubectl drain tries again as well.
    if (printed_refusals_[pod.uid] != error.message) {
      printed_refusals_[pod.uid] = error.message;
      context_.console.warn(fmt::format("pod {}: {}; trying again", name, error.message));
    }
    return std::nullopt;
  }

  // Each pod's state: a line for each change, and on a terminal a sum that is drawn over.
  void report(const NodePlan& plan) {
    for (const NodeLine& line : plan.lines) {
      std::string& printed = printed_states_[line.pod];
      if (printed == line.news) continue;
      printed = line.news;
      context_.console.say(fmt::format("pod {}: {}", line.pod, line.words));
    }
    if (!context_.console.is_terminal() || plan.lines.empty()) return;
    context_.console.progress(fmt::format("node {}: {} left; {}: {}", node_.name, plan.lines.size(),
                                          plan.lines.front().pod, plan.lines.front().words),
                              "");
  }

  std::string what_stays() const {
    return fmt::format(
        "node {} stays cordoned, which keeps its pool pods off the lists{}. Take that back with: "
        "{} drain node/{} --undo",
        node_.name, left_ ? fmt::format("; {} left on it", *left_) : std::string{}, context_.program,
        node_.name);
  }

  int stopped() {
    fail(context_, "interrupted: " + what_stays());
    return kInterrupted;
  }

  Context& context_;
  const NodeView& node_;
  const DrainOptions& options_;
  ClusterReader reader_;
  const std::chrono::steady_clock::time_point started_;
  std::optional<std::size_t> left_;
  std::map<std::string, std::string> printed_states_;
  std::map<std::string, std::string> printed_refusals_;
  std::set<std::string> warned_staying_;
  bool warned_unheeded_ = false;
};

}  // namespace

int drain_node(Context& context, const NodeView& node, const DrainOptions& options) {
  if (options.undo) {
    if (!node.unschedulable) {
      context.console.say(fmt::format("node {} is not cordoned: nothing to undo", node.name));
      return kDone;
    }
    if (const auto done = context.session.call(cordon(node, false)); !done)
      return fail(context, done.error());
    context.console.say(
        fmt::format("node {}: uncordoned; pods on it that are still there are taken back", node.name));
    return kDone;
  }
  if (!node.unschedulable) {
    if (const auto done = context.session.call(cordon(node, true)); !done) return fail(context, done.error());
  }
  context.console.say(
      fmt::format("node {}: {}", node.name, node.unschedulable ? "cordoned already" : "cordoned"));
  if (!options.wait) {
    context.console.say(
        fmt::format("its pool pods are drained, and not evicted: kubectl drain {} does that", node.name));
    return kDone;
  }
  return NodeDrain(context, node, options).run();
}

}  // namespace poolwarden::commands
