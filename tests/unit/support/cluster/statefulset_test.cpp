// Stories of a StatefulSet, in virtual time: in what order its pods come and go, and what a gate does to
// that.
#include "support/apiserver/json_util.h"
#include "support/cluster/drain_gate.h"
#include "support/cluster/pod_facts.h"
#include "support/cluster/sim_cluster.h"
#include "support/cluster/stateful_set_view.h"

#include <fstream>
#include <iterator>
#include <map>

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
using testing::ElementsAre;
using testing::IsEmpty;

using Names = std::vector<std::string>;

// A pod is ready 4 s after it was made, and gone 2 s after it was deleted.
SimBehaviour behaviour(const LaunchSpec&) {
  SimBehaviour behaviour;
  behaviour.start_delay = 1s;
  behaviour.ready_delay = 3s;
  behaviour.stop_delay = 2s;
  return behaviour;
}

class StatefulSetStory : public testing::Test {
 protected:
  StatefulSetStory() {
    SimClusterOptions options;
    options.behaviour_of = behaviour;
    cluster_.emplace(std::move(options));
    cluster_->model().set_admission(drain_gate(cluster_->model()));
  }

  void create(int replicas, const std::string& more = {}) {
    load(fmt::format(R"(
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: web, namespace: default}}
spec:
  replicas: {}
  serviceName: webs
  selector: {{matchLabels: {{app: web}}}}
  {}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 30
      containers:
      - name: server
        image: one
        readinessProbe: {{httpGet: {{port: 8000}}, periodSeconds: 1}}
)",
                     replicas, more));
  }
  // The set as it is once all its pods are ready.
  void create_ready(int replicas, const std::string& more = {}) {
    create(replicas, more);
    cluster_->advance(std::chrono::seconds(10 * replicas));
    ASSERT_EQ(status("readyReplicas"), replicas);
  }
  void install_gate() {
    std::ifstream manifest(POOLWARDEN_DRAIN_GATE);
    load({std::istreambuf_iterator<char>(manifest), {}});
  }
  void load(const std::string& yaml) {
    const auto loaded = cluster_->model().load(yaml, cluster_->now());
    ASSERT_TRUE(loaded) << loaded.error();
    cluster_->settle();
  }
  void patch(const kube::ResourceType& type, const std::string& name, const json& change,
             const std::string& subresource = {}) {
    kube::HttpRequest request;
    request.method = kube::HttpMethod::kPatch;
    request.target = kube::resource_path(type, "default", name, subresource);
    request.content_type = "application/merge-patch+json";
    request.body = change.dump();
    const auto response = cluster_->request(request);
    ASSERT_EQ(response.status, 200) << response.body;
  }
  void scale(int replicas) {
    patch(kube::kStatefulSets, "web", {{"spec", {{"replicas", replicas}}}}, "scale");
  }
  void roll_out(const std::string& image) {
    const json container = {{"name", "server"},
                            {"image", image},
                            {"readinessProbe", {{"httpGet", {{"port", 8000}}}, {"periodSeconds", 1}}}};
    patch(kube::kStatefulSets, "web",
          {{"spec", {{"template", {{"spec", {{"containers", json::array({container})}}}}}}}});
  }
  void serving(const Names& pods, const std::string& value) {
    for (const std::string& pod : pods)
      patch(kube::kPods, pod, {{"metadata", {{"labels", {{"poolwarden.io/serving", value}}}}}});
  }
  void erase(const std::string& pod) {
    kube::HttpRequest request;
    request.method = kube::HttpMethod::kDelete;
    request.target = kube::resource_path(kube::kPods, "default", pod);
    ASSERT_EQ(cluster_->request(request).status, 200);
  }

  json set() { return cluster_->model().find(kube::kStatefulSets, "default", "web")->body(); }
  std::int64_t status(std::string_view field) { return int_at(set(), {"status", field}); }
  std::string revision(std::string_view field) { return text_at(set(), {"status", field}); }
  json pod(const std::string& name) { return cluster_->model().find(kube::kPods, "default", name)->body(); }
  template <class Wanted>
  Names those(Wanted wanted) {
    Names names;
    for (const ObjectPtr& pod : cluster_->model().list(kube::kPods, "default")) {
      if (wanted(pod->body())) names.push_back(text_at(pod->body(), {"metadata", "name"}));
    }
    return names;
  }
  Names all() {
    return those([](const json&) { return true; });
  }
  Names terminating() { return those(is_deleting); }
  Names with_image(const std::string& image) {
    return those(
        [&image](const json& pod) { return pod.at("spec").at("containers").at(0).at("image") == image; });
  }
  // The pods in the order in which they were first seen to be deleted.
  Names deleted_within(std::chrono::seconds time) {
    std::map<std::string, bool> seen;
    Names order;
    for (auto at = 0s; at < time; at += 1s) {
      for (const std::string& name : terminating()) {
        if (seen.emplace(text_at(pod(name), {"metadata", "uid"}), true).second) order.push_back(name);
      }
      cluster_->advance(1s);
    }
    return order;
  }

  std::optional<SimCluster> cluster_;
};

