#include "publish/calls.h"

#include "api/codecs.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::publish {
namespace {

using nlohmann::json;

api::InferencePool pool() {
  api::InferencePool out;
  out.ns = "default";
  out.name = "vllm";
  out.uid = "pool-uid";
  out.resource_version = "42";
  out.scale_target = api::ScaleTargetRef{.api_version = "apps/v1", .kind = "Deployment", .name = "engine"};
  out.publish = {.config_map_name = "list", .service_name = "svc", .create_service = true};
  return out;
}

const json kOwners =
    json::parse(R"([{"apiVersion":"poolwarden.io/v1alpha1","kind":"InferencePool","name":"vllm",
  "uid":"pool-uid","controller":true,"blockOwnerDeletion":false}])");

api::ConfigMapWrite list_write() {
  api::ConfigMapWrite out;
  out.set = {.ns = "default", .pool = "vllm", .revision = 7, .endpoints = {}};
  out.set.endpoints.push_back({.pod = "a",
                               .uid = "u",
                               .ip = "10.0.0.1",
                               .ports = {{.number = 8000, .name = "http"}},
                               .node = "n",
                               .zone = "",
                               .state = api::EndpointState::kReady});
  return out;
}

const api::Timestamp kTrigger = *api::parse_rfc3339("2026-01-02T03:04:05.000000009Z");

void expect_call(const kube::Call& call, kube::Verb verb, const kube::ResourceType& type,
                 const std::string& name, const std::string& subresource = {}) {
  EXPECT_EQ(call.verb, verb);
  EXPECT_EQ(call.type, type);
  EXPECT_EQ(call.ns, "default");
  EXPECT_EQ(call.name, name);
  EXPECT_EQ(call.subresource, subresource);
  EXPECT_EQ(call.guarded, verb != kube::Verb::kCreate);
}

TEST(ConfigMapCall, CreatesTheWholeObject) {
  auto wanted = list_write();
  wanted.create = true;
  wanted.pods_version = "4711";
  const kube::Call call = config_map(pool(), wanted, kTrigger);
  expect_call(call, kube::Verb::kCreate, kube::kConfigMaps, "");
  const json expected = {
      {"apiVersion", "v1"},
      {"kind", "ConfigMap"},
      {"metadata",
       {{"name", "list"},
        {"labels", {{"poolwarden.io/pool", "vllm"}, {"app.kubernetes.io/managed-by", "poolwarden"}}},
        {"annotations",
         {{"poolwarden.io/revision", "7"},
          {"poolwarden.io/pods-resource-version", "4711"},
          {"endpoints.kubernetes.io/last-change-trigger-time", "2026-01-02T03:04:05.000000009Z"}}},
        {"ownerReferences", kOwners}}},
      {"data",
       {{"endpoints.json", api::to_canonical_json(wanted.set)}, {"endpoints.txt", "10.0.0.1:8000\n"}}}};
  EXPECT_EQ(json::parse(call.body), expected);
}

TEST(ConfigMapCall, AnotherShard_HasItsNameAndLabel) {
  auto wanted = list_write();
  wanted.resource_version = "9";
  wanted.set.shard = 2;
  const kube::Call call = config_map(pool(), wanted, kTrigger);
  expect_call(call, kube::Verb::kUpdate, kube::kConfigMaps, "list-2");
  const json body = json::parse(call.body);
  EXPECT_EQ(body["metadata"]["name"], "list-2");
  EXPECT_EQ(body["metadata"]["labels"]["poolwarden.io/pool"], "vllm");
  EXPECT_EQ(body["metadata"]["labels"]["poolwarden.io/shard"], "2");
  EXPECT_EQ(body["metadata"]["ownerReferences"], kOwners);
  EXPECT_FALSE(api::ConfigMapCodec::from_json(body).shared) << "so that it is replaced";
}

