// What draining reads from the wire: annotations and owners of pods, ReplicaSets, budgets, nodes, the gate, a
// pool's spec.
#include "api/codecs.h"
#include "api/names.h"
#include "both_encodings.h"

#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::api {
namespace {

using nlohmann::json;

TEST(ReplicaSetCodec, ReadsWhatItWantsAndWhoseItIs) {
  const ReplicaSet set = read_both<ReplicaSetCodec>(json::parse(R"({
    "metadata":{"name":"vllm-1","namespace":"ns","uid":"s","annotations":{
      "deployment.kubernetes.io/revision":"12","deployment.kubernetes.io/desired-replicas":"3"},
      "ownerReferences":[{"kind":"X","uid":"no"},{"kind":"Deployment","uid":"d","controller":true}]},
    "spec":{"replicas":0},"status":{"replicas":4}})"));
  EXPECT_EQ(set.replicas, 0);
  EXPECT_EQ(set.status_replicas, 4);
  EXPECT_EQ(set.controller, "d");
  EXPECT_EQ(set.revision, 12);
  EXPECT_EQ(set.desired, 3);
  EXPECT_FALSE(set.deleting);
  const ReplicaSet bare = read_both<ReplicaSetCodec>(json::parse(
      R"({"metadata":{"annotations":{"deployment.kubernetes.io/revision":"newest",
        "deployment.kubernetes.io/desired-replicas":"-1"},"deletionTimestamp":"2026-01-02T03:04:05Z"}})"));
  EXPECT_EQ(bare.replicas, 1) << "the API server's default";
  EXPECT_EQ(bare.controller, "");
  EXPECT_EQ(bare.revision, 0);
  EXPECT_EQ(bare.desired, std::nullopt);
  EXPECT_TRUE(bare.deleting);
}

TEST(DisruptionBudgetCodec, TakesNumbersAndPercentages) {
  const DisruptionBudget budget = read_both<DisruptionBudgetCodec>(json::parse(R"({"metadata":{"name":"b"},
    "spec":{"maxUnavailable":0,"minAvailable":"50%","unhealthyPodEvictionPolicy":"AlwaysAllow",
      "selector":{"matchLabels":{"a":"b"}}}})"));
  EXPECT_EQ(budget.max_unavailable, "0");
  EXPECT_EQ(budget.min_available, "50%");
  EXPECT_EQ(budget.unhealthy_pods, "AlwaysAllow");
  EXPECT_EQ(budget.selector.match_labels, (LabelMap{{"a", "b"}}));
}

TEST(NodeCodec, ReadsCordonReadinessAndTaints) {
  const Node node = read_both<NodeCodec>(json::parse(R"({"metadata":{"name":"n"},
    "spec":{"unschedulable":true,"taints":[{"key":"b","effect":"NoSchedule"},{"key":"a"}]},
    "status":{"conditions":[{"type":"DiskPressure","status":"True"},{"type":"Ready","status":"Unknown"}]}})"));
  EXPECT_TRUE(node.unschedulable);
  EXPECT_EQ(node.ready, Tristate::kUnknown);
  EXPECT_EQ(node.taints, (std::vector<std::string>{"a", "b"}));
  for (const char* type : {"DrainInProgress", "MaintenancePlanned"}) {
    json announced = json::parse(R"({"metadata":{"name":"n"},"status":{"conditions":[{"status":"True"}]}})");
    announced["status"]["conditions"][0]["type"] = type;
    EXPECT_TRUE(read_both<NodeCodec>(announced).unschedulable) << type;
    announced["status"]["conditions"][0]["status"] = "False";
    EXPECT_FALSE(read_both<NodeCodec>(announced).unschedulable) << type;
  }
  const Node new_one = read_both<NodeCodec>(json::parse(R"({"metadata":{"name":"n"}})"));
  EXPECT_EQ(new_one.ready, Tristate::kTrue) << "what it does not say takes nobody off a list";
  EXPECT_FALSE(new_one.unschedulable);
}

