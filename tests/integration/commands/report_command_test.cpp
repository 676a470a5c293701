// `status` and `why` as programs: what they print, and what they say when something is wrong.
#include "api/endpoint_set.h"
#include "command_bench.h"

#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

namespace poolwarden::integration {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const json kStatus = {
    {"observedGeneration", 1},
    {"replicas", 2},
    {"readyReplicas", 2},
    {"servingReplicas", 1},
    {"drainingReplicas", 1},
    {"endpoints",
     {{{"pod", "vllm-0"}, {"ip", "127.77.0.1"}, {"state", "ready"}, {"since", "2026-01-01T00:00:00Z"}},
      {{"pod", "vllm-1"},
       {"ip", "127.77.0.2"},
       {"state", "draining"},
       {"reason", "ScaleDown"},
       {"since", "2026-01-01T00:00:00Z"},
       {"inFlight", 3},
       {"deadline", "2200-01-01T00:00:00Z"}}}},
    {"conditions",
     {{{"type", "Available"},
       {"status", "False"},
       {"reason", "NoReadyEndpoints"},
       {"message", "no pod is ready: look at them"},
       {"lastTransitionTime", "2026-01-01T00:00:00Z"}}}}};

// One line, that names the program first.
void expect_complaint(const Said& said, const testing::Matcher<std::string>& words) {
  EXPECT_EQ(said.code, 1) << said.out << said.err;
  EXPECT_THAT(said.err, words);
  EXPECT_TRUE(said.err.starts_with("poolwarden: ")) << said.err;
  EXPECT_EQ(std::count(said.err.begin(), said.err.end(), '\n'), 1) << said.err;
  EXPECT_THAT(said.out, IsEmpty());
}

TEST(StatusCommand, TableTextJsonAndYaml) {
  CommandBench bench;
  bench.store_pool(2, kStatus);
  const Said table = bench.run({"status"});
  EXPECT_EQ(table.code, 0) << table.err;
  EXPECT_THAT(table.out, AllOf(HasSubstr("POOL   REPLICAS"), HasSubstr("Available=False NoReadyEndpoints"),
                               Not(HasSubstr("\x1b"))));
  EXPECT_THAT(bench.run({"status", "-A"}).out, HasSubstr("NAMESPACE   POOL"));

  const Said text = bench.run({"status", "vllm"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out,
              AllOf(HasSubstr("no pod is ready: look at them"), HasSubstr(", 3 in flight, at most ")));

  const Said made = bench.run({"status", "vllm", "-o", "json"});
  const json document = json::parse(made.out, nullptr, false);
  ASSERT_TRUE(document.is_object()) << made.out << made.err;
  EXPECT_EQ(document["kind"], "PoolStatus");
  EXPECT_EQ(document["endpoints"][1]["inFlight"], 3);
  EXPECT_EQ(document["problems"][0]["reason"], "NoReadyEndpoints");
  EXPECT_EQ(json::parse(bench.run({"status", "-o", "json"}).out, nullptr, false)["items"].size(), 1U);
  EXPECT_EQ(YAML::Load(bench.run({"status", "vllm", "-o=yaml"}).out)["endpoints"][1]["inFlight"].as<int>(),
            3);

  EXPECT_THAT(bench.run({"status", "--color=always"}).out, HasSubstr("\x1b[1m"));
}

TEST(StatusCommand, WhatIsNotThere) {
  CommandBench bench;
  expect_complaint(bench.run({"status"}), HasSubstr("is its CustomResourceDefinition installed?"));
  bench.install_crd();
  const Said none = bench.run({"status"});
  EXPECT_EQ(none.code, 0);
  EXPECT_THAT(none.err, HasSubstr("no inferencepools.poolwarden.io in namespace default"));
  expect_complaint(bench.run({"status", "nope"}), HasSubstr("\"nope\" not found"));
  const Said other = bench.run({"status", "-n=elsewhere"});
  EXPECT_THAT(other.err, HasSubstr("in namespace elsewhere"));
}

TEST(StatusCommand, GarbageInStatus) {
  CommandBench bench;
  bench.store_pool(
      1, {{"endpoints",
           {{{"pod", "a\x1b[2J\nb"}, {"ip", "?"}, {"state", "zombie"}, {"since", "2026-01-01T00:00:00Z"}}}},
          {"conditions",
           {{{"type", "Available"},
             {"status", "False"},
             {"reason", "\x1b]0;title\x07"},
             {"message", std::string(20000, 'x')},
             {"lastTransitionTime", "2026-01-01T00:00:00Z"}}}}});
  const Said said = bench.run({"status", "vllm"});
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, AllOf(HasSubstr("zombie"), Not(HasSubstr("\x1b")), Not(HasSubstr("\x07"))));
  EXPECT_LT(said.out.size(), 5000U);
  EXPECT_FALSE(json::parse(bench.run({"status", "-o", "json"}).out, nullptr, false).is_discarded());
}

TEST(StatusCommand, Forbidden) {
  CommandBench bench;
  bench.store_pool(1, kStatus);
  bench.deny("list", "inferencepools");
  expect_complaint(bench.run({"status"}),
                   HasSubstr("needs verb list on inferencepools.poolwarden.io in namespace default (RBAC)"));
  bench.deny("get", "configmaps");
  EXPECT_EQ(bench.run({"status", "vllm"}).code, 0) << "the nodes are left out, that is all";
}

TEST(StatusCommand, ServerAway) {
  CommandBench bench;
  bench.server().stop();
  expect_complaint(bench.run({"status"}), HasSubstr("list inferencepools in namespace default"));
}

TEST(StatusCommand, NotAKubernetesApiServer) {
  CommandBench bench;
  bench.store_pool(1, kStatus);
  bench.fault({{"fault", "html"}, {"verb", "list"}});
  expect_complaint(bench.run({"status"}), HasSubstr("by a proxy before it"));
  bench.server().with_faults([](apiserver::FaultSet& faults) { faults.clear(); });
  bench.fault({{"fault", "garbage"}, {"verb", "list"}});
  expect_complaint(bench.run({"status"}), HasSubstr("the answer is not a JSON object"));
}

TEST(StatusCommand, AFullDisk) {
  CommandBench bench;
  bench.store_pool(1, kStatus);
  const Said said = bench.run_program({"/bin/sh", "-c", "exec \"$@\" >/dev/full", "sh", POOLWARDEN, "status",
                                       "--kubeconfig", bench.kubeconfig()});
  EXPECT_EQ(said.code, 1);
  EXPECT_THAT(said.err, HasSubstr("not everything could be written"));
}

TEST(CommandLine, RejectsInvalidArguments) {
  CommandBench bench;
  for (const std::vector<std::string>& wrong :
       std::vector<std::vector<std::string>>{{"status", "-o", "xml"},
                                             {"status", "--color=blue"},
                                             {"status", "a", "b"},
                                             {"status", "vllm", "-A"},
                                             {"why"},
                                             {"why", "node/n1"},
                                             {"why", "A_B"},
                                             {"drain"},
                                             {"drain", "deployment/x"},
                                             {"drain", "x", "--timeout=soon"},
                                             {"drain", "x", "--wait", "--no-wait"},
                                             {"delete", "node/n1"},
                                             {"watch", "vllm", "-A"},
                                             {"nonsense"}}) {
    const Said said = bench.run(wrong);
    EXPECT_EQ(said.code, 2) << testing::PrintToString(wrong) << said.err;
    EXPECT_THAT(said.err, Not(IsEmpty()));
  }
  const Said lost = bench.run_program({POOLWARDEN, "status", "--kubeconfig=/nowhere"});
  EXPECT_EQ(lost.code, 1);
  EXPECT_THAT(lost.err, HasSubstr("/nowhere"));
}

TEST(CommandLine, AsAKubectlPlugin) {
  CommandBench bench;
  bench.store_pool(1, kStatus);
  const std::string plugin = bench.directory() + "/kubectl-poolwarden";
  std::filesystem::create_symlink(POOLWARDEN, plugin);
  EXPECT_THAT(bench.run_program({plugin, "drain", "--help"}).out,
              HasSubstr("Usage: kubectl poolwarden drain"));
  EXPECT_THAT(bench.run_program({POOLWARDEN, "drain", "--help"}).out, HasSubstr("Usage: poolwarden drain"));
  const Said said = bench.run_program({plugin, "status"}, {{"KUBECONFIG", bench.kubeconfig()}});
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("vllm"));
}

