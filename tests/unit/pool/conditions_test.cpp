#include "pool/conditions.h"

#include "api/names.h"
#include "world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

using testing::HasSubstr;

struct ConditionRow {
  const char* situation;
  std::function<void(World&)> change;
  std::string_view type;
  const char* status;
  const char* reason;
  const char* message;
};

void set_ready(World& world, api::Tristate ready) {
  for (auto& pod : world.pods) pod.ready = ready;
}
void publish_only(World& world) {
  world.pool.selector = api::LabelSelector{{{"app", "vllm"}}, {}};
  world.pool.scale_target.reset();
  world.target.reset();
}

void belongs_to_another(World& world, const std::string& pod) {
  world.pod(pod).controller = std::make_shared<const std::string>("statefulset-uid");
}

const std::vector<ConditionRow>& condition_rows() {
  using namespace api::condition;
  static const std::vector<ConditionRow> kRows{
      {"all ready", [](World&) {}, kAvailable, "True", "EndpointsReady", "2 of 2 pods ready"},
      {"one of two", [](World& w) { w.pod("vllm-a").ready = api::Tristate::kFalse; }, kAvailable, "True",
       "EndpointsReady", "1 of 2 pods ready: 1 NotReady"},
      {"none of two", [](World& w) { set_ready(w, api::Tristate::kFalse); }, kAvailable, "False",
       "NoReadyEndpoints", "2 NotReady"},
      {"no pods", [](World& w) { w.pods.clear(); }, kAvailable, "False", "NoPods", "app=vllm"},
      {"scaled to nought", [](World& w) { w.pods.clear(), w.target->replicas = 0, w.pool.replicas = 0; },
       kAvailable, "False", "ScaledToZero", "scale the pool up"},
      {"on the way to nought",
       [](World& w) { set_ready(w, api::Tristate::kFalse), w.target->replicas = 0, w.pool.replicas = 0; },
       kAvailable, "False", "ScaledToZero", "No replicas are wanted; 2 pods are still there: 2 NotReady"},
      {"unreadable", [](World& w) { w.can_see = false; }, kAvailable, "True", "LastKnownEndpoints",
       "2 endpoints, is kept"},
      {"unreadable from the start", [](World& w) { w.can_see = false, w.config_map.reset(); }, kAvailable,
       "False", "CannotRead", ""},

      {"at rest", [](World&) {}, kProgressing, "False", "Stable", "All 2 pods"},
      {"the target is to be scaled", [](World& w) { w.pool.replicas = 4; }, kProgressing, "True", "Scaling",
       "has 2 replicas, 4 are wanted"},
      {"pods are being made", [](World& w) { w.target->replicas = 4, w.pool.replicas = 4; }, kProgressing,
       "True", "Scaling", "2 of 4 pods exist"},
      {"a rollout", [](World& w) { w.target->updated_replicas = 1; }, kProgressing, "True", "RollingOut",
       "1 of 2 pods are of the newest template"},
      {"a paused rollout", [](World& w) { w.target->updated_replicas = 1, w.target->paused = true; },
       kProgressing, "True", "RollingOut", "paused"},
      {"pods are starting", [](World& w) { w.target->ready_replicas = 1; }, kProgressing, "True",
       "WaitingForReady", "1 of 2"},
      {"no target", publish_only, kProgressing, "False", "NoScaleTarget", "only publishes"},
      {"target gone", [](World& w) { w.target.reset(); }, kProgressing, "Unknown", "NoScaleTarget", ""},

      {"nothing wrong", [](World&) {}, kDegraded, "False", "AsExpected", ""},
      {"unusable spec", [](World& w) { w.pool.target_ports.clear(); }, kDegraded, "True", "InvalidSpec",
       "spec.targetPorts must have 1 to 8 ports"},
      {"unreadable, and what for",
       [](World& w) { w.can_see = false, w.watch_errors = {"pods: grant list and watch"}; }, kDegraded,
       "True", "CannotRead", "grant list and watch"},
      {"a right was taken away", [](World& w) { w.stale = {"watch pods: forbidden"}; }, kDegraded, "True",
       "StaleView", "What was last seen stays in force: watch pods: forbidden"},
      {"the CRD is older",
       [](World& w) {
         w.dropped_fields = {"syncedReplicas", "selector"};
       },
       kDegraded, "True", "DefinitionOutdated", "drops syncedReplicas, selector from status. Apply"},
      {"target gone", [](World& w) { w.target.reset(); }, kDegraded, "True", "ScaleTargetNotFound",
       "Deployment vllm does not exist in namespace default"},
      {"target unreadable", [](World& w) { w.target.reset(), w.target_visibility = Visibility::kUnknown; },
       kDegraded, "True", "ScaleTargetForbidden", "grant the operator list and watch on deployments.apps"},
      {"overlap",
       [](World& w) {
         w.overlapping_pools = {"b", "c"};
       },
       kDegraded, "True", "Overlap", "pool b, c: all publish them"},
      {"overlap of many",
       [](World& w) {
         w.overlapping_pools = {"b", "c"}, w.more_overlapping_pools = 290;
       },
       kDegraded, "True", "Overlap", "pool b, c and 290 more: all publish them"},
      {"autoscalers on both sides",
       [](World& w) { w.pool_autoscalers = {"queue"}, w.target_autoscalers = {"cpu"}; }, kDegraded, "True",
       "AutoscalersCompete", "queue scales the pool and cpu its Deployment vllm"},
      {"an autoscaler on one side", [](World& w) { w.pool_autoscalers = {"queue"}; }, kDegraded, "False",
       "AsExpected", ""},
      {"list not writable", [](World& w) { w.pods.pop_back(), w.config_map_error = "x"; }, kDegraded, "True",
       "PublishFailed", "EndpointsPublished"},
      {"an old error of the list, mended", [](World& w) { w.config_map_error = "x"; }, kDegraded, "False",
       "AsExpected", ""},
      {"list's name taken", [](World& w) { w.config_map->owners.clear(), w.config_map->labels.clear(); },
       kDegraded, "True", "PublishFailed", ""},
      {"services unreadable",
       [](World& w) { w.service.reset(), w.service_visibility = Visibility::kUnknown; }, kDegraded, "True",
       "ServiceForbidden", "spec.publish.service.create"},
      {"services unreadable, none wanted",
       [](World& w) {
         w.service.reset(), w.service_visibility = Visibility::kUnknown,
                            w.pool.publish.create_service = false;
       },
       kDegraded, "False", "AsExpected", ""},
      {"service not writable", [](World& w) { w.service_error = "no quota"; }, kDegraded, "True",
       "ServiceFailed", "no quota"},
      {"target not writable", [](World& w) { w.scale_error = "grant patch"; }, kDegraded, "True",
       "ScaleFailed", "grant patch"},
      {"pods not writable", [](World& w) { w.labels_error = "grant patch on pods"; }, kDegraded, "True",
       "PodLabelsFailed", "grant patch on pods"},
      {"nodes unseen", [](World& w) { w.unseen_nodes = UnseenNodes{.unheard = 2, .nodes = 3}; }, kDegraded,
       "True", "NodesUnseen", "2 of 3 nodes that carry pods of pools are not heard of: "},
      {"nodes of the pool unseen",
       [](World& w) { w.unseen_nodes = UnseenNodes{.unheard = 2, .nodes = 2, .of_all_pools = false}; },
       kDegraded, "True", "NodesUnseen", "2 of 2 nodes that carry pods of this pool"},
      {"nodes unseen a moment ago",
       [](World& w) { w.unseen_nodes = UnseenNodes{.unheard = 1, .nodes = 3, .ends = true}; }, kDegraded,
       "True", "NodesUnseen", "after more were within the last minute"},
      {"nodes unseen, and what else is wrong",
       [](World& w) { w.unseen_nodes = UnseenNodes{.unheard = 2, .nodes = 3}, w.target.reset(); }, kDegraded,
       "True", "NodesUnseen", "does not exist"},
      {"two things at once", [](World& w) { w.overlapping_pools = {"b"}, w.scale_error = "no"; }, kDegraded,
       "True", "Overlap", "; no"},

      {"found", [](World&) {}, kScaleTargetFound, "True", "Found", "Deployment vllm"},
      {"not found", [](World& w) { w.target.reset(); }, kScaleTargetFound, "False", "NotFound", "create it"},
      {"not readable, and of another project",
       [](World& w) {
         w.target.reset(), w.target_visibility = Visibility::kUnknown;
         w.pool.scale_target = {"argoproj.io/v1alpha1", "Rollout", "vllm"};
       },
       kScaleTargetFound, "False", "Forbidden",
       "list and watch on rollouts.argoproj.io and patch on rollouts/scale (kubectl apply -k "
       "manifests/overlays/rollouts), and see that Argo Rollouts is installed"},
      {"of another project, not readable and in groups",
       [](World& w) {
         w.target.reset(), w.target_visibility = Visibility::kUnknown;
         w.pool.scale_target = {"leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", "vllm"};
       },
       kScaleTargetFound, "False", "Forbidden", "manifests/overlays/leaderworkerset"},
      {"not readable", [](World& w) { w.target.reset(), w.target_visibility = Visibility::kUnknown; },
       kScaleTargetFound, "False", "Forbidden", "grant"},
      {"a kind we do not scale", [](World& w) { w.pool.scale_target->kind = "DaemonSet"; }, kScaleTargetFound,
       "False", "WrongKind", "DaemonSet of apps/v1"},
      {"an API we do not scale", [](World& w) { w.pool.scale_target->api_version = "apps/v2"; },
       kScaleTargetFound, "False", "WrongKind", "apps/v2"},
      {"none wanted", publish_only, kScaleTargetFound, "True", "NotConfigured", "no spec.scaleTargetRef"},

      {"published", [](World&) {}, kEndpointsPublished, "True", "Published",
       "2 endpoints in ConfigMap vllm-endpoints, revision 1"},
      {"about to be", [](World& w) { w.pods.pop_back(); }, kEndpointsPublished, "True", "Published",
       "1 endpoint in ConfigMap vllm-endpoints, revision 2"},
      {"failing without a reason", [](World& w) { w.pods.pop_back(), w.config_map_error = "boom"; },
       kEndpointsPublished, "False", "WriteFailed", "boom"},
      {"unreadable", [](World& w) { w.can_see = false; }, kEndpointsPublished, "Unknown", "CannotRead",
       "stays as it is"},

      {"no probe", [](World& w) { w.target->has_readiness_probe = false, w.target->has_pre_stop = false; },
       kDisruptionSafe, "False", "NoReadinessProbe", "add one"},
      {"no preStop hook",
       [](World& w) { w.target->has_pre_stop = false, w.target->termination_grace_seconds = 0; },
       kDisruptionSafe, "False", "NoPreStopSleep", "lifecycle.preStop.sleep"},
      {"a preStop hook that pods are given",
       [](World& w) {
         w.target->has_pre_stop = false;
         for (auto& pod : w.pods) pod.has_pre_stop = true, pod.termination_grace_seconds = 330;
       },
       kDisruptionSafe, "True", "Held", "after 300 s at most"},
      {"a preStop hook that pods are given, with less time than a drain has",
       [](World& w) {
         w.target->has_pre_stop = false;
         for (auto& pod : w.pods) pod.has_pre_stop = true, pod.termination_grace_seconds = 330;
         w.pod("vllm-b").termination_grace_seconds = 150;
       },
       kDisruptionSafe, "False", "GracePeriodTooShort", "terminationGracePeriodSeconds, 150 s"},
      {"a preStop hook that one pod lacks",
       [](World& w) { w.target->has_pre_stop = false, w.pod("vllm-a").has_pre_stop = true; }, kDisruptionSafe,
       "False", "NoPreStopSleep", "manifests/overlays/graceful"},
      {"no preStop hook, and no pods", [](World& w) { w.target->has_pre_stop = false, w.pods.clear(); },
       kDisruptionSafe, "False", "NoPreStopSleep", ""},
      {"grace period as long as the sleep", [](World& w) { w.target->termination_grace_seconds = 30; },
       kDisruptionSafe, "False", "GracePeriodTooShort", "set it above 30"},
      {"grace period shorter than the drain", [](World&) {}, kDisruptionSafe, "False", "GracePeriodTooShort",
       "less than spec.drain.timeoutSeconds, 300 s"},
      {"held", [](World& w) { w.target->termination_grace_seconds = 300; }, kDisruptionSafe, "True", "Held",
       "after 300 s at most"},
      {"a hook that is no sleep",
       [](World& w) { w.target->pre_stop_sleep_seconds = 0, w.target->termination_grace_seconds = 300; },
       kDisruptionSafe, "True", "Held", ""},
      {"no gate", [](World& w) { w.gate = Gate::kMissing; }, kDisruptionSafe, "False", "DrainGateMissing",
       "kubectl apply -k manifests/gate"},
      {"an edited gate", [](World& w) { w.gate = Gate::kEdited; }, kDisruptionSafe, "False",
       "DrainGateEdited", "Put it back"},
      {"a gate that may not be read", [](World& w) { w.gate = Gate::kUnseen; }, kDisruptionSafe, "Unknown",
       "DrainGateUnseen", "--drain-gate=on"},
      {"budgets that may not be read",
       [](World& w) { w.budget.reset(), w.budget_visibility = Visibility::kUnknown; }, kDisruptionSafe,
       "False", "EvictionsNotHeld", "poddisruptionbudgets"},
      {"nodes that may not be read any more", [](World& w) { w.nodes_stale = true; }, kDisruptionSafe,
       "False", "EvictionsNotHeld", "nodes cannot be read"},
      {"nodes that may not be read", [](World& w) { w.nodes_readable = false; }, kDisruptionSafe, "False",
       "EvictionsNotHeld", "list and watch on nodes"},
      {"ReplicaSets that may not be read", [](World& w) { w.sees_replica_sets = false; }, kDisruptionSafe,
       "False", "SurplusUnseen", "replicasets.apps"},
      {"StatefulSets that may not be read, and a pod that may be of one",
       [](World& w) { w.sees_stateful_sets = false, belongs_to_another(w, "vllm-b"); }, kDisruptionSafe,
       "False", "SurplusUnseen", "statefulsets.apps"},
      {"StatefulSets that may not be read, and a pool that is to scale one",
       [](World& w) { w.sees_stateful_sets = false, w.pool.scale_target->kind = "StatefulSet"; },
       kDisruptionSafe, "False", "SurplusUnseen", "statefulsets.apps"},
      {"a StatefulSet that may not be read",
       [](World& w) {
         w.target.reset(), w.target_visibility = Visibility::kUnknown,
                           w.pool.scale_target->kind = "StatefulSet";
       },
       kScaleTargetFound, "False", "Forbidden", "patch on statefulsets/scale"},
      {"a pod of a Job", [](World& w) { belongs_to_another(w, "vllm-b"); }, kDisruptionSafe, "False",
       "OtherController", "Deletes of pod vllm-b are not held"},
      {"pods of a Job", [](World& w) { belongs_to_another(w, "vllm-a"), belongs_to_another(w, "vllm-b"); },
       kDisruptionSafe, "False", "OtherController",
       "Deletes of 2 pods, of which one is vllm-a, are not held"},
      {"a pod of a controller that is to be seen yet",
       [](World& w) {
         belongs_to_another(w, "vllm-b"), w.pod("vllm-b").created = at_second(-40).wall;
         w.target->termination_grace_seconds = 300;
       },
       kDisruptionSafe, "True", "Held", ""},
      {"another's budget of that name",
       [](World& w) { w.budget->owners.clear(), w.budget->min_available = "1"; }, kDisruptionSafe, "False",
       "BudgetNameTaken", "vllm-serving"},
      {"a budget that cannot be written", [](World& w) { w.budget_error = "no", w.budget.reset(); },
       kDisruptionSafe, "False", "BudgetFailed", "no"},
      {"a second budget", [](World& w) { w.other_budgets = {"mine"}; }, kDisruptionSafe, "False",
       "OtherDisruptionBudget", "PodDisruptionBudget mine"},
      {"evictions that need not be held",
       [](World& w) {
         w.pool.disruption.hold_evictions = false, w.other_budgets = {"mine"};
         w.target->termination_grace_seconds = 300;
       },
       kDisruptionSafe, "True", "Held", "evictions are not held"},
      {"no template to read", publish_only, kDisruptionSafe, "Unknown", "NoTemplate", ""},
      {"no template, but a pod without a probe",
       [](World& w) { publish_only(w), w.pod("vllm-b").has_readiness_probe = false; }, kDisruptionSafe,
       "False", "NoReadinessProbe", "Pod vllm-b"},
  };
  return kRows;
}