json policy() {
  return json::parse(R"json({"metadata":{"name":"poolwarden-drain-gate"},"spec":{
    "matchConstraints":{"resourceRules":[
        {"apiGroups":[""],"apiVersions":["v1"],"resources":["pods"],"operations":["DELETE"]}],
      "namespaceSelector":{},
      "objectSelector":{"matchExpressions":[{"key":"poolwarden.io/serving","operator":"In","values":["true","draining","finishing"]}]}},
    "matchConditions":[{"name":"c",
      "expression":"request.userInfo.username in ['system:serviceaccount:kube-system:replicaset-controller', 'system:serviceaccount:kube-system:statefulset-controller']"},
      {"name":"d","expression":"!(oldObject.?status.?phase.orValue('') in ['Failed', 'Succeeded'])"}],
    "validations":[{"expression":"false","message":"anything"}]
}
})json");
}

json binding() {
  return json::parse(R"({"metadata":{"name":"poolwarden-drain-gate"},
    "spec":{"policyName":"poolwarden-drain-gate","validationActions":["Audit","Deny"],"matchResources":{}}})");
}

TEST(GateCodec, SaysInWhatWayAnEditedGateDiffers) {
  struct {
    const char* situation;
    const char* at;
    json value;
    const char* difference;
  } const rows[] = {
      {"as it is shipped", "/spec/failurePolicy", "Fail", ""},
      {"another message", "/spec/validations/0/message", "attendez", ""},
      {"all operations", "/spec/matchConstraints/resourceRules/0/operations", {"*"}, ""},
      {"updates only", "/spec/matchConstraints/resourceRules/0/operations", {"UPDATE"}, "resourceRules"},
      {"one pod only", "/spec/matchConstraints/resourceRules/0/resourceNames", {"a"}, "resourceRules"},
      {"another version", "/spec/matchConstraints/resourceRules/0/apiVersions", {"v2"}, "resourceRules"},
      {"things of no namespace", "/spec/matchConstraints/resourceRules/0/scope", "Cluster", "resourceRules"},
      {"things of any scope", "/spec/matchConstraints/resourceRules/0/scope", "*", ""},
      {"all pods there are", "/spec/matchConstraints/objectSelector", json::object(), "objectSelector"},
      {"only with parameters", "/spec/paramKind", {{"kind", "ConfigMap"}}, "paramKind"},
      {"some namespaces",
       "/spec/matchConstraints/namespaceSelector",
       {{"matchLabels", {{"a", "b"}}}},
       "leaves some"},
      {"other pods", "/spec/matchConstraints/objectSelector/matchExpressions/0/key", "app", "objectSelector"},
      {"serving ones only",
       "/spec/matchConstraints/objectSelector/matchExpressions/0/values",
       {"true"},
       "objectSelector"},
      {"drained ones too",
       "/spec/matchConstraints/objectSelector/matchExpressions/0/values",
       {"true", "draining", "finishing", "drained"},
       "objectSelector"},
      {"everybody's deletes", "/spec/matchConditions", json::array(), "matchConditions"},
      {"somebody else's", "/spec/matchConditions/0/expression", "true", "matchConditions"},
      {"the user that all controllers are", "/spec/matchConditions/0/expression",
       "request.userInfo.username == 'system:kube-controller-manager' && !has(request.options.preconditions)",
       ""},
      {"pods that have ended too", "/spec/matchConditions/1/expression", "true", "that have ended"},
      {"one condition more", "/spec/matchConditions/2/expression", "false", "that have ended"},
      {"nothing is refused", "/spec/validations/0/expression", "true", "validations"},
      {"no spec that can be read", "/spec", 7, "resourceRules"},
  };
  for (const auto& row : rows) {
    json changed = policy();
    changed[json::json_pointer(row.at)] = row.value;
    const std::string difference = GatePolicyCodec::from_json(changed).difference;
    EXPECT_EQ(difference.empty(), std::string_view(row.difference).empty())
        << row.situation << ": " << difference;
    EXPECT_NE(difference.find(row.difference), std::string::npos) << row.situation << ": " << difference;
  }
}