TEST(WhyCommand, BesideTheOperator) {
  CommandBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.start_pool(2, 1));
  EXPECT_TRUE(bench.publishes("vllm", {"vllm-0", "vllm-1"}));
  const Said serves = bench.run({"why", "vllm-0"});
  EXPECT_EQ(serves.code, 0) << serves.err;
  EXPECT_THAT(serves.out, HasSubstr("Pod default/vllm-0 of pool vllm is on the list and gets requests"));
  EXPECT_THAT(serves.out, HasSubstr("Node         n1"));

  bench.patch(
      std::string(kPodsPath) + "vllm-1/status",
      {{"status",
        {{"conditions", {{{"type", "Ready"}, {"status", "False"}, {"reason", "ContainersNotReady"}}}}}}});
  ASSERT_TRUE(bench.becomes("vllm-1", "false"));
  ASSERT_TRUE(bench.publishes("vllm", {"vllm-0"}));
  // The Event of it is written last.
  EXPECT_TRUE(eventually([&] {
    return bench.run({"why", "pod/vllm-1"}).out.find("Withdrawn") != std::string::npos;
  }));
  const json report = json::parse(bench.run({"why", "vllm-1", "-o", "json"}).out, nullptr, false);
  ASSERT_TRUE(report.is_object());
  EXPECT_EQ(report["verdicts"][0]["verdict"], "Withdrawn");
  EXPECT_EQ(report["verdicts"][0]["reason"], "NotReady");
  EXPECT_EQ(YAML::Load(bench.run({"why", "vllm-1", "-o", "yaml"}).out)["pod"].as<std::string>(), "vllm-1");
}