TEST(ConfigMapCall, OursAlone_IsReplacedAtItsVersion) {
  auto wanted = list_write();
  wanted.resource_version = "9";
  const kube::Call call = config_map(pool(), wanted, kTrigger);
  expect_call(call, kube::Verb::kUpdate, kube::kConfigMaps, "list");
  const json body = json::parse(call.body);
  EXPECT_EQ(body["kind"], "ConfigMap");
  EXPECT_EQ(body["metadata"]["name"], "list");
  EXPECT_EQ(body["metadata"]["resourceVersion"], "9");
  EXPECT_EQ(body["metadata"]["ownerReferences"], kOwners);
  EXPECT_EQ(body["data"]["endpoints.json"], api::to_canonical_json(wanted.set));
  EXPECT_EQ(body["data"]["endpoints.txt"], api::to_text(wanted.set));
}

TEST(ConfigMapCall, TextWithQuotes_IsEscapedTwice) {
  auto wanted = list_write();
  wanted.set.endpoints[0].zone = "a\"b\\c\n\xc3\xa9";
  const json body = json::parse(config_map(pool(), wanted, kTrigger).body);
  EXPECT_EQ(body["data"]["endpoints.json"], api::to_canonical_json(wanted.set));
}

TEST(ConfigMapCall, Shared_IsPatchedWithThePrecondition) {
  auto wanted = list_write();
  wanted.shared = true;
  wanted.resource_version = "9";
  const kube::Call call = config_map(pool(), wanted, kTrigger);
  expect_call(call, kube::Verb::kMergePatch, kube::kConfigMaps, "list");
  const json body = json::parse(call.body);
  EXPECT_EQ(body["metadata"]["resourceVersion"], "9");
  EXPECT_EQ(body["metadata"]["ownerReferences"], kOwners);
  EXPECT_EQ(body["metadata"]["labels"]["poolwarden.io/pool"], "vllm");
  EXPECT_FALSE(body["metadata"].contains("name"));
  EXPECT_FALSE(body.contains("kind"));
  EXPECT_EQ(body["data"]["endpoints.json"], api::to_canonical_json(wanted.set));
}

// What is written must be what the next pass reads as current.
TEST(ConfigMapCall, IsReadBackByTheCodec) {
  auto wanted = list_write();
  wanted.create = true;
  wanted.pods_version = "4711";
  const auto read = api::ConfigMapCodec::from_json(json::parse(config_map(pool(), wanted, kTrigger).body));
  EXPECT_EQ(read.endpoints_json, api::to_canonical_json(wanted.set));
  EXPECT_EQ(read.endpoints_text, api::to_text(wanted.set));
  EXPECT_EQ(read.revision, "7");
  EXPECT_EQ(read.pods_version, "4711");
  ASSERT_EQ(read.owners.size(), 1U);
  EXPECT_EQ(read.owners[0].uid, "pool-uid");
  EXPECT_TRUE(read.owners[0].controller);
  EXPECT_EQ(read.labels.at("poolwarden.io/pool"), "vllm");
}

TEST(ServiceCall, Creates) {
  const api::ServiceWrite wanted{
      .create = true,
      .headless = false,
      .only_count = false,
      .resource_version = "",
      .labels = {{"a", "b"}},
      .selector = {{"app", "vllm"}},
      .stale_selector_keys = {},
      .ports = {{.name = "http", .number = 8000, .target = "8000", .protocol = "TCP"},
                {.name = "web", .number = 80, .target = "web", .protocol = "TCP"}}};
  const kube::Call call = service(pool(), wanted);
  expect_call(call, kube::Verb::kCreate, kube::kServices, "");
  EXPECT_EQ(json::parse(call.body),
            json::parse(R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"svc",
    "labels":{"a":"b"},"ownerReferences":)" +
                        kOwners.dump() + R"(},"spec":{"selector":{"app":"vllm"},"ports":[
    {"name":"http","port":8000,"targetPort":8000,"protocol":"TCP"},
    {"name":"web","port":80,"targetPort":"web","protocol":"TCP"}]}})"));
}