TEST(GateCodec, SaysInWhatWayAnEditedBindingDiffers) {
  struct {
    const char* situation;
    const char* at;
    json value;
    const char* difference;
  } const rows[] = {
      {"as it is shipped", "/metadata/name", "x", ""},
      {"another policy", "/spec/policyName", "other", "another policy"},
      {"only a warning", "/spec/validationActions", {"Warn"}, "does not deny"},
      {"some namespaces",
       "/spec/matchResources/namespaceSelector",
       {{"matchLabels", {{"a", "b"}}}},
       "namespaceSelector"},
  };
  for (const auto& row : rows) {
    json changed = binding();
    changed[json::json_pointer(row.at)] = row.value;
    const std::string difference = GateBindingCodec::from_json(changed).difference;
    EXPECT_EQ(difference.empty(), std::string_view(row.difference).empty())
        << row.situation << ": " << difference;
    EXPECT_NE(difference.find(row.difference), std::string::npos) << row.situation << ": " << difference;
  }
}

InferencePool pool_of(const json& spec) {
  return PoolCodec::from_json({{"metadata", {{"name", "p"}}}, {"spec", spec}});
}

TEST(PoolCodec, ReadsHowToDrain) {
  struct {
    const char* situation;
    const char* spec;
    int timeout, quiet, poll, settle;
    const char* path;
    bool settle_is_set = false;
  } const rows[] = {
      {"nothing said", "{}", 300, 2, 1, 1, "/metrics"},
      {"all said",
       R"({"drain":{"timeoutSeconds":0,"quietReads":9,"pollSeconds":5,"settleSeconds":90},
           "engine":{"metricsPath":"/m"}})",
       0, 9, 5, 90, "/m", true},
      {"out of bounds",
       R"({"drain":{"timeoutSeconds":-1,"quietReads":0,"pollSeconds":9999,"settleSeconds":-1}})", 0, 1, 60, 0,
       "/metrics", true},
      {"too long", R"({"drain":{"settleSeconds":9999}})", 300, 2, 1, 600, "/metrics", true},
      {"no numbers",
       R"({"drain":{"timeoutSeconds":"soon","quietReads":null,"pollSeconds":[],"settleSeconds":{}}})", 300, 2,
       1, 1, "/metrics"},
      {"settling is set", R"({"drain":{"settleSeconds":1}})", 300, 2, 1, 1, "/metrics", true},
      {"sglang", R"({"engine":{"type":"sglang"}})", 300, 5, 1, 1, "/metrics"},
      {"trtllm", R"({"engine":{"type":"trtllm"}})", 300, 2, 1, 1, "/prometheus/metrics"},
      {"llamacpp", R"({"engine":{"type":"llamacpp"}})", 300, 2, 1, 1, "/metrics"},
  };
  for (const auto& row : rows) {
    const InferencePool pool = pool_of(json::parse(row.spec));
    EXPECT_EQ(pool.drain.timeout.count(), row.timeout) << row.situation;
    EXPECT_EQ(pool.drain.quiet_reads, row.quiet) << row.situation;
    EXPECT_EQ(pool.drain.poll.count(), row.poll) << row.situation;
    EXPECT_EQ(pool.drain.settle.count(), row.settle) << row.situation;
    EXPECT_EQ(pool.drain.settle_is_set, row.settle_is_set) << row.situation;
    EXPECT_EQ(pool.engine.metrics_path, row.path) << row.situation;
    EXPECT_TRUE(pool.disruption.hold_evictions) << row.situation;
  }
}

TEST(PoolCodec, WhatBecomesOfOneWhoseTimeIsUp) {
  const auto read = [](const char* spec) { return pool_of(json::parse(spec)).drain.on_timeout; };
  EXPECT_EQ(read("{}"), OnTimeout::kRelease);
  EXPECT_EQ(read(R"({"drain":{"onTimeout":"keep"}})"), OnTimeout::kKeep);
  EXPECT_EQ(read(R"({"drain":{"onTimeout":"of a later release"}})"), OnTimeout::kRelease);
}