TEST(WhyCommand, NoSuchPod) {
  CommandBench bench;
  bench.store_pool(1, kStatus);
  expect_complaint(bench.run({"why", "nope"}), HasSubstr("pods \"nope\" not found"));
  // The status still names this one.
  const Said gone = bench.run({"why", "vllm-1"});
  EXPECT_EQ(gone.code, 1);
  EXPECT_THAT(gone.out, HasSubstr("does not exist any more, but the list or the status still names it"));
}

TEST(WhyCommand, InNoPool) {
  CommandBench bench;
  bench.store_pool(1, kStatus);
  bench.patch(std::string(kPodsPath) + "vllm-0", {{"metadata", {{"labels", {{"app", "other"}}}}}});
  const Said said = bench.run({"why", "vllm-0"});
  EXPECT_EQ(said.code, 0);
  EXPECT_THAT(said.out, HasSubstr("its labels match none of vllm (app=vllm)"));
}

TEST(WhyCommand, GoesWithoutWhatItMayNotRead) {
  CommandBench bench;
  bench.store_pool(1, kStatus);
  bench.server().with_model([](apiserver::Model& model) {
    model.set_deny_rules({{"", "get", "nodes"},
                          {"", "get", "configmaps"},
                          {"", "list", "events"},
                          {"", "list", "poddisruptionbudgets"},
                          {"", "get", "leases"}});
  });
  const Said said = bench.run({"why", "vllm-0"});
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out,
              AllOf(HasSubstr("Could not be read"), HasSubstr("needs verb get on nodes (RBAC)"),
                    HasSubstr("needs verb list on poddisruptionbudgets.policy in namespace default")));
  bench.deny("get", "pods");
  expect_complaint(bench.run({"why", "vllm-0"}), HasSubstr("needs verb get on pods in namespace default"));
}

TEST(WhyCommand, TheGateAsTheOperatorSeesIt) {
  const std::string policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/";
  const std::string bindings = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/";
  CommandBench bench;
  bench.store_pool(1, kStatus);
  bench.patch(std::string(kPodsPath) + "vllm-0",
              {{"metadata", {{"labels", {{"poolwarden.io/serving", "true"}}}}}});
  const auto said = [&bench] { return bench.run({"why", "vllm-0"}).out; };
  EXPECT_THAT(said(), Not(HasSubstr("the drain gate")));
  bench.load(POOLWARDEN_GATE);
  EXPECT_THAT(said(), HasSubstr("the drain gate: its controller may not delete it"));
  bench.deny("get", "validatingadmissionpolicies");
  EXPECT_THAT(said(), AllOf(HasSubstr("needs verb get on validatingadmissionpolicies"),
                            Not(HasSubstr("the drain gate"))));
  bench.allow_all();
  bench.patch(bindings + "poolwarden-drain-gate", {{"spec", {{"validationActions", {"Audit"}}}}});
  EXPECT_THAT(said(), HasSubstr("the drain gate, perhaps: it was edited (the binding does not deny)"));
  bench.request(kube::HttpMethod::kDelete, policies + "poolwarden-drain-gate");
  EXPECT_THAT(said(), Not(HasSubstr("the drain gate"))) << "a binding to nothing";
}