TEST(ServiceCall, CreatesOneWithoutAnAddress) {
  api::ServiceWrite wanted;
  wanted.create = wanted.headless = true;
  wanted.selector = {{"app", "vllm"}};
  EXPECT_EQ(json::parse(service(pool(), wanted).body).at("spec").at("clusterIP"), "None");
}

TEST(ServiceCall, PatchesOnlyWhatIsNamed) {
  api::ServiceWrite wanted;
  wanted.resource_version = "5";
  wanted.labels = {{"poolwarden.io/health", "empty"}};
  const kube::Call labels = service(pool(), wanted);
  expect_call(labels, kube::Verb::kMergePatch, kube::kServices, "svc");
  EXPECT_EQ(json::parse(labels.body),
            json::parse(R"({"metadata":{"resourceVersion":"5","labels":{"poolwarden.io/health":"empty"}}})"));
  wanted.adopt = true;
  const json owners = json::parse(service(pool(), wanted).body).at("metadata").at("ownerReferences");
  ASSERT_EQ(owners.size(), 1U);
  EXPECT_EQ(owners[0].at("uid"), pool().uid);
}

TEST(ServiceCall, StaleSelectorKeysAreTakenAway) {
  api::ServiceWrite wanted;
  wanted.resource_version = "5";
  wanted.selector = {{"app", "vllm"}};
  wanted.stale_selector_keys = {"tier"};
  const json body = json::parse(service(pool(), wanted).body);
  EXPECT_EQ(body["spec"], json::parse(R"({"selector":{"app":"vllm","tier":null}})"));
}

TEST(ServiceCall, TakesTheSelectorAwayAsAWhole) {
  api::ServiceWrite wanted;
  wanted.resource_version = "5";
  wanted.drop_selector = wanted.unmark = true;
  const json body = json::parse(service(pool(), wanted).body);
  EXPECT_TRUE(body.at("spec").at("selector").is_null()) << "not {}, which is still a selector";
  EXPECT_TRUE(body.at("metadata").at("labels").at("endpointslice.kubernetes.io/skip-mirror").is_null());
}

TEST(EndpointSliceCall, SaysAllThatReadersGoBy) {
  api::EndpointSliceWrite wanted;
  api::EndpointSlice& slice = wanted.slice;
  slice.ns = "default";
  slice.name = "svc-poolwarden-ipv4-1";
  slice.service = "svc";
  slice.manager = "operator.poolwarden.io";
  slice.pool = "vllm";
  slice.address_type = "IPv4";
  slice.owners = {{.api_version = "v1", .kind = "Service", .name = "svc", .uid = "s", .controller = true}};
  slice.ports = {{.name = "http", .number = 8000, .protocol = "TCP"}};
  slice.endpoints = {{.address = "10.0.0.1",
                      .pod = "a",
                      .uid = "u",
                      .node = "n",
                      .zone = "z",
                      .ready = false,
                      .serving = true,
                      .terminating = true}};
  const kube::Call made = endpoint_slice(wanted, {});
  expect_call(made, kube::Verb::kCreate, kube::kEndpointSlices, "");
  const json body = json::parse(made.body);
  EXPECT_EQ(body.at("addressType"), "IPv4");
  EXPECT_EQ(body.at("ports"), json::parse(R"([{"name":"http","port":8000,"protocol":"TCP"}])"));
  EXPECT_EQ(body.at("endpoints"), json::parse(R"([{"addresses":["10.0.0.1"],
    "conditions":{"ready":false,"serving":true,"terminating":true},"nodeName":"n","zone":"z",
    "targetRef":{"kind":"Pod","namespace":"default","name":"a","uid":"u"}}])"));
  const json& labels = body.at("metadata").at("labels");
  EXPECT_EQ(labels.at("kubernetes.io/service-name"), "svc");
  EXPECT_EQ(labels.at("endpointslice.kubernetes.io/managed-by"), "operator.poolwarden.io");
  EXPECT_EQ(labels.at("poolwarden.io/pool"), "vllm");
  EXPECT_EQ(body.at("metadata").at("ownerReferences").at(0).at("uid"), "s");
  wanted.action = api::EndpointSliceWrite::Action::kReplace;
  slice.uid = "x";
  slice.resource_version = "7";
  const kube::Call replaced = endpoint_slice(wanted, {});
  expect_call(replaced, kube::Verb::kUpdate, kube::kEndpointSlices, slice.name);
  EXPECT_TRUE(replaced.guarded);
  EXPECT_EQ(json::parse(replaced.body).at("metadata").at("resourceVersion"), "7");
  wanted.action = api::EndpointSliceWrite::Action::kDelete;
  const kube::Call removed = endpoint_slice(wanted, {});
  expect_call(removed, kube::Verb::kDelete, kube::kEndpointSlices, slice.name);
  EXPECT_EQ(json::parse(removed.body).at("preconditions"),
            json::parse(R"({"uid":"x","resourceVersion":"7"})"));
}

