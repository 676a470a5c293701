// What a pool may scale beside a Deployment and a StatefulSet.
#include "api/codecs.h"
#include "api/target_kind.h"
#include "both_encodings.h"

#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::api {
namespace {

using nlohmann::json;

TEST(LeaderWorkerSetCodec, ReadsWhatDecisionsNeed) {
  const LeaderWorkerSet out = LeaderWorkerSetCodec::from_json(json::parse(R"({
    "metadata":{"namespace":"default","name":"llm","uid":"u","resourceVersion":"7"},
    "spec":{"replicas":3,"rolloutStrategy":{"rollingUpdateConfiguration":{"partition":1}},
      "leaderWorkerTemplate":{"size":4,
        "leaderTemplate":{"spec":{"terminationGracePeriodSeconds":90,"containers":[
          {"readinessProbe":{},"lifecycle":{"preStop":{"sleep":{"seconds":20}}}}]}},
        "workerTemplate":{"spec":{"containers":[{}]}}}},
    "status":{"replicas":4,"readyReplicas":3,"updatedReplicas":1}})"));
  EXPECT_EQ(out.replicas, 3);
  EXPECT_TRUE(out.held_back);
  EXPECT_EQ(out.selector.to_string(),
            "leaderworkerset.sigs.k8s.io/name=llm,leaderworkerset.sigs.k8s.io/worker-index=0");
  EXPECT_TRUE(out.has_readiness_probe);
  EXPECT_EQ(out.pre_stop_sleep_seconds, 20);
  EXPECT_EQ(out.termination_grace_seconds, 90);
  EXPECT_EQ(out.status_replicas, 4);
  EXPECT_EQ(out.ready_replicas, 3);
  EXPECT_EQ(out.updated_replicas, 1);
}

TEST(LeaderWorkerSetCodec, LeadersThatAreMadeAsWorkersAre) {
  const LeaderWorkerSet out = LeaderWorkerSetCodec::from_json(json::parse(R"({"metadata":{"name":"llm"},
    "spec":{"leaderWorkerTemplate":{"size":-7,"workerTemplate":{"spec":{"containers":[{"readinessProbe":{}}]}}}}})"));
  EXPECT_EQ(out.replicas, 1);
  EXPECT_TRUE(out.has_readiness_probe);
  EXPECT_FALSE(out.held_back);
}

TEST(RolloutCodec, ReadsWhatDecisionsNeed) {
  const Rollout out = RolloutCodec::from_json(json::parse(R"({
    "metadata":{"namespace":"default","name":"vllm","uid":"u","resourceVersion":"7"},
    "spec":{"replicas":3,"selector":{"matchLabels":{"app":"vllm"}},"strategy":{"blueGreen":{"activeService":"a"}},
      "template":{"spec":{"containers":[{"readinessProbe":{}}]}}},
    "status":{"replicas":6,"readyReplicas":5,"updatedReplicas":3,"HPAReplicas":3,"observedGeneration":"4",
      "pauseConditions":[{"reason":"BlueGreenPause"}],"selector":"app=vllm,rollouts-pod-template-hash=blue",
      "currentPodHash":"green","blueGreen":{"activeSelector":"blue","previewSelector":"green"}}})"));
  EXPECT_EQ(out.replicas, 3);
  EXPECT_EQ(out.selector.match_labels, (LabelMap{{"app", "vllm"}}));
  EXPECT_EQ(out.active_template, "blue");
  EXPECT_TRUE(out.paused);
  EXPECT_TRUE(out.has_template);
  EXPECT_TRUE(out.has_readiness_probe);
  EXPECT_EQ(out.status_replicas, 3) << "those of the preview are none of the replicas that were asked for";
  EXPECT_EQ(out.ready_replicas, 3);
  EXPECT_EQ(out.updated_replicas, 0) << "the newest template is not active";
}

TEST(RolloutCodec, ARestartIsOneUntilItIsDone) {
  json object = json::parse(R"({"spec":{"restartAt":"2026-11-30T12:00:00Z"},"status":{}})");
  EXPECT_EQ(RolloutCodec::from_json(object).restart_at, parse_rfc3339("2026-11-30T12:00:00Z"));
  object["status"]["restartedAt"] = "2026-11-29T12:00:00Z";
  EXPECT_TRUE(RolloutCodec::from_json(object).restart_at);
  object["status"]["restartedAt"] = "2026-11-30T12:00:00Z";
  EXPECT_FALSE(RolloutCodec::from_json(object).restart_at);
  object["spec"]["restartAt"] = "soon";
  EXPECT_FALSE(RolloutCodec::from_json(object).restart_at);
  EXPECT_FALSE(RolloutCodec::from_json(json::object()).restart_at);
}

TEST(RolloutCodec, ACanaryHasNoActiveTemplate) {
  const Rollout out = RolloutCodec::from_json(json::parse(
      R"({"spec":{"strategy":{"canary":{}}},"status":{"blueGreen":{"activeSelector":"left over"}}})"));
  EXPECT_EQ(out.active_template, "");
  EXPECT_FALSE(out.paused);
}

TEST(RolloutCodec, WithoutASelectorOfItsOwn_ItsControllersWordCounts) {
  struct Row {
    json status;
    const char* selector;
  };
  for (const Row& row : std::vector<Row>{
           {"app=vllm,tier=a,rollouts-pod-template-hash=blue", "app=vllm,tier=a"},
           {"rollouts-pod-template-hash=blue", ""},
           {"app in (a,b)", ""},
           {"app!=a", ""},
           {"=a", ""},
           {"app", ""},
           {"", ""},
           {7, ""},
       }) {
    json object = json::parse(R"({"spec":{"workloadRef":{"kind":"Deployment","name":"vllm"}},"status":{}})");
    object["status"]["selector"] = row.status;
    const Rollout out = RolloutCodec::from_json(object);
    EXPECT_EQ(out.selector.to_string(), row.selector) << row.status;
    EXPECT_FALSE(out.has_template);
  }
}

TEST(ReplicaSetCodec, ReadsWhatARolloutSaysOfIt) {
  const ReplicaSet out = read_both<ReplicaSetCodec>(json::parse(R"({"metadata":{"name":"a","annotations":{
    "rollout.argoproj.io/revision":"7","rollout.argoproj.io/desired-replicas":"3"}}})"));
  EXPECT_EQ(out.revision, 7);
  EXPECT_EQ(out.desired, 3);
}