TEST_F(StatefulSetStory, PodsComeInOrderEachOnceThoseBeforeItAreReady) {
  create(3);
  EXPECT_THAT(all(), ElementsAre("web-0"));
  cluster_->advance(3s);
  EXPECT_THAT(all(), ElementsAre("web-0"));
  cluster_->advance(3s);
  EXPECT_THAT(all(), ElementsAre("web-0", "web-1"));
  cluster_->advance(10s);
  EXPECT_THAT(all(), ElementsAre("web-0", "web-1", "web-2"));
  EXPECT_EQ(status("replicas"), 3);
  EXPECT_EQ(status("readyReplicas"), 3);
  EXPECT_EQ(status("updatedReplicas"), 3);
  EXPECT_EQ(status("observedGeneration"), int_at(set(), {"metadata", "generation"}));
  EXPECT_EQ(revision("updateRevision"), revision_name(set()));
  EXPECT_EQ(revision("currentRevision"), revision("updateRevision"));
  const json last = pod("web-2");
  EXPECT_EQ(label(last, kRevisionLabel), revision("updateRevision"));
  EXPECT_EQ(label(last, kPodIndexLabel), "2");
  EXPECT_EQ(label(last, kPodNameLabel), "web-2");
  EXPECT_EQ(controller_uid(last), text_at(set(), {"metadata", "uid"}));
  EXPECT_EQ(text_at(last, {"spec", "hostname"}), "web-2");
  EXPECT_EQ(text_at(last, {"spec", "subdomain"}), "webs");
}

TEST_F(StatefulSetStory, NothingIsWrittenOnceAllIsDone) {
  create_ready(2);
  const std::uint64_t revision = cluster_->model().revision();
  cluster_->advance(10min);
  EXPECT_EQ(cluster_->model().revision(), revision);
}

TEST_F(StatefulSetStory, InParallelAllComeAtOnceAndAllGoAtOnce) {
  create(3, "podManagementPolicy: Parallel");
  EXPECT_EQ(all().size(), 3U);
  cluster_->advance(10s);
  scale(1);
  cluster_->advance(1s);
  EXPECT_THAT(terminating(), ElementsAre("web-1", "web-2"));
}

TEST_F(StatefulSetStory, InOrderTheHighestGoesFirstOneAtATime) {
  create_ready(4);
  scale(1);
  EXPECT_THAT(terminating(), ElementsAre("web-3"));
  EXPECT_THAT(deleted_within(30s), ElementsAre("web-3", "web-2", "web-1"));
  EXPECT_THAT(all(), ElementsAre("web-0"));
  EXPECT_EQ(status("replicas"), 1);
}

TEST_F(StatefulSetStory, NoneGoesWhileOneThatStaysIsNotReady) {
  create_ready(3);
  cluster_->runtime().set_failing("web-0", true);
  cluster_->advance(10s);
  scale(2);
  cluster_->advance(60s);
  EXPECT_THAT(terminating(), IsEmpty());
  EXPECT_EQ(all().size(), 3U);
  cluster_->runtime().set_failing("web-0", false);
  cluster_->advance(10s);
  EXPECT_THAT(all(), ElementsAre("web-0", "web-1"));
}

TEST_F(StatefulSetStory, TheGateHoldsTheHighestAndWithItAllBelow) {
  create_ready(3);
  install_gate();
  serving({"web-0", "web-1", "web-2"}, "true");
  scale(1);
  serving({"web-1", "web-2"}, "draining");
  cluster_->advance(60s);
  EXPECT_EQ(all().size(), 3U);
  serving({"web-1"}, "drained");
  cluster_->advance(60s);
  EXPECT_EQ(all().size(), 3U) << "it is web-2 that Kubernetes asks for";
  serving({"web-2"}, "drained");
  EXPECT_THAT(terminating(), ElementsAre("web-2")) << "at once";
  cluster_->advance(10s);
  EXPECT_THAT(all(), ElementsAre("web-0"));
}