TEST(PodLabelCall, NamesThePodItMeans) {
  const kube::Call call =
      pod_label("default", {.name = "a", .uid = "u", .resource_version = "3", .serving = "false"});
  expect_call(call, kube::Verb::kMergePatch, kube::kPods, "a");
  EXPECT_EQ(
      json::parse(call.body),
      json::parse(
          R"({"metadata":{"uid":"u","resourceVersion":"3","labels":{"poolwarden.io/serving":"false"}}})"));
}

TEST(PodLabelCall, TakesTheLabelOff) {
  const kube::Call call =
      pod_label("default", {.name = "a", .uid = "u", .resource_version = "3", .serving = std::nullopt});
  EXPECT_TRUE(json::parse(call.body)["metadata"]["labels"]["poolwarden.io/serving"].is_null());
}

TEST(PodLabelCall, PutsAnnotationsOnAndTakesThemOffInTheSameWrite) {
  const kube::Call call = pod_label("default", {.name = "a",
                                                .uid = "u",
                                                .resource_version = "3",
                                                .serving = "drained",
                                                .annotations = {{"on", "1"}, {"off", std::nullopt}}});
  EXPECT_EQ(json::parse(call.body)["metadata"]["annotations"], json::parse(R"({"on":"1","off":null})"));
}

TEST(BudgetCall, HoldsEveryEvictionOfWhatItSelects) {
  api::BudgetWrite wanted{.create = true, .name = "vllm-serving", .resource_version = {}, .selector = {}};
  wanted.selector.match_expressions = {{.key = "app", .op = "In", .values = {"vllm"}},
                                       {.key = "gone", .op = "DoesNotExist", .values = {}}};
  kube::Call call = disruption_budget(pool(), wanted);
  expect_call(call, kube::Verb::kCreate, kube::kPodDisruptionBudgets, "");
  json body = json::parse(call.body);
  EXPECT_EQ(body["metadata"]["ownerReferences"], kOwners);
  EXPECT_EQ(body["spec"],
            json::parse(R"({"minAvailable":1000000,"unhealthyPodEvictionPolicy":"IfHealthyBudget",
    "selector":{"matchExpressions":[{"key":"app","operator":"In","values":["vllm"]},
                                    {"key":"gone","operator":"DoesNotExist"}]}})"));
  wanted.create = false;
  wanted.resource_version = "7";
  call = disruption_budget(pool(), wanted);
  expect_call(call, kube::Verb::kMergePatch, kube::kPodDisruptionBudgets, "vllm-serving");
  body = json::parse(call.body);
  EXPECT_EQ(body["metadata"]["resourceVersion"], "7");
  EXPECT_TRUE(body["spec"]["maxUnavailable"].is_null()) << "someone's edit is taken away";
  EXPECT_TRUE(body["spec"]["selector"]["matchLabels"].is_null());
}

