// Stories of a cluster, in virtual time: controllers, scheduler and kubelet together on the API server's
// model.
#include "support/apiserver/json_util.h"
#include "support/cluster/deployment_sets.h"
#include "support/cluster/drain_gate.h"
#include "support/cluster/pod_facts.h"
#include "support/cluster/sim_cluster.h"

#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::cluster {
namespace {

using namespace std::chrono_literals;
using apiserver::int_at;
using apiserver::text_at;
using nlohmann::json;
using testing::AllOf;
using testing::Each;
using testing::Ge;
using testing::Le;
using testing::StartsWith;

constexpr const char* kDeployment = R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: vllm, namespace: default}
spec:
  replicas: 3
  selector: {matchLabels: {app: vllm}}
  template:
    metadata: {labels: {app: vllm}}
    spec:
      terminationGracePeriodSeconds: 30
      containers:
      - name: server
        image: vllm
        readinessProbe: {httpGet: {port: 8000}, periodSeconds: 1}
)";

class Story : public testing::Test {
 protected:
  void make(SimClusterOptions options = {}) {
    if (!options.behaviour_of) {
      options.behaviour_of = [](const LaunchSpec&) {
        SimBehaviour behaviour;
        behaviour.start_delay = 1s;
        behaviour.ready_delay = 3s;
        behaviour.stop_delay = 2s;
        return behaviour;
      };
    }
    cluster_.emplace(std::move(options));
  }

  void apply(const std::string& yaml) {
    const auto loaded = cluster_->model().load(yaml, cluster_->now());
    ASSERT_TRUE(loaded) << loaded.error();
    cluster_->settle();
  }

  void patch(const kube::ResourceType& type, const std::string& name, const json& change) {
    kube::HttpRequest request;
    request.method = kube::HttpMethod::kPatch;
    request.target = kube::resource_path(type, "default", name);
    request.content_type = "application/merge-patch+json";
    request.body = change.dump();
    const auto response = cluster_->request(request);
    ASSERT_EQ(response.status, 200) << response.body;
  }
  void scale(int replicas) { patch(kube::kDeployments, "vllm", {{"spec", {{"replicas", replicas}}}}); }
  void change_template(const std::string& image) {
    const json container = {{"name", "server"},
                            {"image", image},
                            {"readinessProbe", {{"httpGet", {{"port", 8000}}}, {"periodSeconds", 1}}}};
    patch(kube::kDeployments, "vllm",
          {{"spec", {{"template", {{"spec", {{"containers", json::array({container})}}}}}}}});
  }
  void erase(const std::string& pod, std::optional<int> grace = std::nullopt) {
    kube::HttpRequest request;
    request.method = kube::HttpMethod::kDelete;
    request.target = kube::resource_path(kube::kPods, "default", pod);
    if (grace) request.target += fmt::format("?gracePeriodSeconds={}", *grace);
    ASSERT_EQ(cluster_->request(request).status, 200);
  }

  std::vector<json> pods() {
    std::vector<json> result;
    for (const ObjectPtr& pod : cluster_->model().list(kube::kPods, "default")) result.push_back(pod->body());
    return result;
  }
  std::vector<json> active() {
    std::vector<json> result = pods();
    std::erase_if(result, [](const json& pod) { return !is_active(pod); });
    return result;
  }
  std::vector<json> ready() {
    std::vector<json> result = active();
    std::erase_if(result, [](const json& pod) { return !is_ready(pod); });
    return result;
  }
  static std::string name_of(const json& pod) { return text_at(pod, {"metadata", "name"}); }
  std::set<std::string> names() {
    std::set<std::string> result;
    for (const json& pod : active()) result.insert(name_of(pod));
    return result;
  }
  json deployment() { return cluster_->model().find(kube::kDeployments, "default", "vllm")->body(); }
  std::int64_t status(std::string_view field) { return int_at(deployment(), {"status", field}); }
  std::vector<ObjectPtr> sets() { return cluster_->model().list(kReplicaSets, "default"); }
  std::string condition_reason(std::string_view type) {
    const json object = deployment();
    const json* found = condition(object, type);
    return found != nullptr ? text_at(*found, {"reason"}) : "none";
  }

  std::optional<SimCluster> cluster_;
};