TEST(TargetKind, IsThatOfTheWholeReference) {
  struct Row {
    ScaleTargetRef ref;
    TargetKind kind;
  };
  for (const Row& row : std::vector<Row>{
           {{"apps/v1", "Deployment", "a"}, TargetKind::kDeployment},
           {{"apps/v1", "StatefulSet", "a"}, TargetKind::kStatefulSet},
           {{"leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", "a"}, TargetKind::kLeaderWorkerSet},
           {{"argoproj.io/v1alpha1", "Rollout", "a"}, TargetKind::kRollout},
           {{"argoproj.io/v1", "Rollout", "a"}, TargetKind::kOther},
           {{"apps/v1", "Rollout", "a"}, TargetKind::kOther},
           {{"apps/v1", "ReplicaSet", "a"}, TargetKind::kOther},
       }) {
    InferencePool pool;
    pool.scale_target = row.ref;
    EXPECT_EQ(target_kind(pool), row.kind) << row.ref.api_version << ' ' << row.ref.kind;
  }
  EXPECT_EQ(target_kind(InferencePool{}), TargetKind::kNone);
  EXPECT_EQ(scalable_kinds(),
            "a Deployment of apps/v1, a StatefulSet of apps/v1, a LeaderWorkerSet of "
            "leaderworkerset.x-k8s.io/v1 or a Rollout of argoproj.io/v1alpha1");
}

}  // namespace
}  // namespace poolwarden::api