TEST(ReplicaCalls, ScaleATargetOfTheKindThatThePoolNames) {
  const api::ScaleWrite write{.from = 1, .to = 3, .target_uid = "d-uid", .resource_version = "50"};
  for (const kube::ResourceType& type :
       {kube::kStatefulSets, kube::kLeaderWorkerSets, kube::kRollouts, kube::kDeployments}) {
    api::InferencePool scaling = pool();
    scaling.scale_target->api_version = type.api_version();
    scaling.scale_target->kind = type.kind;
    expect_call(scale_target(scaling, write), kube::Verb::kMergePatch, type, "engine", "scale");
  }
}

TEST(ReplicaCalls, ScaleTheTargetThroughItsSubresource) {
  const kube::Call call =
      scale_target(pool(), {.from = 1, .to = 3, .target_uid = "d-uid", .resource_version = "50"});
  expect_call(call, kube::Verb::kMergePatch, kube::kDeployments, "engine", "scale");
  EXPECT_EQ(json::parse(call.body),
            json::parse(R"({"metadata":{"resourceVersion":"50"},"spec":{"replicas":3}})"));
}

TEST(ReplicaCalls, AdoptIntoThePool) {
  const kube::Call call = adopt_replicas(pool(), {.from = std::nullopt, .to = 0, .target_uid = "d-uid"});
  expect_call(call, kube::Verb::kMergePatch, kInferencePools, "vllm");
  EXPECT_EQ(json::parse(call.body),
            json::parse(R"({"metadata":{"resourceVersion":"42"},"spec":{"replicas":0}})"));
}

api::PoolStatus full_status() {
  api::PoolStatus out;
  out.observed_generation = 4;
  out.replicas = 5;
  out.ready_replicas = 4;
  out.serving_replicas = 3;
  out.synced_replicas = 2;
  out.synced_target = "d-uid";
  out.selector = "app=vllm";
  out.endpoints_revision = 17;
  out.endpoints_omitted = 1;
  const auto since = *api::parse_rfc3339("2026-01-02T03:04:05Z");
  out.endpoints = {{.pod = "a", .ip = "10.0.0.1", .state = "ready", .reason = "", .since = since},
                   {.pod = "b", .ip = "", .state = "withdrawn", .reason = "NotScheduled", .since = since}};
  out.conditions = {{.type = "Available",
                     .status = "True",
                     .reason = "R",
                     .message = "M",
                     .observed_generation = 4,
                     .last_transition = since}};
  return out;
}

// Without this a status would differ from itself for ever, and be written in a loop.
TEST(StatusCall, IsReadBackByTheCodecUnchanged) {
  const kube::Call call = status(pool(), full_status());
  expect_call(call, kube::Verb::kMergePatch, kInferencePools, "vllm", "status");
  const json body = json::parse(call.body);
  EXPECT_EQ(body["metadata"], json::parse(R"({"resourceVersion":"42"})"));
  EXPECT_EQ(api::PoolCodec::from_json(body).status, full_status());
}

TEST(StatusCall, WhatIsUnsetIsTakenAway) {
  const json body = json::parse(status(pool(), {}).body)["status"];
  EXPECT_TRUE(body.contains("syncedReplicas"));
  EXPECT_TRUE(body["syncedReplicas"].is_null());
  EXPECT_TRUE(body.contains("syncedTarget"));
  EXPECT_TRUE(body["syncedTarget"].is_null());
  EXPECT_EQ(body["endpoints"], json::array());
  EXPECT_EQ(body["conditions"], json::array());
}

TEST(Calls, NoBytesOfOthersThrow) {
  auto wanted = full_status();
  wanted.conditions[0].message = "\xff\xfe";
  EXPECT_NO_THROW(status(pool(), wanted));
  auto list = list_write();
  list.set.endpoints[0].node = "\xff";
  EXPECT_TRUE(json::accept(config_map(pool(), list, kTrigger).body));
}

}  // namespace
}  // namespace poolwarden::publish