TEST_F(Story, ADeploymentComesUp) {
  make();
  apply(kDeployment);
  EXPECT_EQ(active().size(), 3U);
  EXPECT_EQ(status("readyReplicas"), 0);
  EXPECT_EQ(condition_reason("Available"), "MinimumReplicasUnavailable");
  EXPECT_EQ(condition_reason("Progressing"), "ReplicaSetUpdated");
  cluster_->advance(5s);
  EXPECT_EQ(status("readyReplicas"), 3);
  EXPECT_EQ(status("availableReplicas"), 3);
  EXPECT_EQ(status("updatedReplicas"), 3);
  EXPECT_EQ(status("observedGeneration"), int_at(deployment(), {"metadata", "generation"}));
  EXPECT_EQ(condition_reason("Available"), "MinimumReplicasAvailable");
  EXPECT_EQ(condition_reason("Progressing"), "NewReplicaSetAvailable");
  EXPECT_EQ(revision_of(deployment()), 1);
  const std::string set = text_at(sets().front()->body(), {"metadata", "name"});
  std::set<std::string> nodes;
  std::set<std::string> addresses;
  for (const json& pod : pods()) {
    EXPECT_THAT(name_of(pod), StartsWith(set + "-"));
    nodes.insert(text_at(pod, {"spec", "nodeName"}));
    addresses.insert(text_at(pod, {"status", "podIP"}));
  }
  EXPECT_EQ(nodes.size(), 3U);
  EXPECT_EQ(addresses.size(), 3U);
}

TEST_F(Story, NothingIsWrittenOnceAllIsDone) {
  make();
  apply(kDeployment);
  cluster_->advance(10s);
  const std::uint64_t revision = cluster_->model().revision();
  cluster_->advance(10min);
  EXPECT_EQ(cluster_->model().revision(), revision);
}

TEST_F(Story, TheSameSeedTellsTheSameStory) {
  std::vector<std::set<std::string>> runs;
  for (int i = 0; i < 2; ++i) {
    make();
    apply(kDeployment);
    cluster_->advance(10s);
    scale(5);
    cluster_->advance(10s);
    runs.push_back(names());
  }
  EXPECT_EQ(runs[0], runs[1]);
}

TEST_F(Story, ScalingDownTakesTheCheapestPods) {
  make();
  apply(kDeployment);
  cluster_->advance(10s);
  const std::string victim = *names().begin();
  patch(kube::kPods, victim,
        {{"metadata", {{"annotations", {{"controller.kubernetes.io/pod-deletion-cost", "-2147483648"}}}}}});
  const auto before = names();
  scale(2);
  auto expected = before;
  expected.erase(victim);
  EXPECT_EQ(names(), expected);
  EXPECT_EQ(pods().size(), 3U) << "it terminates first";
  cluster_->advance(3s);
  EXPECT_EQ(pods().size(), 2U);
}

TEST_F(Story, ADeletedPodIsReplacedAtOnceAndTerminatesInItsOwnTime) {
  make();
  apply(kDeployment);
  cluster_->advance(10s);
  const std::string gone = *names().begin();
  erase(gone);
  EXPECT_EQ(active().size(), 3U);
  EXPECT_EQ(pods().size(), 4U);
  EXPECT_EQ(ready().size(), 2U);
  cluster_->advance(2s);
  EXPECT_EQ(pods().size(), 3U);
  EXPECT_FALSE(names().contains(gone));
  cluster_->advance(5s);
  EXPECT_EQ(ready().size(), 3U);
}

TEST_F(Story, APodThatIgnoresSigtermIsKilledWhenItsGraceIsOver) {
  SimClusterOptions options;
  options.behaviour_of = [](const LaunchSpec&) {
    SimBehaviour behaviour;
    behaviour.ignores_term = true;
    return behaviour;
  };
  make(std::move(options));
  apply(kDeployment);
  cluster_->advance(10s);
  erase(*names().begin());
  cluster_->advance(29s);
  EXPECT_EQ(pods().size(), 4U);
  cluster_->advance(1s);
  EXPECT_EQ(pods().size(), 3U);
}

