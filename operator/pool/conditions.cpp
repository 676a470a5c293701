#include "pool/conditions.h"

#include "api/names.h"
#include "api/taints.h"
#include "api/target_kind.h"
#include "base/text.h"
#include "pool/budget.h"
#include "pool/membership.h"
#include "pool/replica_sync.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace poolwarden::pool {
namespace {

using base::plural;

struct Finding {
  std::string status;
  std::string reason;
  std::string message;
};

Finding is_true(std::string reason, std::string message) {
  return {"True", std::move(reason), std::move(message)};
}
Finding is_false(std::string reason, std::string message) {
  return {"False", std::move(reason), std::move(message)};
}
Finding is_unknown(std::string reason, std::string message) {
  return {"Unknown", std::move(reason), std::move(message)};
}

std::string target_name(const Observation& seen) {
  const auto& ref = *seen.pool().scale_target;
  return fmt::format("{} {}", ref.kind, ref.name);
}

std::string target_rbac(const Observation& seen) {
  const api::ScalableKind* kind = api::scalable(api::target_kind(seen.pool()));
  if (kind == nullptr) return {};
  std::string out = fmt::format("grant the operator list and watch on {}.{} and patch on {}/scale",
                                kind->plural, kind->group, kind->plural);
  // Of other projects: not each cluster has them, and the operator's rights to them come apart.
  if (kind->id == api::TargetKind::kLeaderWorkerSet)
    out +=
        " (kubectl apply -k manifests/overlays/leaderworkerset), and see that LeaderWorkerSet is installed";
  if (kind->id == api::TargetKind::kRollout)
    out += " (kubectl apply -k manifests/overlays/rollouts), and see that Argo Rollouts is installed";
  return out;
}

// What is wrong with the target, and the fix; nothing while there is none or it is found.
std::optional<Finding> target_problem(const Observation& seen) {
  switch (seen.target) {
    case TargetState::kNotConfigured:
    case TargetState::kFound:
      return std::nullopt;
    case TargetState::kNotFound:
      return is_false(
          "NotFound",
          fmt::format("{} does not exist in namespace {}: create it, or correct spec.scaleTargetRef",
                      target_name(seen), seen.pool().ns));
    case TargetState::kUnknown:
      return is_false("Forbidden",
                      fmt::format("{} cannot be read: {}", target_name(seen), target_rbac(seen)));
    case TargetState::kWrongKind:
      return is_false("WrongKind", fmt::format("spec.scaleTargetRef names a {} of {}: this release scales {}",
                                               seen.pool().scale_target->kind,
                                               seen.pool().scale_target->api_version, api::scalable_kinds()));
  }
  return std::nullopt;
}

std::string hold_reason(const Observation& seen) {
  switch (seen.hold) {
    case Hold::kCannotRead:
      return "CannotRead";
    case Hold::kBehind:
      return "CatchingUp";
    case Hold::kInvalidSpec:
      return "InvalidSpec";
    case Hold::kNoSelector:
      return "NoSelector";
    case Hold::kNone:
      break;
  }
  return {};
}

std::string hold_cause(const Observation& seen) {
  switch (seen.hold) {
    case Hold::kCannotRead:
      return seen.snapshot->watch_errors.empty()
                 ? std::string{"pods or ConfigMaps cannot be read"}
                 : fmt::format("{}", fmt::join(seen.snapshot->watch_errors, "; "));
    case Hold::kBehind:
      return "the published list was made from newer pods than are known here";
    case Hold::kInvalidSpec:
      return fmt::format("{}", fmt::join(seen.problems, "; "));
    case Hold::kNoSelector:
      if (seen.target == TargetState::kFound)
        return fmt::format("the selector of {} cannot be used: set spec.selector", target_name(seen));
      return fmt::format("the pool's pods cannot be told without {}: set spec.selector to publish without it",
                         target_name(seen));
    case Hold::kNone:
      break;
  }
  return {};
}

// "2 NotReady, 1 Terminating"
std::string withheld(const Observation& seen) {
  std::map<std::string_view, int> counts;
  for (const PodVerdict& member : seen.members) {
    if (member.reason != Withdrawal::kNone) ++counts[to_string(member.reason)];
  }
  std::vector<std::string> parts;
  for (const auto& [reason, count] : counts) parts.push_back(fmt::format("{} {}", count, reason));
  return fmt::format("{}", fmt::join(parts, ", "));
}

Finding available(const Observation& seen, const PublishedList& list) {
  if (seen.hold != Hold::kNone) {
    const std::string message = fmt::format("The last published list, with {}, is kept: {}",
                                            plural(list.ready, "endpoint"), hold_cause(seen));
    return list.ready > 0 ? is_true("LastKnownEndpoints", message) : is_false(hold_reason(seen), message);
  }
  const auto ready = seen.endpoints();
  const auto all = static_cast<std::int64_t>(seen.members.size());
  if (ready > 0) {
    std::string message = fmt::format("{} of {} ready", ready, plural(all, "pod"));
    if (ready < all) message += ": " + withheld(seen);
    return is_true("EndpointsReady", std::move(message));
  }
  const bool zero_wanted = seen.target == TargetState::kFound && seen.snapshot->target->replicas == 0;
  if (zero_wanted && all > 0)
    return is_false("ScaledToZero", fmt::format("No replicas are wanted; {} {} still there: {}",
                                                plural(all, "pod"), all == 1 ? "is" : "are", withheld(seen)));
  if (zero_wanted) return is_false("ScaledToZero", "No replicas are wanted: scale the pool up to serve");
  if (all > 0) return is_false("NoReadyEndpoints", fmt::format("No pod is ready: {}", withheld(seen)));
  return is_false("NoPods", fmt::format("No pod matches the selector {}", seen.selector->to_string()));
}

std::int64_t drains_under_way(const Observation& seen) {
  return std::count_if(seen.members.begin(), seen.members.end(),
                       [](const PodVerdict& member) { return drains(member.drain); });
}

Finding progressing(const Observation& seen) {
  if (seen.target == TargetState::kNotConfigured)
    return is_false("NoScaleTarget", "The pool only publishes: it has no spec.scaleTargetRef");
  if (seen.target != TargetState::kFound) return is_unknown("NoScaleTarget", "Its target cannot be seen");
  const api::Workload& target = *seen.snapshot->target;
  const auto wanted = seen.pool().replicas.value_or(target.replicas) + seen.pool().status.surge_replicas;
  if (target.replicas != wanted)
    return is_true("Scaling", fmt::format("{} has {} replicas, {} are wanted", target_name(seen),
                                          target.replicas, wanted));
  if (const auto draining = drains_under_way(seen); draining > 0)
    return is_true("Draining", fmt::format("{} of {} pods finish what they have in flight and go", draining,
                                           target.status_replicas));
  if (target.status_replicas != wanted)
    return is_true("Scaling", fmt::format("{} of {} pods exist", target.status_replicas, wanted));
  if (target.updated_replicas != wanted)
    return is_true("RollingOut",
                   fmt::format("{} of {} pods are of the newest template{}", target.updated_replicas, wanted,
                               target.paused      ? "; the rollout is paused"
                               : target.held_back ? "; its updateStrategy holds the others back"
                                                  : ""));
  if (target.ready_replicas != wanted)
    return is_true("WaitingForReady", fmt::format("{} of {} pods are ready", target.ready_replicas, wanted));
  if (wanted == 0) return is_false("Stable", "No pod is wanted, and none is there");
  return is_false("Stable", fmt::format("All {} are up to date and ready", plural(wanted, "pod")));
}

// How many they are, what that leads to, and the way out.
std::string unseen_nodes(const UnseenNodes& unseen) {
  const std::string who =
      fmt::format("{} of {} nodes that carry pods of {} are not heard of{}", unseen.unheard, unseen.nodes,
                  unseen.of_all_pools ? "pools" : "this pool",
                  unseen.ends ? ", after more were within the last minute" : "");
  return fmt::format(
      "{}: their condition Ready is Unknown. Of so many at once that is no sign of illness, so endpoints "
      "there stay on the list, and no other pod there joins it. See why their kubelets do not reach the API "
      "server. For a node that is gone for good: kubectl delete node NAME, or taint it {}",
      who, api::taint::kWithdraw.front());
}

// Of this pass, then those of before.
std::vector<const Remark*> remarks_of(const Observation& seen, std::string_view condition) {
  std::vector<const Remark*> out;
  for (const auto* remarks : {&seen.remarks, &seen.snapshot->remarks}) {
    for (const Remark& remark : *remarks) {
      if (remark.condition == condition) out.push_back(&remark);
    }
  }
  return out;
}

Finding degraded(const Observation& seen, const PublishedList& list) {
  const Snapshot& snapshot = *seen.snapshot;
  std::vector<std::pair<std::string, std::string>> found;
  // The first: kubectl poolwarden why goes by this reason.
  if (snapshot.unseen_nodes)
    found.emplace_back(api::condition::kNodesUnseen, unseen_nodes(*snapshot.unseen_nodes));
  if (const std::int32_t unready = seen.in_panic(); unready > 0)
    found.emplace_back(
        "PanicThreshold",
        fmt::format("{} of {} endpoints are not ready, and stay on the list: fewer than "
                    "spec.publish.panicThresholdPercent, {} %, are ready. Add replicas, or send them less",
                    unready, seen.endpoints(), seen.pool().publish.panic_threshold));
  if (seen.hold == Hold::kInvalidSpec || seen.hold == Hold::kCannotRead) {
    found.emplace_back(hold_reason(seen), hold_cause(seen));
  }
  if (const auto problem = target_problem(seen))
    found.emplace_back("ScaleTarget" + problem->reason, problem->message);
  if (seen.hold == Hold::kNoSelector) found.emplace_back(hold_reason(seen), hold_cause(seen));
  if (!snapshot.overlapping_pools.empty()) {
    const std::size_t more = snapshot.more_overlapping_pools;
    const bool several = snapshot.overlapping_pools.size() + more > 1;
    found.emplace_back(
        "Overlap", fmt::format("Pods of it are also selected by pool {}{}: {} publish them; give each "
                               "pool pods of its own",
                               fmt::join(snapshot.overlapping_pools, ", "),
                               more > 0 ? fmt::format(" and {} more", more) : "", several ? "all" : "both"));
  }
  if (autoscalers_compete(snapshot)) {
    found.emplace_back(
        "AutoscalersCompete",
        fmt::format("HorizontalPodAutoscaler {} scales the pool and {} its {}: each would undo the other, so "
                    "their replicas are not carried over; delete one of the two",
                    fmt::join(snapshot.pool_autoscalers, ", "), fmt::join(snapshot.target_autoscalers, ", "),
                    target_name(seen)));
  }
  if (!snapshot.stale.empty())
    found.emplace_back("StaleView",
                       fmt::format("What was last seen stays in force: {}", fmt::join(snapshot.stale, "; ")));
  if (!snapshot.dropped_fields.empty())
    found.emplace_back("DefinitionOutdated", outdated_definition(snapshot.dropped_fields));
  if (list.omitted > 0 && list.state != Publication::kNameTaken)
    found.emplace_back("ListTooLarge", "Not all endpoints are on the list: see condition EndpointsPublished");
  if (list.state == Publication::kNameTaken ||
      (list.state == Publication::kDue && !snapshot.config_map_error.empty()))
    found.emplace_back("PublishFailed", "The list cannot be written: see condition EndpointsPublished");
  if (seen.pool().publish.create_service && snapshot.service_visibility == Visibility::kUnknown)
    found.emplace_back(
        "ServiceForbidden",
        "Services cannot be read, so none is made: grant the operator get, list, watch, create and "
        "patch on services, or set spec.publish.service.create to false");
  if (!snapshot.service_error.empty()) found.emplace_back("ServiceFailed", snapshot.service_error);
  if (!snapshot.slices_error.empty()) found.emplace_back("EndpointSlicesFailed", snapshot.slices_error);
  if (!snapshot.scale_error.empty()) found.emplace_back("ScaleFailed", snapshot.scale_error);
  if (!snapshot.labels_error.empty()) found.emplace_back("PodLabelsFailed", snapshot.labels_error);
  for (const Remark* remark : remarks_of(seen, api::condition::kDegraded))
    found.emplace_back(remark->reason, remark->message);
  if (found.empty()) return is_false("AsExpected", "Nothing is wrong");
  std::vector<std::string> messages;
  for (const auto& [reason, message] : found) messages.push_back(message);
  return is_true(found.front().first, fmt::format("{}", fmt::join(messages, "; ")));
}

Finding scale_target_found(const Observation& seen) {
  if (auto problem = target_problem(seen)) return *problem;
  if (seen.target == TargetState::kNotConfigured)
    return is_true("NotConfigured", "The pool only publishes: it has no spec.scaleTargetRef");
  return is_true("Found", fmt::format("{} is kept at the pool's replicas", target_name(seen)));
}

Finding endpoints_published(const Observation& seen, const PublishedList& list,
                            const std::string& service_note) {
  const Snapshot& snapshot = *seen.snapshot;
  const std::string name = api::shard_name(seen.pool().publish.config_map_name, list.shard);
  switch (list.state) {
    case Publication::kHeld:
      return {seen.hold == Hold::kCannotRead ? "Unknown" : "False", hold_reason(seen),
              fmt::format("ConfigMap {} {}: {}", name,
                          seen.hold == Hold::kCannotRead
                              ? "stays as it is"
                              : "takes in no new endpoints, and only loses those that go",
                          hold_cause(seen))};
    case Publication::kNameTaken:
      return is_false(std::string{api::failure::kNameTaken},
                      fmt::format("ConfigMap {} exists and belongs to {}: delete it, or set "
                                  "spec.publish.configMap.name",
                                  name, list.holder));
    case Publication::kAwaitsCollection:
      return is_false(
          "WaitingForGarbageCollection",
          fmt::format("ConfigMap {} is on its way out with {}, a former namesake: the list is published anew "
                      "once it is gone",
                      name, list.holder));
    case Publication::kDue:
      if (!snapshot.config_map_error.empty()) {
        return is_false(
            snapshot.config_map_error_reason.empty() ? std::string{api::failure::kWriteFailed}
                                                     : snapshot.config_map_error_reason,
            fmt::format("ConfigMap {}: {}", snapshot.config_map_error_name, snapshot.config_map_error));
      }
      break;
    case Publication::kCurrent:
      break;
  }
  if (list.omitted > 0) {
    return is_false(
        "TooLarge",
        fmt::format("The list holds {} of {} ready endpoints, and no more fit into {}: split the pool into "
                    "several with selectors of their own",
                    list.ready, list.ready + list.omitted, plural(list.shards, "ConfigMap")));
  }
  const std::string others =
      list.shards == 1 ? std::string() : fmt::format(" to {}", api::shard_name(name, list.shards));
  std::string message = fmt::format("{} in ConfigMap {}{}, revision {}", plural(list.ready, "endpoint"), name,
                                    others, list.revision);
  if (list.in_deletion > 0) {
    message += fmt::format(
        "; ConfigMap {} is being deleted and a finalizer holds it: it is kept up to date, "
        "and made again once it is gone",
        api::shard_name(seen.pool().publish.config_map_name, list.in_deletion));
  }
  if (!service_note.empty()) message += "; " + service_note;
  return is_true("Published", std::move(message));
}

// Of a pool without a target there is no template to read: the pods tell at least about their probes.
Finding disruption_safe_by_pods(const Observation& seen) {
  for (const PodVerdict& member : seen.members) {
    if (member.pod->has_readiness_probe) continue;
    return is_false(
        "NoReadinessProbe",
        fmt::format("Pod {} has no readinessProbe: it is sent requests before its model is loaded; add one",
                    member.pod->name));
  }
  return is_unknown("NoTemplate", "There is no scale target whose pod template could be checked");
}

constexpr std::string_view kGateFix = "kubectl apply -k manifests/gate";

// Pods whose controller is no ReplicaSet or StatefulSet that the operator sees: the gate asks only those of
// these two to wait. Of one that is new, the watch of its controller may be behind that of pods.
std::optional<Finding> other_controllers(const Observation& seen, api::Timestamp now) {
  constexpr std::chrono::seconds kNew{60};
  const auto& sets = seen.snapshot->replica_sets;
  const auto& stateful_sets = seen.snapshot->stateful_sets;
  std::vector<std::string_view> pods;
  const std::string* known = nullptr;  // UIDs are interned: one pointer stands for all pods of a set
  for (const PodVerdict& member : seen.members) {
    const api::Pod& pod = *member.pod;
    if (pod.controller.get() == known || pod.controller->empty()) continue;
    const auto is_its_controller = [&pod](const auto& view) { return view.set->uid == *pod.controller; };
    const bool is_known = std::any_of(sets.begin(), sets.end(), is_its_controller) ||
                          std::any_of(stateful_sets.begin(), stateful_sets.end(), is_its_controller);
    if (is_known) {
      known = pod.controller.get();
    } else if (is_active(pod) && now - pod.created >= kNew) {
      pods.push_back(pod.name);
    }
  }
  if (pods.empty()) return std::nullopt;
  const bool one = pods.size() == 1;
  return is_false("OtherController",
                  fmt::format("Deletes of {} are not held: {} controller is neither a ReplicaSet nor a "
                              "StatefulSet, and removes {} at once, with what {} in flight. Before you scale "
                              "it down or roll it out: kubectl poolwarden drain POD",
                              one ? fmt::format("pod {}", pods.front())
                                  : fmt::format("{} pods, of which one is {},", pods.size(), pods.front()),
                              one ? "its" : "their", one ? "it" : "them", one ? "it has" : "they have"));
}

// What stands in the way of holding deletes and evictions; nothing if they are held.
std::optional<Finding> hold_problem(const Observation& seen, api::Timestamp now) {
  const Snapshot& snapshot = *seen.snapshot;
  switch (snapshot.gate) {
    case Gate::kMissing:
      return is_false(
          "DrainGateMissing",
          fmt::format("Deletes are not held: a scale-down or rollout removes pods at once, with what "
                      "they have in flight. Install the gate, ValidatingAdmissionPolicy {} and its "
                      "binding: {}",
                      api::kGateName, kGateFix));
    case Gate::kEdited:
      return is_false(
          "DrainGateEdited",
          fmt::format("The gate does not do what it should ({}): pods that it does not hold are deleted at "
                      "once, with what they have in flight. Put it back: {}",
                      snapshot.gate_difference, kGateFix));
    case Gate::kUnseen:
      return is_unknown(
          "DrainGateUnseen",
          "Whether deletes are held may not be looked up, so a drain begins only after some seconds have "
          "shown it: "
          "let the operator list and watch validatingadmissionpolicies and their bindings, or start it with "
          "--drain-gate=on (or off)");
    case Gate::kPresent:
      break;
  }
  if (!snapshot.sees_replica_sets)
    return is_false("SurplusUnseen",
                    "ReplicaSets cannot be read, so the gate holds what they want to delete and nothing lets "
                    "it go: grant the operator list and watch on replicasets.apps");
  auto others = other_controllers(seen, now);
  const api::ScalableKind* kind = api::scalable(api::target_kind(seen.pool()));
  const bool may_be_of_one = others || (kind != nullptr && kind->by_ordinal);
  if (!snapshot.sees_stateful_sets && may_be_of_one)
    return is_false(
        "SurplusUnseen",
        "StatefulSets cannot be read, so the gate holds what they want to delete and nothing lets "
        "it go: grant the operator list and watch on statefulsets.apps");
  if (others) return others;
  if (!seen.pool().disruption.hold_evictions) return std::nullopt;
  if (!snapshot.sees_cordons)
    return is_false("EvictionsNotHeld",
                    "Evictions are not held: nodes cannot be read, so nobody would see that one is being "
                    "emptied, and its pods would be held for ever. Grant the operator list and watch on "
                    "nodes, or set spec.disruption.holdEvictions to false");
  if (snapshot.budget_visibility == Visibility::kUnknown)
    return is_false("EvictionsNotHeld",
                    "Evictions are not held: grant the operator list, watch, create and patch on "
                    "poddisruptionbudgets, or set spec.disruption.holdEvictions to false");
  if (lets_go_on_hold(seen))
    return is_false("EvictionsNotHeld",
                    fmt::format("Evictions are not held any more: the pool has been on hold for long, and "
                                "begins no drain. {}",
                                hold_cause(seen)));
  if (snapshot.budget != nullptr && !is_ours(seen.pool(), *snapshot.budget))
    return is_false(
        "BudgetNameTaken",
        fmt::format("Evictions are not held: PodDisruptionBudget {} is not the pool's; delete it, or "
                    "set spec.disruption.holdEvictions to false",
                    snapshot.budget->name));
  if (!snapshot.budget_error.empty()) return is_false("BudgetFailed", snapshot.budget_error);
  if (!snapshot.other_budgets.empty())
    return is_false(
        "OtherDisruptionBudget",
        fmt::format("Evictions do not wait for a drain: PodDisruptionBudget {} selects pods of the pool too. "
                    "A pod in two of them cannot be evicted at all, so the pool's own selects nobody. Delete "
                    "it, or set spec.disruption.holdEvictions to false",
                    fmt::join(snapshot.other_budgets, ", ")));
  return std::nullopt;
}

// What a pod has when it is told to stop.
struct Termination {
  bool has_pre_stop = false;
  std::int64_t sleep_seconds = 0;
  std::int64_t grace_seconds = 0;
};

// The template says it, unless an admission policy (manifests/overlays/graceful) gives pods what that lacks
// as they are made: then all of them have it, and they are asked.
Termination termination(const Observation& seen) {
  const api::Workload& target = *seen.snapshot->target;
  const auto& members = seen.members;
  const bool given = !target.has_pre_stop && !members.empty() &&
                     std::all_of(members.begin(), members.end(),
                                 [](const PodVerdict& member) { return member.pod->has_pre_stop; });
  if (!given) return {target.has_pre_stop, target.pre_stop_sleep_seconds, target.termination_grace_seconds};
  const auto shortest =
      std::min_element(members.begin(), members.end(), [](const PodVerdict& a, const PodVerdict& b) {
        return a.pod->termination_grace_seconds < b.pod->termination_grace_seconds;
      });
  return {true, 0, shortest->pod->termination_grace_seconds};
}

Finding disruption_safe(const Observation& seen, api::Timestamp now) {
  if (auto problem = hold_problem(seen, now)) return *problem;
  if (const auto remarks = remarks_of(seen, api::condition::kDisruptionSafe); !remarks.empty()) {
    std::vector<std::string_view> messages;
    for (const Remark* remark : remarks) messages.push_back(remark->message);
    return is_false(remarks.front()->reason, fmt::format("{}", fmt::join(messages, "; ")));
  }
  if (seen.target != TargetState::kFound || !seen.snapshot->target->has_template)
    return disruption_safe_by_pods(seen);
  const api::Workload& target = *seen.snapshot->target;
  const std::string name = target_name(seen);
  if (!target.has_readiness_probe)
    return is_false(
        "NoReadinessProbe",
        fmt::format("{}: no container has a readinessProbe, so pods are sent requests before their model is "
                    "loaded; add one to the template",
                    name));
  const Termination stop = termination(seen);
  if (!stop.has_pre_stop)
    return is_false(
        "NoPreStopSleep",
        fmt::format(
            "{}: no container has a preStop hook, so a deleted pod stops before gateways have "
            "heard of it; add lifecycle.preStop.sleep with the seconds that requests may take, or have "
            "pods given one: manifests/overlays/graceful",
            name));
  if (stop.grace_seconds <= stop.sleep_seconds)
    return is_false(
        "GracePeriodTooShort",
        fmt::format("{}: terminationGracePeriodSeconds is {}, but its preStop sleep alone takes {} s, so the "
                    "engine is killed before it can stop; set it above {}",
                    name, stop.grace_seconds, stop.sleep_seconds, stop.sleep_seconds));
  const auto drain = seen.pool().drain.timeout.count();
  if (stop.grace_seconds < drain)
    return is_false(
        "GracePeriodTooShort",
        fmt::format(
            "{}: a pod that a person deletes has terminationGracePeriodSeconds, {} s, to finish, less "
            "than spec.drain.timeoutSeconds, {} s; set it to that, or lower the latter",
            name, stop.grace_seconds, drain));
  return is_true("Held", "A pod is deleted or evicted once it has nothing in flight, after " +
                             fmt::format("{} s at most", drain) +
                             (seen.pool().disruption.hold_evictions ? "" : "; evictions are not held"));
}

// Messages carry what others wrote (selectors, API errors). Whatever they say, status must stay small, and
// what shows it must be safe.
constexpr std::size_t kMaxMessage = 2048;

api::Condition to_condition(std::string_view type, Finding finding, const api::InferencePool& pool,
                            api::Timestamp now) {
  api::Condition out{.type = std::string{type},
                     .status = std::move(finding.status),
                     .reason = std::move(finding.reason),
                     .message = base::abridged(base::printable(finding.message), kMaxMessage),
                     .observed_generation = pool.generation,
                     .last_transition = now};
  const auto& before = pool.status.conditions;
  const auto same = std::find_if(before.begin(), before.end(), [&](const api::Condition& condition) {
    return condition.type == out.type && condition.status == out.status;
  });
  if (same != before.end()) out.last_transition = same->last_transition;
  return out;
}

}  // namespace

std::string outdated_definition(const std::vector<std::string>& dropped_fields) {
  return fmt::format(
      "The installed CustomResourceDefinition inferencepools.poolwarden.io is of another version than the "
      "operator: the API server drops {} from status. Apply the one of the operator's release: kubectl apply "
      "-f "
      "crds/poolwarden.io_inferencepools.yaml",
      fmt::join(dropped_fields, ", "));
}

std::vector<api::Condition> conditions(const Observation& seen, const PublishedList& list,
                                       const std::string& service_note, api::Timestamp now) {
  const auto made = [&](std::string_view type, Finding finding) {
    return to_condition(type, std::move(finding), seen.pool(), now);
  };
  return {made(api::condition::kAvailable, available(seen, list)),
          made(api::condition::kProgressing, progressing(seen)),
          made(api::condition::kDegraded, degraded(seen, list)),
          made(api::condition::kScaleTargetFound, scale_target_found(seen)),
          made(api::condition::kEndpointsPublished, endpoints_published(seen, list, service_note)),
          made(api::condition::kDisruptionSafe, disruption_safe(seen, now))};
}

}  // namespace poolwarden::pool