TEST(PoolCodec, HowFewMayBeReady) {
  const auto read = [](const char* spec) { return pool_of(json::parse(spec)).publish.panic_threshold; };
  EXPECT_EQ(read("{}"), 0);
  EXPECT_EQ(read(R"({"publish":{"panicThresholdPercent":50}})"), 50);
  EXPECT_EQ(read(R"({"publish":{"panicThresholdPercent":500}})"), 100)
      << "a definition that came without its limits";
  EXPECT_EQ(read(R"({"publish":{"panicThresholdPercent":-1}})"), 0);
}

// Between two engines a request is in no gauge of vLLM.
TEST(PoolCodec, RolesOfEnginesWaitLonger) {
  const struct {
    const char* spec;
    EngineRole role;
    std::int32_t quiet;
  } rows[] = {
      {R"({})", EngineRole::kWhole, 2},
      {R"({"engine":{"role":"prefill"}})", EngineRole::kPrefill, 41},
      {R"({"engine":{"role":"decode"}})", EngineRole::kDecode, 41},
      {R"({"engine":{"role":"prefill"},"drain":{"pollSeconds":3}})", EngineRole::kPrefill, 15},
      {R"({"engine":{"role":"prefill"},"drain":{"pollSeconds":60}})", EngineRole::kPrefill, 2},
      {R"({"engine":{"role":"prefill"},"drain":{"quietReads":7}})", EngineRole::kPrefill, 7},
      {R"({"engine":{"role":"prefill","type":"sglang"}})", EngineRole::kPrefill, 5},
      {R"({"engine":{"role":"prefill","type":"llamacpp"}})", EngineRole::kPrefill, 2},
      {R"({"engine":{"role":"of a later release"}})", EngineRole::kWhole, 2},
  };
  for (const auto& row : rows) {
    const InferencePool pool = pool_of(json::parse(row.spec));
    EXPECT_EQ(pool.engine.role, row.role) << row.spec;
    EXPECT_EQ(pool.drain.quiet_reads, row.quiet) << row.spec;
  }
}

// So many readings of zero in a row begin with one, and span the time between.
TEST(PoolCodec, RolesOfEnginesWaitFortySecondsHoweverRarelyTheyAreAsked) {
  for (std::int32_t poll = 1; poll <= 60; ++poll) {
    const json spec = {{"engine", {{"role", "decode"}}}, {"drain", {{"pollSeconds", poll}}}};
    const InferencePool pool = pool_of(spec);
    EXPECT_GE((pool.drain.quiet_reads - 1) * poll, 40) << poll;
    EXPECT_LT((pool.drain.quiet_reads - 2) * poll, 40) << poll;
  }
}

TEST(PoolCodec, WhichPodGoesFirst) {
  const auto read = [](const char* spec) { return pool_of(json::parse(spec)).disruption.prefer; };
  EXPECT_EQ(read("{}"), Prefer::kIdle);
  EXPECT_EQ(read(R"({"disruption":{"prefer":"idle"}})"), Prefer::kIdle);
  EXPECT_EQ(read(R"({"disruption":{"prefer":"emptyNode"}})"), Prefer::kEmptyNode);
  EXPECT_EQ(read(R"({"disruption":{"prefer":"of a later release"}})"), Prefer::kIdle);
}

TEST(PoolCodec, WhatBecomesOfTheOnlyReplica) {
  const auto read = [](const char* spec) { return pool_of(json::parse(spec)).disruption.only_replica; };
  EXPECT_EQ(read("{}"), OnlyReplica::kWait);
  EXPECT_EQ(read(R"({"disruption":{"onlyReplica":"wait"}})"), OnlyReplica::kWait);
  EXPECT_EQ(read(R"({"disruption":{"onlyReplica":"drain"}})"), OnlyReplica::kDrain);
  EXPECT_EQ(read(R"({"disruption":{"onlyReplica":"of a later release"}})"), OnlyReplica::kWait);
}

}  // namespace
}  // namespace poolwarden::api