TEST_F(Story, AForceDeletedPodsProcessIsKilled) {
  make();
  apply(kDeployment);
  cluster_->advance(10s);
  EXPECT_EQ(cluster_->runtime().running(), 3U);
  erase(*names().begin(), 0);
  cluster_->advance(5s);
  EXPECT_EQ(cluster_->runtime().running(), 3U) << "the old one's is gone, the replacement's is there";
  EXPECT_EQ(cluster_->kubelet().pods(), 3U);
}

TEST_F(Story, ARelabelledPodIsReleasedAndReplacedAndAdoptedAgain) {
  make();
  apply(kDeployment);
  cluster_->advance(10s);
  const std::string pod = *names().begin();
  patch(kube::kPods, pod, {{"metadata", {{"labels", {{"app", "debug"}}}}}});
  EXPECT_EQ(active().size(), 4U);
  EXPECT_EQ(controller_uid(cluster_->model().find(kube::kPods, "default", pod)->body()), "");
  patch(kube::kPods, pod, {{"metadata", {{"labels", {{"app", "vllm"}}}}}});
  EXPECT_EQ(active().size(), 3U) << "one too many after the adoption";
}

TEST_F(Story, AFailedPodIsReplaced) {
  make();
  apply(kDeployment);
  cluster_->advance(10s);
  const std::string pod = *names().begin();
  kube::HttpRequest request;
  request.method = kube::HttpMethod::kPatch;
  request.target = kube::resource_path(kube::kPods, "default", pod, "status");
  request.content_type = "application/merge-patch+json";
  request.body = R"({"status": {"phase": "Failed", "reason": "Evicted"}})";
  // The node is down, so that its kubelet does not put the status right.
  cluster_->kubelet().set_node_down(
      text_at(cluster_->model().find(kube::kPods, "default", pod)->body(), {"spec", "nodeName"}), true);
  ASSERT_EQ(cluster_->request(request).status, 200);
  EXPECT_EQ(active().size(), 3U);
  EXPECT_FALSE(names().contains(pod));
}

TEST_F(Story, APodDeletedWhileItsNodeIsDownGoesWhenTheNodeIsBack) {
  make();
  apply(kDeployment);
  cluster_->advance(10s);
  const json pod = pods().front();
  const std::string node = text_at(pod, {"spec", "nodeName"});
  cluster_->kubelet().set_node_down(node, true);
  erase(name_of(pod));
  cluster_->advance(5min);
  EXPECT_TRUE(cluster_->model().find(kube::kPods, "default", name_of(pod))) << "nobody is there to stop it";
  cluster_->kubelet().set_node_down(node, false);
  cluster_->advance(5s);
  EXPECT_FALSE(cluster_->model().find(kube::kPods, "default", name_of(pod)));
  EXPECT_EQ(ready().size(), 3U);
}

TEST_F(Story, ARollingUpdateNeverHasFewerReadyThanAllowed) {
  make();
  apply(kDeployment);
  cluster_->advance(10s);
  const auto old_pods = names();
  change_template("vllm:2");
  for (int second = 0; second < 60; ++second) {
    EXPECT_THAT(ready().size(), Ge(3U)) << "maxUnavailable rounds down to 0";
    EXPECT_THAT(active().size(), Le(4U)) << "maxSurge rounds up to 1";
    cluster_->advance(1s);
  }
  EXPECT_EQ(sets().size(), 2U);
  EXPECT_EQ(ready().size(), 3U);
  for (const std::string& pod : names()) EXPECT_FALSE(old_pods.contains(pod));
  EXPECT_EQ(revision_of(deployment()), 2);
  EXPECT_EQ(condition_reason("Progressing"), "NewReplicaSetAvailable");
}

TEST_F(Story, RollingBackReusesTheOldSet) {
  make();
  apply(kDeployment);
  cluster_->advance(10s);
  change_template("vllm:2");
  cluster_->advance(60s);
  change_template("vllm");
  cluster_->advance(60s);
  EXPECT_EQ(sets().size(), 2U);
  EXPECT_EQ(revision_of(deployment()), 3);
  EXPECT_EQ(ready().size(), 3U);
}

TEST_F(Story, RecreateStopsAllBeforeItStartsAny) {
  make();
  apply(kDeployment);
  patch(kube::kDeployments, "vllm",
        {{"spec", {{"strategy", {{"type", "Recreate"}, {"rollingUpdate", nullptr}}}}}});
  cluster_->advance(10s);
  const auto old_pods = names();
  change_template("vllm:2");
  EXPECT_EQ(active().size(), 0U);
  cluster_->advance(1s);
  EXPECT_EQ(active().size(), 0U) << "the old ones still run";
  cluster_->advance(10s);
  EXPECT_EQ(ready().size(), 3U);
  EXPECT_EQ(status("updatedReplicas"), 3);
}