TEST_F(StatefulSetStory, WhatWasRefusedIsTriedAgainByItself) {
  create_ready(2);
  install_gate();
  serving({"web-1"}, "true");
  scale(1);
  cluster_->advance(60s);
  EXPECT_EQ(all().size(), 2U);
  kube::HttpRequest request;
  request.method = kube::HttpMethod::kDelete;
  request.target = kube::resource_path(kube::kValidatingAdmissionPolicyBindings, {}, "poolwarden-drain-gate");
  ASSERT_EQ(cluster_->request(request).status, 200);
  cluster_->advance(30s);
  EXPECT_THAT(all(), ElementsAre("web-0"));
}

TEST_F(StatefulSetStory, InParallelARefusalEndsTheBatch) {
  create_ready(4, "podManagementPolicy: Parallel");
  install_gate();
  serving({"web-0", "web-1", "web-2", "web-3"}, "true");
  scale(0);
  serving({"web-0", "web-1", "web-2"}, "drained");
  cluster_->advance(60s);
  EXPECT_EQ(all().size(), 4U) << "the first batch is the highest alone";
  serving({"web-3"}, "drained");
  cluster_->advance(10s);
  EXPECT_THAT(all(), IsEmpty());
}

TEST_F(StatefulSetStory, ScalingUpAgainCallsOffWhatWasRefused) {
  create_ready(3);
  install_gate();
  serving({"web-0", "web-1", "web-2"}, "true");
  scale(1);
  cluster_->advance(5s);
  scale(3);
  serving({"web-1", "web-2"}, "drained");
  cluster_->advance(60s);
  EXPECT_EQ(all().size(), 3U);
  EXPECT_THAT(terminating(), IsEmpty());
}

TEST_F(StatefulSetStory, ARolloutTakesTheHighestFirstOneAtATime) {
  create_ready(3);
  const std::string before = revision("currentRevision");
  roll_out("two");
  EXPECT_THAT(terminating(), ElementsAre("web-2"));
  EXPECT_EQ(revision("currentRevision"), before);
  EXPECT_NE(revision("updateRevision"), before);
  EXPECT_EQ(status("updatedReplicas"), 0);
  EXPECT_THAT(deleted_within(60s), ElementsAre("web-2", "web-1", "web-0"));
  EXPECT_EQ(with_image("two").size(), 3U);
  EXPECT_EQ(revision("currentRevision"), revision("updateRevision"));
}

TEST_F(StatefulSetStory, ARolloutWaitsForThePodThatCameBack) {
  create_ready(3);
  roll_out("two");
  cluster_->advance(4s);
  EXPECT_THAT(with_image("two"), ElementsAre("web-2"));
  cluster_->advance(1s);
  EXPECT_THAT(terminating(), IsEmpty()) << "web-2 is not ready yet";
  cluster_->advance(2s);
  EXPECT_THAT(terminating(), ElementsAre("web-1"));
}

TEST_F(StatefulSetStory, ARolloutStopsAtThePartition) {
  create_ready(3, "updateStrategy: {rollingUpdate: {partition: 2}}");
  const std::string before = revision("currentRevision");
  roll_out("two");
  EXPECT_THAT(deleted_within(60s), ElementsAre("web-2"));
  EXPECT_THAT(with_image("two"), ElementsAre("web-2"));
  EXPECT_EQ(revision("currentRevision"), before);
  EXPECT_EQ(status("updatedReplicas"), 1);
  erase("web-0");
  cluster_->advance(10s);
  EXPECT_THAT(with_image("one"), ElementsAre("web-0", "web-1")) << "below, a pod comes back as it was";
  EXPECT_EQ(label(pod("web-0"), kRevisionLabel), before);
  const json none = {{"rollingUpdate", {{"partition", 0}}}};
  patch(kube::kStatefulSets, "web", {{"spec", {{"updateStrategy", none}}}});
  EXPECT_THAT(deleted_within(60s), ElementsAre("web-1", "web-0"));
  EXPECT_EQ(revision("currentRevision"), revision("updateRevision"));
}

TEST_F(StatefulSetStory, TwoMayBeUnavailable) {
  create_ready(4, "updateStrategy: {rollingUpdate: {maxUnavailable: 2}}");
  roll_out("two");
  EXPECT_THAT(terminating(), ElementsAre("web-2", "web-3"));
  cluster_->advance(5s);
  EXPECT_EQ(with_image("one").size(), 2U);
  EXPECT_THAT(deleted_within(60s), ElementsAre("web-0", "web-1"));
  EXPECT_EQ(with_image("two").size(), 4U);
}