TEST(WhyCommand, ANodeThatIsNotReady) {
  CommandBench bench;
  bench.store_pool(1, kStatus);
  const std::string node = "/api/v1/nodes/n1";
  bench.request(kube::HttpMethod::kPost, "/api/v1/nodes",
                {{"apiVersion", "v1"}, {"kind", "Node"}, {"metadata", {{"name", "n1"}}}});
  bench.patch(node + "/status", {{"status",
                                  {{"conditions",
                                    {{{"type", "Ready"},
                                      {"status", "Unknown"},
                                      {"message", "Kubelet stopped posting node status."}}}}}}});
  EXPECT_THAT(bench.run({"why", "vllm-0"}).out,
              HasSubstr("is off the list: its node n1 is not ready: Kubelet stopped posting node status."));
  bench.patch(
      node,
      {{"spec", {{"taints", {{{"key", "node.kubernetes.io/out-of-service"}, {"effect", "NoExecute"}}}}}}});
  const json report = json::parse(bench.run({"why", "vllm-0", "-o", "json"}).out, nullptr, false);
  ASSERT_TRUE(report.is_object());
  EXPECT_EQ(report["verdicts"][0]["reason"], "NodeTaint");
}

// The pod is on the list's second ConfigMap; without it nobody can say that it is not listed.
TEST(WhyCommand, AListOfSeveralConfigMaps_IsReadWhole) {
  CommandBench bench;
  bench.store_pool(1, kStatus);
  const json pod = bench.request(kube::HttpMethod::kGet, "/api/v1/namespaces/default/pods/vllm-0", nullptr);
  api::EndpointSet first{.ns = "default", .pool = "vllm", .revision = 7, .endpoints = {}, .shards = 2};
  api::EndpointSet second{.ns = "default", .pool = "vllm", .revision = 9, .endpoints = {}, .shard = 2};
  second.endpoints.push_back({.pod = "vllm-0",
                              .uid = pod.at("metadata").at("uid"),
                              .ip = "127.77.0.1",
                              .ports = {{8000, ""}},
                              .node = "node-1",
                              .zone = {}});
  const auto store = [&bench](const api::EndpointSet& set) {
    bench.request(kube::HttpMethod::kPost, "/api/v1/namespaces/default/configmaps",
                  {{"apiVersion", "v1"},
                   {"kind", "ConfigMap"},
                   {"metadata", {{"name", api::shard_name("vllm-endpoints", set.shard)}}},
                   {"data", {{"endpoints.json", api::to_canonical_json(set)}}}});
  };
  store(first);
  EXPECT_THAT(bench.run({"why", "vllm-0"}).out,
              HasSubstr("ConfigMap default/vllm-endpoints-2 is missing, one of the 2 that the list has"));
  store(second);
  EXPECT_THAT(bench.run({"why", "vllm-0"}).out, HasSubstr("list in ConfigMap vllm-endpoints, revision 9"));
}

TEST(WhyCommand, AListThatIsNone) {
  CommandBench bench;
  bench.store_pool(1, kStatus);
  bench.request(kube::HttpMethod::kPost, "/api/v1/namespaces/default/configmaps",
                {{"apiVersion", "v1"},
                 {"kind", "ConfigMap"},
                 {"metadata", {{"name", "vllm-endpoints"}}},
                 {"data", {{"endpoints.json", "{\x1b[2J"}}}});
  const Said said = bench.run({"why", "vllm-0"});
  EXPECT_EQ(said.code, 0);
  EXPECT_THAT(said.out, AllOf(HasSubstr("is no list of Poolwarden's"), Not(HasSubstr("\x1b"))));
}

}  // namespace
}  // namespace poolwarden::integration