TEST_F(Story, APausedDeploymentScalesButDoesNotRoll) {
  make();
  apply(kDeployment);
  cluster_->advance(10s);
  patch(kube::kDeployments, "vllm", {{"spec", {{"paused", true}}}});
  change_template("vllm:2");
  scale(5);
  cluster_->advance(30s);
  EXPECT_EQ(sets().size(), 1U);
  EXPECT_EQ(ready().size(), 5U);
  EXPECT_EQ(condition_reason("Progressing"), "DeploymentPaused");
}

TEST_F(Story, ScalingInTheMiddleOfARolloutIsProportional) {
  SimClusterOptions options;
  options.behaviour_of = [](const LaunchSpec& spec) {
    SimBehaviour behaviour;
    if (spec.image == "vllm:bad") behaviour.ready_delay = std::chrono::hours(1000);
    return behaviour;
  };
  make(std::move(options));
  apply(kDeployment);
  patch(kube::kDeployments, "vllm",
        {{"spec",
          {{"replicas", 10}, {"strategy", {{"rollingUpdate", {{"maxSurge", 3}, {"maxUnavailable", 2}}}}}}}});
  cluster_->advance(10s);
  change_template("vllm:bad");
  cluster_->advance(10s);
  std::map<std::string, std::int64_t> sizes;
  const auto read_sizes = [&] {
    for (const ObjectPtr& set : sets()) {
      sizes[apiserver::find_path(set->body(), {"spec", "template", "spec", "containers"})->at(0)["image"]] =
          int_at(set->body(), {"spec", "replicas"});
    }
  };
  read_sizes();
  EXPECT_EQ(sizes["vllm"], 8);
  EXPECT_EQ(sizes["vllm:bad"], 5);
  scale(15);
  read_sizes();
  EXPECT_EQ(sizes["vllm"], 11);
  EXPECT_EQ(sizes["vllm:bad"], 7);
}

TEST_F(Story, ARolloutWithoutProgressSaysSo) {
  SimClusterOptions options;
  options.behaviour_of = [](const LaunchSpec&) {
    SimBehaviour behaviour;
    behaviour.ready_delay = std::chrono::hours(1000);
    return behaviour;
  };
  make(std::move(options));
  apply(kDeployment);
  cluster_->advance(599s);
  EXPECT_EQ(condition_reason("Progressing"), "ReplicaSetUpdated");
  cluster_->advance(10s);
  EXPECT_EQ(condition_reason("Progressing"), "ProgressDeadlineExceeded");
}

TEST_F(Story, HistoryIsLimited) {
  make();
  apply(kDeployment);
  patch(kube::kDeployments, "vllm", {{"spec", {{"revisionHistoryLimit", 1}}}});
  for (const char* image : {"a", "b", "c"}) {
    change_template(image);
    cluster_->advance(60s);
  }
  EXPECT_EQ(sets().size(), 2U);
}

TEST_F(Story, MinReadySecondsDelaysAvailability) {
  make();
  apply(kDeployment);
  patch(kube::kDeployments, "vllm", {{"spec", {{"minReadySeconds", 20}}}});
  cluster_->advance(10s);
  EXPECT_EQ(status("readyReplicas"), 3);
  const auto early = status("availableReplicas");
  change_template("vllm:2");
  cluster_->advance(10s);
  EXPECT_EQ(status("updatedReplicas"), 1);
  cluster_->advance(5min);
  EXPECT_EQ(status("updatedReplicas"), 3);
  EXPECT_EQ(status("availableReplicas"), 3);
  EXPECT_LE(early, 3);
}