TEST_F(StatefulSetStory, InOrderARefusalOfTheSecondWaitsForTheFirstToBeBack) {
  create_ready(3, "updateStrategy: {rollingUpdate: {maxUnavailable: 2}}");
  install_gate();
  serving({"web-0", "web-1", "web-2"}, "true");
  roll_out("two");
  serving({"web-2"}, "drained");
  EXPECT_THAT(terminating(), ElementsAre("web-2"));
  serving({"web-1"}, "drained");
  cluster_->advance(4s);
  EXPECT_THAT(terminating(), IsEmpty());
  EXPECT_THAT(with_image("one"), ElementsAre("web-0", "web-1"));
  cluster_->advance(3s);
  EXPECT_THAT(terminating(), ElementsAre("web-1"));
}

TEST_F(StatefulSetStory, OnDeleteNothingGoesByItself) {
  create_ready(2, "updateStrategy: {type: OnDelete}");
  roll_out("two");
  cluster_->advance(60s);
  EXPECT_EQ(with_image("one").size(), 2U);
  EXPECT_EQ(status("updatedReplicas"), 0);
  erase("web-0");
  cluster_->advance(10s);
  EXPECT_THAT(with_image("two"), ElementsAre("web-0"));
}

TEST_F(StatefulSetStory, OrdinalsBeginWhereTheyAreTold) {
  create_ready(2, "ordinals: {start: 5}\n  updateStrategy: {rollingUpdate: {partition: 1}}");
  EXPECT_THAT(all(), ElementsAre("web-5", "web-6"));
  EXPECT_EQ(label(pod("web-6"), kPodIndexLabel), "6");
  roll_out("two");
  EXPECT_THAT(deleted_within(60s), ElementsAre("web-6")) << "the partition counts from the start";
  patch(kube::kStatefulSets, "web", {{"spec", {{"ordinals", {{"start", 6}}}}}});
  cluster_->advance(30s);
  EXPECT_THAT(all(), ElementsAre("web-6", "web-7"));
}

TEST_F(StatefulSetStory, AFailedPodIsMadeAgainUnderItsName) {
  create_ready(2);
  const std::string before = text_at(pod("web-0"), {"metadata", "uid"});
  patch(kube::kPods, "web-0", {{"status", {{"phase", "Failed"}}}}, "status");
  cluster_->advance(20s);
  EXPECT_NE(text_at(pod("web-0"), {"metadata", "uid"}), before);
  EXPECT_EQ(status("readyReplicas"), 2);
}

TEST_F(StatefulSetStory, AnOrphanOfItsNameIsTakenIn) {
  load(R"(
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: default, labels: {app: web}}
spec: {containers: [{name: server, image: one}]}
)");
  cluster_->advance(5s);
  const std::string before = text_at(pod("web-0"), {"metadata", "uid"});
  create(1, "updateStrategy: {type: OnDelete}");
  cluster_->advance(5s);
  EXPECT_EQ(text_at(pod("web-0"), {"metadata", "uid"}), before);
  EXPECT_EQ(controller_uid(pod("web-0")), text_at(set(), {"metadata", "uid"}));
  EXPECT_EQ(label(pod("web-0"), kPodIndexLabel), "0");
}

TEST_F(StatefulSetStory, PodsOfADeletedSetGo) {
  create_ready(2);
  kube::HttpRequest request;
  request.method = kube::HttpMethod::kDelete;
  request.target = kube::resource_path(kube::kStatefulSets, "default", "web");
  ASSERT_EQ(cluster_->request(request).status, 200);
  cluster_->advance(30s);
  EXPECT_THAT(all(), IsEmpty());
}

TEST(OrdinalOf, IsThatOfAPodOfTheSetByItsName) {
  EXPECT_EQ(ordinal_of("web", "web-0"), 0);
  EXPECT_EQ(ordinal_of("web", "web-12"), 12);
  for (const char* other : {"web", "web-", "web-x", "web-01", "web-1-2", "webs-1", "we-1", "web--1"})
    EXPECT_EQ(ordinal_of("web", other), std::nullopt) << other;
  EXPECT_EQ(ordinal_of("web-1", "web-1-2"), 2);
}

}  // namespace
}  // namespace poolwarden::cluster