TEST(Conditions, SayWhatIsSoAndWhy) {
  for (const ConditionRow& row : condition_rows()) {
    World world = settled();
    row.change(world);
    const Plan plan = world.decide(9);
    const auto& status = plan.status ? *plan.status : world.pool.status;
    const auto& found = condition(status, row.type);
    const std::string name = std::string{row.type} + ": " + row.situation;
    EXPECT_EQ(found.status, row.status) << name << ": " << found.message;
    EXPECT_EQ(found.reason, row.reason) << name;
    EXPECT_THAT(found.message, HasSubstr(row.message)) << name;
    EXPECT_FALSE(found.message.empty()) << name;
    EXPECT_EQ(found.observed_generation, world.pool.generation) << name;
    EXPECT_EQ(status.conditions.size(), 6U) << name;
  }
}

TEST(Conditions, KeepTheirTimeWhileTheirStatusStays) {
  World world = settled();
  const auto before = condition(world.pool.status, api::condition::kAvailable);
  world.pod("vllm-a").ready = api::Tristate::kFalse;
  world.settle(60);
  const auto still = condition(world.pool.status, api::condition::kAvailable);
  EXPECT_NE(still.message, before.message);
  EXPECT_EQ(still.last_transition, before.last_transition);
  world.pod("vllm-b").ready = api::Tristate::kFalse;
  world.settle(120);
  EXPECT_EQ(condition(world.pool.status, api::condition::kAvailable).last_transition, at_second(120).wall);
}