TEST_F(Story, TheGateHoldsServingPodsUntilTheyAreDrained) {
  SimClusterOptions options;
  options.gate = held_by_serving_label;
  make(std::move(options));
  apply(kDeployment);
  cluster_->advance(10s);
  const auto all = names();
  for (const std::string& pod : all) {
    patch(kube::kPods, pod, {{"metadata", {{"labels", {{"poolwarden.io/serving", "true"}}}}}});
  }
  scale(1);
  cluster_->advance(60s);
  EXPECT_EQ(names(), all) << "none is let go";
  const std::string drained = *all.begin();
  patch(kube::kPods, drained,
        {{"metadata",
          {{"labels", {{"poolwarden.io/serving", "drained"}}},
           {"annotations", {{"controller.kubernetes.io/pod-deletion-cost", "-2147483648"}}}}}});
  cluster_->advance(5s);
  auto expected = all;
  expected.erase(drained);
  EXPECT_EQ(names(), expected);
  EXPECT_EQ(status("replicas"), 2);
}

TEST_F(Story, TheGateIsItsTwoObjects) {
  make();
  cluster_->model().set_admission(drain_gate(cluster_->model()));
  apply(kDeployment);
  std::ifstream manifest(POOLWARDEN_DRAIN_GATE);
  apply({std::istreambuf_iterator<char>(manifest), {}});
  cluster_->advance(10s);
  for (const std::string& pod : names())
    patch(kube::kPods, pod, {{"metadata", {{"labels", {{"poolwarden.io/serving", "draining"}}}}}});
  scale(2);
  cluster_->advance(60s);
  EXPECT_EQ(names().size(), 3U) << "held from the ReplicaSet's controller";
  erase(*names().begin());
  cluster_->advance(10s);
  EXPECT_EQ(names().size(), 2U) << "but not from a person";
  scale(1);
  cluster_->advance(10s);
  EXPECT_EQ(names().size(), 2U);
  kube::HttpRequest request;
  request.method = kube::HttpMethod::kDelete;
  request.target = kube::resource_path(kube::kValidatingAdmissionPolicyBindings, {}, "poolwarden-drain-gate");
  ASSERT_EQ(cluster_->request(request).status, 200);
  cluster_->advance(10s);
  EXPECT_EQ(names().size(), 1U) << "the policy alone holds nothing";
}

TEST_F(Story, PodsOfADeletedDeploymentGo) {
  make();
  apply(kDeployment);
  cluster_->advance(10s);
  kube::HttpRequest request;
  request.method = kube::HttpMethod::kDelete;
  request.target = kube::resource_path(kube::kDeployments, "default", "vllm");
  ASSERT_EQ(cluster_->request(request).status, 200);
  cluster_->advance(10s);
  EXPECT_TRUE(pods().empty());
  EXPECT_TRUE(sets().empty());
  EXPECT_EQ(cluster_->runtime().running(), 0U);
}

TEST_F(Story, ACordonedNodeGetsNoPods) {
  make();
  const ObjectPtr node = cluster_->model().find(kube::kNodes, {}, "node-2");
  ASSERT_TRUE(node);
  kube::HttpRequest request;
  request.method = kube::HttpMethod::kPatch;
  request.target = kube::resource_path(kube::kNodes, {}, "node-2");
  request.content_type = "application/merge-patch+json";
  request.body = R"({"spec": {"unschedulable": true}})";
  ASSERT_EQ(cluster_->request(request).status, 200);
  apply(kDeployment);
  for (const json& pod : pods()) EXPECT_NE(text_at(pod, {"spec", "nodeName"}), "node-2");
}

TEST_F(Story, AnUnreadyPodComesBackByItself) {
  make();
  apply(kDeployment);
  cluster_->advance(10s);
  const std::string pod = *names().begin();
  cluster_->runtime().set_failing(pod, true);
  cluster_->advance(5s);
  EXPECT_EQ(ready().size(), 2U);
  EXPECT_EQ(status("readyReplicas"), 2);
  cluster_->runtime().set_failing(pod, false);
  cluster_->advance(5s);
  EXPECT_EQ(ready().size(), 3U);
}

TEST_F(Story, ACrashedContainerIsRestartedInItsPod) {
  make();
  apply(kDeployment);
  cluster_->advance(10s);
  const auto before = names();
  cluster_->runtime().crash(*before.begin(), 1, cluster_->now());
  cluster_->settle();
  EXPECT_EQ(ready().size(), 2U);
  cluster_->advance(10s);
  EXPECT_EQ(ready().size(), 3U);
  EXPECT_EQ(names(), before);
}

}  // namespace
}  // namespace poolwarden::cluster