TEST(Conditions, StaySmallWhateverOthersSay) {
  World world = settled();
  world.scale_error = std::string(1U << 20U, 'x');
  EXPECT_LT(condition(*world.decide().status, api::condition::kDegraded).message.size(), 3000U);
}

TEST(Conditions, ArePrintableWhateverOthersSay) {
  World world = settled();
  world.scale_error = "\x1b[2J\n\u202e\xff";
  world.settle(1);
  const auto& message = condition(world.pool.status, api::condition::kDegraded).message;
  EXPECT_THAT(message, HasSubstr(R"(\x1b[2J\n\u202e\xff)"));
  EXPECT_EQ(world.settle(1), 0) << "it is written once";
}

TEST(Conditions, AreCutBetweenCharacters) {
  for (std::size_t shift = 0; shift < 3; ++shift) {
    World world = settled();
    world.service_error = std::string(shift, 'x');
    for (int i = 0; i < 1500; ++i) world.service_error += "\u00e9";
    world.settle(1);
    const auto& message = condition(world.pool.status, api::condition::kDegraded).message;
    EXPECT_LT(message.size(), 2100U);
    const std::string text = message.substr(0, message.size() - 4);
    EXPECT_EQ(text.substr(text.size() - 2), "\u00e9") << shift;
  }
}

}  // namespace
}  // namespace poolwarden::pool
