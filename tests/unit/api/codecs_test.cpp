#include "api/codecs.h"

#include "both_encodings.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::api {
namespace {

using nlohmann::json;

TEST(NodeCodec, ReadsItsZone) {
  const Node node = read_both<NodeCodec>(json::parse(
      R"({"metadata":{"name":"n1","uid":"u","resourceVersion":"5","labels":{"topology.kubernetes.io/zone":"eu-1a"}}})"));
  EXPECT_EQ(node.name, "n1");
  EXPECT_EQ(node.resource_version, "5");
  EXPECT_EQ(node.zone, "eu-1a");
  EXPECT_EQ(read_both<NodeCodec>(json::parse(R"({"metadata":{"name":"n2"}})")).zone, "");
}

TEST(AutoscalerCodec, ReadsWhomItScales) {
  const Autoscaler out = read_both<AutoscalerCodec>(json::parse(
      R"({"metadata":{"name":"a","namespace":"ns","uid":"u"},"spec":{"maxReplicas":9,"scaleTargetRef":
      {"apiVersion":"poolwarden.io/v1alpha1","kind":"InferencePool","name":"vllm"}}})"));
  EXPECT_EQ(out.name, "a");
  EXPECT_EQ(out.target_group, "poolwarden.io");
  EXPECT_EQ(out.target_kind, "InferencePool");
  EXPECT_EQ(out.target_name, "vllm");
  const Autoscaler hostile =
      read_both<AutoscalerCodec>(json::parse(R"({"metadata":[],"spec":{"scaleTargetRef":"x"}})"));
  EXPECT_EQ(hostile.target_name, "");
}

json deployment() {
  return json::parse(R"({"metadata":{"name":"vllm","namespace":"default","uid":"d","resourceVersion":"9"},
    "spec":{"replicas":3,"paused":true,"selector":{"matchLabels":{"app":"vllm"},
      "matchExpressions":[{"key":"tier","operator":"In","values":["gpu",7]}]},
      "template":{"spec":{"terminationGracePeriodSeconds":90,"containers":[{"name":"vllm",
        "readinessProbe":{"httpGet":{"path":"/health"}},"lifecycle":{"preStop":{"sleep":{"seconds":30}}}}]}}},
    "status":{"replicas":4,"updatedReplicas":2,"readyReplicas":1}})");
}

TEST(DeploymentCodec, ReadsWhatDecisionsNeed) {
  const Deployment out = read_both<DeploymentCodec>(deployment());
  EXPECT_EQ(out.name, "vllm");
  EXPECT_EQ(out.replicas, 3);
  EXPECT_TRUE(out.paused);
  EXPECT_FALSE(out.deleting);
  EXPECT_EQ(out.selector.to_string(), "app=vllm,tier in (gpu)");
  EXPECT_EQ(out.status_replicas, 4);
  EXPECT_EQ(out.updated_replicas, 2);
  EXPECT_EQ(out.ready_replicas, 1);
  EXPECT_TRUE(out.has_readiness_probe);
  EXPECT_TRUE(out.has_pre_stop);
  EXPECT_EQ(out.pre_stop_sleep_seconds, 30);
  EXPECT_EQ(out.termination_grace_seconds, 90);
}

TEST(DeploymentCodec, TakesTheServersDefaults) {
  const Deployment out = DeploymentCodec::from_json(json::parse(R"({"metadata":{"deletionTimestamp":"x"}})"));
  EXPECT_EQ(out.replicas, 1);
  EXPECT_EQ(out.termination_grace_seconds, 30);
  EXPECT_FALSE(out.has_readiness_probe);
  EXPECT_FALSE(out.has_pre_stop);
  EXPECT_TRUE(out.deleting);
}

struct HookRow {
  const char* situation;
  const char* pre_stop;
  bool has;
  std::int64_t sleep;
};

TEST(DeploymentCodec, PreStopHooks) {
  const HookRow rows[] = {
      {"none", "null", false, 0},
      {"empty", "{}", false, 0},
      {"sleep", R"({"sleep":{"seconds":15}})", true, 15},
      {"sleep as a command", R"({"exec":{"command":["sleep","20"]}})", true, 20},
      {"sleep by its path", R"({"exec":{"command":["/bin/sleep","20s"]}})", true, 20},
      {"sleep in a shell", R"({"exec":{"command":["/bin/sh","-c","echo bye; sleep 25"]}})", true, 25},
      {"a program that is called so", R"({"exec":{"command":["oversleep 9"]}})", true, 0},
      {"sleep of no number", R"({"exec":{"command":["sleep","$T"]}})", true, 0},
      {"sleep of two words", R"({"exec":{"command":["sleep","5","6"]}})", true, 0},
      {"a negative sleep", R"({"exec":{"command":["sleep","-5"]}})", true, 0},
      {"another command", R"({"exec":{"command":["/drain"]}})", true, 0},
      {"a request", R"({"httpGet":{"path":"/drain","port":8000}})", true, 0},
      {"commands of the wrong type", R"({"exec":{"command":[7,{}]}})", true, 0},
  };
  for (const HookRow& row : rows) {
    json object = deployment();
    object["spec"]["template"]["spec"]["containers"][0]["lifecycle"]["preStop"] = json::parse(row.pre_stop);
    const Deployment out = read_both<DeploymentCodec>(object);
    EXPECT_EQ(out.has_pre_stop, row.has) << row.situation;
    EXPECT_EQ(out.pre_stop_sleep_seconds, row.sleep) << row.situation;
  }
}

TEST(StatefulSetCodec, ReadsWhatDecisionsNeed) {
  const StatefulSet out = read_both<StatefulSetCodec>(json::parse(R"({
    "metadata":{"namespace":"default","name":"web","uid":"u","resourceVersion":"7"},
    "spec":{"replicas":3,"selector":{"matchLabels":{"app":"web"}},"podManagementPolicy":"Parallel",
      "ordinals":{"start":5},"minReadySeconds":30,
      "updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"partition":2,"maxUnavailable":"50%"}},
      "template":{"spec":{"terminationGracePeriodSeconds":90,"containers":[
        {"readinessProbe":{"httpGet":{"path":"/health"}},"lifecycle":{"preStop":{"sleep":{"seconds":20}}}}]}}},
    "status":{"replicas":4,"readyReplicas":3,"updatedReplicas":1,"availableReplicas":2,"updateRevision":"web-2"}})"));
  EXPECT_EQ(out.name, "web");
  EXPECT_EQ(out.uid, "u");
  EXPECT_EQ(out.replicas, 3);
  EXPECT_EQ(out.selector.match_labels, (LabelMap{{"app", "web"}}));
  EXPECT_FALSE(out.ordered);
  EXPECT_EQ(out.first_ordinal, 5);
  EXPECT_EQ(out.min_ready_seconds, 30);
  EXPECT_TRUE(out.rolls);
  EXPECT_EQ(out.partition, 2);
  EXPECT_EQ(out.max_unavailable, "50%");
  EXPECT_TRUE(out.has_readiness_probe);
  EXPECT_EQ(out.pre_stop_sleep_seconds, 20);
  EXPECT_EQ(out.termination_grace_seconds, 90);
  EXPECT_EQ(out.status_replicas, 4);
  EXPECT_EQ(out.ready_replicas, 3);
  EXPECT_EQ(out.updated_replicas, 1);
  EXPECT_EQ(out.available_replicas, 2);
  EXPECT_EQ(out.update_revision, "web-2");
}

TEST(StatefulSetCodec, TakesTheServersDefaults) {
  const StatefulSet out =
      StatefulSetCodec::from_json(json::parse(R"({"metadata":{"deletionTimestamp":"x"}})"));
  EXPECT_TRUE(out.deleting);
  EXPECT_EQ(out.replicas, 1);
  EXPECT_TRUE(out.ordered);
  EXPECT_TRUE(out.rolls);
  EXPECT_EQ(out.first_ordinal, 0);
  EXPECT_EQ(out.max_unavailable, "");
  const StatefulSet by_hand = read_both<StatefulSetCodec>(
      json::parse(R"({"metadata":{"name":"web"},"spec":{"updateStrategy":{"type":"OnDelete"}}})"));
  EXPECT_FALSE(by_hand.rolls);
}

TEST(DeploymentCodec, TheLongestHookOfSeveralContainersCounts) {
  json object = deployment();
  auto& containers = object["spec"]["template"]["spec"]["containers"];
  containers.push_back({{"lifecycle", {{"preStop", {{"sleep", {{"seconds", 45}}}}}}}});
  containers.push_back({{"name", "plain"}});
  EXPECT_EQ(read_both<DeploymentCodec>(object).pre_stop_sleep_seconds, 45);
}

TEST(ServiceCodec, ReadsPortsSelectorAndOwners) {
  const Service out = read_both<ServiceCodec>(json::parse(
      R"({"metadata":{"name":"vllm","labels":{"a":"b","poolwarden.io/pool":"x"},"ownerReferences":[{"apiVersion":"poolwarden.io/v1alpha1",
        "kind":"InferencePool","name":"vllm","uid":"u","controller":true}]},
        "spec":{"selector":{"app":"vllm"},"ports":[{"name":"http","port":80,"targetPort":8000,"protocol":"TCP"},
        {"port":81,"targetPort":"web"},{"port":82}]}})"));
  EXPECT_EQ(out.labels, (LabelMap{{"poolwarden.io/pool", "x"}})) << "others are nobody's business here";
  EXPECT_EQ(out.selector, (LabelMap{{"app", "vllm"}}));
  ASSERT_EQ(out.owners.size(), 1U);
  EXPECT_EQ(out.owners[0].uid, "u");
  EXPECT_TRUE(out.owners[0].controller);
  const std::vector<ServicePort> ports{{.name = "http", .number = 80, .target = "8000", .protocol = "TCP"},
                                       {.name = "", .number = 81, .target = "web", .protocol = "TCP"},
                                       {.name = "", .number = 82, .target = "82", .protocol = "TCP"}};
  EXPECT_EQ(out.ports, ports);
}

TEST(ConfigMapCodec, KeepsTheDocumentByteForByte) {
  const ConfigMap out = read_both<ConfigMapCodec>(
      {{"metadata", {{"name", "x-endpoints"}, {"annotations", {{"poolwarden.io/revision", "12"}}}}},
       {"data", {{"endpoints.json", " {}\n"}, {"endpoints.txt", "1.2.3.4:80\n"}, {"other", "x"}}}});
  EXPECT_EQ(out.revision, "12");
  EXPECT_EQ(out.endpoints_json, " {}\n");
  EXPECT_EQ(out.endpoints_text, "1.2.3.4:80\n");
  EXPECT_FALSE(out.deleting);
}

// Whoever may create objects may write into them what they like: kept is what may mean something.
json owners_without_end() {
  json out = json::array();
  for (int i = 0; i < 100; ++i)
    out.push_back({{"apiVersion", "v1"},
                   {"kind", i == 90 ? "InferencePool" : "Pod"},
                   {"name", std::string(1'000, 'n')},
                   {"uid", fmt::format("uid-{}", i)},
                   {"controller", i == 80}});
  return out;
}

TEST(Codecs, OwnersWithoutEnd_ThoseThatMatterAreKept) {
  const json metadata = {{"name", "x"}, {"ownerReferences", owners_without_end()}};
  const auto service = read_both<ServiceCodec>({{"metadata", metadata}, {"spec", json::object()}});
  const auto map = read_both<ConfigMapCodec>({{"metadata", metadata}});
  const auto budget = read_both<DisruptionBudgetCodec>({{"metadata", metadata}, {"spec", json::object()}});
  for (const auto& owners : {service.owners, map.owners, budget.owners}) {
    ASSERT_EQ(owners.size(), 8U);
    EXPECT_EQ(owners[0].uid, "uid-80");
    EXPECT_EQ(owners[1].uid, "uid-90");
    EXPECT_EQ(owners[0].name.size(), 256U);
  }
  EXPECT_TRUE(map.shared);
  const auto set = read_both<ReplicaSetCodec>({{"metadata", metadata}, {"spec", json::object()}});
  EXPECT_EQ(set.controller, "uid-80");
}

TEST(Codecs, LabelsAndSelectorsWithoutEnd_AreNotKept) {
  json many = json::object();
  for (int i = 0; i < 1'000; ++i) many[fmt::format("label-{:04}", i)] = std::string(60, 'x');
  const json labels = {{"name", "x"}, {"labels", many}};
  EXPECT_TRUE(read_both<ServiceCodec>({{"metadata", labels}, {"spec", json::object()}}).labels.empty());
  const auto map = read_both<ConfigMapCodec>({{"metadata", labels}});
  EXPECT_TRUE(map.labels.empty());
  EXPECT_TRUE(map.shared);
  const auto service =
      read_both<ServiceCodec>({{"metadata", {{"name", "x"}}}, {"spec", {{"selector", many}}}});
  EXPECT_GT(service.selector.size(), 50U) << "enough to see that it is not ours";
  EXPECT_LT(service.selector.size(), 100U);
  const json selector = {{"matchLabels", many}};
  EXPECT_TRUE(
      read_both<DisruptionBudgetCodec>({{"metadata", {{"name", "x"}}}, {"spec", {{"selector", selector}}}})
          .selector.too_large);
  json target = deployment();
  target["spec"]["selector"] = selector;
  EXPECT_TRUE(read_both<DeploymentCodec>(target).selector.too_large);
}

TEST(ServiceCodec, PortsWithoutEnd_AreNotKept) {
  json ports = json::array();
  for (int i = 0; i < 1'000; ++i) ports.push_back({{"port", i + 1}});
  const auto out = read_both<ServiceCodec>({{"metadata", {{"name", "x"}}}, {"spec", {{"ports", ports}}}});
  EXPECT_EQ(out.ports.size(), 64U);
}

TEST(ConsumerLeaseCodec, ReadsWhatItConfirms) {
  const auto lease = read_both<ConsumerLeaseCodec>(json::parse(R"({
    "metadata":{"namespace":"ns","name":"vllm-edge-1","uid":"u","resourceVersion":"7",
      "labels":{"poolwarden.io/pool":"vllm","poolwarden.io/consumer":"haproxy","app":"edge"},
      "annotations":{"poolwarden.io/applied-revisions":"11,10,4",
                     "poolwarden.io/applied-at":"2026-01-02T03:04:05.000006Z"}},
    "spec":{"holderIdentity":"edge-1","leaseDurationSeconds":20,"renewTime":"2026-01-02T03:04:15.000000Z"}})"));
  EXPECT_EQ(lease.name, "vllm-edge-1");
  EXPECT_EQ(lease.pool, "vllm");
  EXPECT_EQ(lease.kind, "haproxy");
  EXPECT_EQ(lease.holder, "edge-1");
  EXPECT_EQ(lease.seconds, 20);
  EXPECT_EQ(lease.applied, (std::vector<std::int64_t>{11, 10, 4}));
  EXPECT_EQ(lease.applied_at, parse_rfc3339("2026-01-02T03:04:05.000006Z"));
  EXPECT_FALSE(lease.unreadable);
  EXPECT_FALSE(lease.deleting);
}

TEST(ConsumerLeaseCodec, WhatIsMissingOrWrong_ReadsAsNothing) {
  for (
      const char* text :
      {R"({})", R"({"metadata":{"labels":7,"annotations":[]},"spec":"x"})",
       R"({"metadata":{"annotations":{"poolwarden.io/applied-revisions":11}},"spec":{"leaseDurationSeconds":-1}})"}) {
    const auto lease = from_text<ConsumerLeaseCodec>(text);
    EXPECT_EQ(lease.pool + lease.kind + lease.holder, "") << text;
    EXPECT_EQ(lease.seconds, ConsumerLease::kDefaultSeconds) << text;
    EXPECT_TRUE(lease.applied.empty()) << text;
    EXPECT_FALSE(lease.unreadable) << text;
  }
  const auto huge =
      read_both<ConsumerLeaseCodec>({{"metadata",
                                      {{"labels", {{"poolwarden.io/pool", std::string(5000, 'p')}}},
                                       {"annotations",
                                        {{"poolwarden.io/applied-revisions", std::string(200'000, '1')},
                                         {"poolwarden.io/applied-at", std::string(200'000, '2')}}}}},
                                     {"spec", {{"holderIdentity", std::string(100'000, 'h')}}}});
  EXPECT_LT(huge.pool.size() + huge.holder.size(), 1000U);
  EXPECT_TRUE(huge.applied.empty());
  EXPECT_TRUE(huge.unreadable);
  EXPECT_FALSE(huge.applied_at);
}

TEST(EndpointSliceCodec, ReadsOursWhole) {
  const auto slice = read_both<EndpointSliceCodec>(json::parse(R"({
    "metadata":{"name":"s","namespace":"d","uid":"u","resourceVersion":"4","labels":{
      "kubernetes.io/service-name":"vllm","endpointslice.kubernetes.io/managed-by":"operator.poolwarden.io",
      "endpointslice.kubernetes.io/skip-mirror":"true","poolwarden.io/pool":"vllm","x":"y"},
      "ownerReferences":[{"apiVersion":"v1","kind":"Service","name":"vllm","uid":"o","controller":true}]},
    "addressType":"IPv4","ports":[{"name":"http","port":8000,"protocol":"TCP"},{"port":1}],
    "endpoints":[
      {"addresses":["10.0.0.1"],"conditions":{"ready":false,"serving":true,"terminating":true},
       "nodeName":"n","zone":"z","targetRef":{"kind":"Pod","name":"a","uid":"ua"}},
      {"addresses":["10.0.0.2","10.0.0.3"],"conditions":{}},
      {"addresses":["10.0.0.4"],"hints":{"forZones":[{"name":"z"}]}},
      {"addresses":["10.0.0.5"],"hostname":"h"}]})"));
  EXPECT_EQ(slice.service + "|" + slice.manager + "|" + slice.pool, "vllm|operator.poolwarden.io|vllm");
  EXPECT_EQ(slice.address_type, "IPv4");
  EXPECT_TRUE(slice.skips_mirror);
  EXPECT_EQ(slice.owners.at(0).uid, "o");
  EXPECT_EQ(slice.ports.at(0), (SlicePort{.name = "http", .number = 8000, .protocol = "TCP"}));
  EXPECT_EQ(slice.ports.at(1).protocol, "TCP") << "as the API server has it where it is left out";
  ASSERT_EQ(slice.endpoints.size(), 4U);
  EXPECT_EQ(slice.endpoints[0], (SliceEndpoint{.address = "10.0.0.1",
                                               .pod = "a",
                                               .uid = "ua",
                                               .node = "n",
                                               .zone = "z",
                                               .ready = false,
                                               .serving = true,
                                               .terminating = true}));
  EXPECT_TRUE(slice.endpoints[1].ready && slice.endpoints[1].serving && slice.endpoints[1].has_more)
      << "what is not said is taken for ready";
  EXPECT_TRUE(slice.endpoints[2].has_more && slice.endpoints[3].has_more);
}

TEST(EndpointSliceCodec, KeepsOfOthersOnlyWhoIsReady) {
  const auto slice = read_both<EndpointSliceCodec>(json::parse(R"({"metadata":{"labels":{
      "endpointslice.kubernetes.io/managed-by":"endpointslice-controller.k8s.io"}},"endpoints":[
      {"addresses":["10.0.0.1"],"conditions":{"ready":true},"targetRef":{"kind":"Pod","name":"a","uid":"ua"}},
      {"addresses":["10.0.0.2"],"conditions":{"ready":false},"targetRef":{"kind":"Pod","name":"b","uid":"ub"}}]})"));
  ASSERT_EQ(slice.endpoints.size(), 1U);
  SliceEndpoint kept;
  kept.uid = "ua";
  kept.ready = true;
  EXPECT_EQ(slice.endpoints[0], kept);
}

TEST(EndpointSliceCodec, WhatIsWrongOrTooMuch_IsBounded) {
  for (const char* text : {R"({})", R"({"endpoints":7,"ports":"x","addressType":[]})",
                           R"({"endpoints":[7,{"addresses":[7],"conditions":[],"targetRef":3}]})"})
    EXPECT_LE(from_text<EndpointSliceCodec>(text).endpoints.size(), 1U) << text;
  json many = {{"metadata", {{"labels", {{"poolwarden.io/pool", std::string(100'000, 'p')}}}}},
               {"endpoints", json::array()}};
  for (int i = 0; i < 5000; ++i)
    many["endpoints"].push_back({{"addresses", {"10.0.0.1"}}, {"targetRef", {{"uid", "u"}}}});
  const auto slice = read_both<EndpointSliceCodec>(many);
  EXPECT_EQ(slice.endpoints.size(), EndpointSlice::kMaxEndpoints);
  EXPECT_LT(slice.pool.size(), 1000U);
}

TEST(PoolCodec, ReadsWhoWritesTheSlices) {
  const auto read = [](const std::string& word) {
    const json object = {{"spec", {{"publish", {{"service", {{"endpointSlices", word}}}}}}}};
    return PoolCodec::from_json(object).publish.slices;
  };
  EXPECT_EQ(PoolCodec::from_json(json::object()).publish.slices, SliceMode::kSelector);
  EXPECT_EQ(read("Selector"), SliceMode::kSelector);
  EXPECT_EQ(read("Direct"), SliceMode::kDirect);
  EXPECT_EQ(read("direct"), SliceMode::kMisspelt);
}

TEST(Revisions, OnlyAListOfNumbersIsOne) {
  std::string most = "1";
  for (int i = 1; i < kMaxShards; ++i) most += ",1";
  const std::pair<std::string, std::size_t> rows[] = {{"11", 1},
                                                      {"11,10,4", 3},
                                                      {"0", 1},
                                                      {"007", 1},
                                                      {"999999999999999999", 1},
                                                      {most, 100},
                                                      {"", 0},
                                                      {",", 0},
                                                      {"11,", 0},
                                                      {",11", 0},
                                                      {"1,,2", 0},
                                                      {"-1", 0},
                                                      {"+1", 0},
                                                      {" 1", 0},
                                                      {"1 ", 0},
                                                      {"1.5", 0},
                                                      {"0x1", 0},
                                                      {"1e3", 0},
                                                      {"eleven", 0},
                                                      {"9999999999999999999", 0},
                                                      {most + ",1", 0},
                                                      {std::string("1\0", 2), 0}};
  for (const auto& [text, count] : rows) {
    const auto revisions = parse_revisions(text);
    EXPECT_EQ(revisions.has_value(), count > 0) << text;
    EXPECT_EQ(revisions.value_or(std::vector<std::int64_t>{}).size(), count) << text;
  }
}

TEST(AutoscalerCodec, TextsWithoutEnd_AreCut) {
  const std::string text(100'000, 'x');
  const auto out = read_both<AutoscalerCodec>(
      {{"metadata", {{"name", "a"}}},
       {"spec", {{"scaleTargetRef", {{"apiVersion", text + "/v1"}, {"kind", text}, {"name", text}}}}}});
  for (const std::string& kept : {out.target_group, out.target_kind, out.target_name})
    EXPECT_EQ(kept.size(), 256U);
}

TEST(PoolCodec, MessageWithoutEnd_IsCut) {
  const json condition = {{"type", "Available"}, {"message", std::string(32'000, 'x')}};
  const InferencePool out = PoolCodec::from_json({{"status", {{"conditions", {condition}}}}});
  ASSERT_EQ(out.status.conditions.size(), 1U);
  EXPECT_EQ(out.status.conditions[0].message.size(), 4'096U);
}

json pool() {
  return json::parse(
      R"({"metadata":{"name":"vllm","namespace":"default","uid":"p","resourceVersion":"3","generation":4},
    "spec":{"replicas":2,"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"vllm"},
      "selector":{"matchLabels":{"app":"vllm"}},"targetPorts":[{"number":8000,"name":"http"},{"number":8001}],
      "publish":{"configMap":{"name":"list"},"service":{"name":"svc","create":false}}},
    "status":{"observedGeneration":3,"replicas":5,"readyReplicas":4,"servingReplicas":3,"drainingReplicas":0,
      "syncedReplicas":2,"syncedTarget":"d-uid","selector":"app=vllm","endpointsRevision":17,"endpointsOmitted":1,
      "endpoints":[{"pod":"a","ip":"10.0.0.1","state":"withdrawn","reason":"NotReady","since":"2026-01-02T03:04:05Z"}],
      "conditions":[{"type":"Available","status":"True","reason":"R","message":"M","observedGeneration":3,
        "lastTransitionTime":"2026-01-02T03:04:05Z"}]}})");
}

TEST(PoolCodec, ReadsThePoolWhole) {
  const InferencePool out = PoolCodec::from_json(pool());
  EXPECT_EQ(out.generation, 4);
  EXPECT_FALSE(out.deleting);
  EXPECT_EQ(out.replicas, 2);
  EXPECT_EQ(out.scale_target,
            (ScaleTargetRef{.api_version = "apps/v1", .kind = "Deployment", .name = "vllm"}));
  EXPECT_EQ(out.selector->to_string(), "app=vllm");
  EXPECT_EQ(out.target_ports,
            (std::vector<EndpointPort>{{.number = 8000, .name = "http"}, {.number = 8001, .name = ""}}));
  EXPECT_EQ(out.publish,
            (PublishSpec{.config_map_name = "list", .service_name = "svc", .create_service = false}));
  EXPECT_EQ(out.status.synced_replicas, 2);
  EXPECT_EQ(out.status.synced_target, "d-uid");
  EXPECT_EQ(out.status.endpoints_revision, 17);
  EXPECT_EQ(out.status.endpoints_omitted, 1);
  ASSERT_EQ(out.status.endpoints.size(), 1U);
  EXPECT_EQ(out.status.endpoints[0].since, parse_rfc3339("2026-01-02T03:04:05Z"));
  ASSERT_EQ(out.status.conditions.size(), 1U);
  EXPECT_EQ(out.status.conditions[0].message, "M");
}

InferencePool with_engine(const char* engine) {
  return PoolCodec::from_json({{"spec", {{"engine", json::parse(engine)}}}});
}

TEST(PoolCodec, EngineIsPlainAndWithoutAKeyUnlessSaid) {
  const EngineSpec plain = with_engine("{}").engine;
  EXPECT_EQ(plain.scheme, EngineScheme::kHttp);
  EXPECT_FALSE(plain.tls);
  EXPECT_FALSE(plain.api_key_secret);
  EXPECT_EQ(with_engine(R"({"scheme":"http"})").engine.scheme, EngineScheme::kHttp);
}

TEST(PoolCodec, ReadsHowAnEngineIsReached) {
  const EngineSpec engine = with_engine(R"({"scheme":"https","tls":{"caBundle":"QQ==","serverName":"a.b"},
                      "apiKeySecret":{"name":"keys"}})")
                                .engine;
  EXPECT_EQ(engine.scheme, EngineScheme::kHttps);
  ASSERT_TRUE(engine.tls);
  EXPECT_EQ(*engine.tls, (EngineTls{"QQ==", "a.b", false}));
  EXPECT_EQ(engine.api_key_secret, (SecretKeyRef{"keys", "api-key"}));
  EXPECT_TRUE(with_engine(R"({"tls":{"insecureSkipVerify":true}})").engine.tls->insecure_skip_verify);
  EXPECT_EQ(with_engine(R"({"apiKeySecret":{"name":"a","key":"b"}})").engine.api_key_secret,
            (SecretKeyRef{"a", "b"}));
}

TEST(PoolCodec, SchemeThatIsNeither_IsNotAskedInClear) {
  EXPECT_EQ(with_engine(R"({"scheme":"HTTPS"})").engine.scheme, EngineScheme::kHttps);
}

TEST(PoolCodec, BundleWithoutEnd_IsCutAndTooLong) {
  const json engine = {{"tls", {{"caBundle", std::string(1u << 20, 'A')}}}};
  EXPECT_EQ(with_engine(engine.dump().c_str()).engine.tls->ca_bundle.size(), EngineTls::kMaxCaBundle + 1);
}

TEST(SecretCodec, ReadsItsDataAndCutsWhatIsLong) {
  Secret secret = SecretCodec::from_json(json::parse(
      R"({"metadata":{"name":"keys","namespace":"ns","uid":"u"},"data":{"api-key":"YWJj","odd":7}})"));
  EXPECT_EQ(secret.name, "keys");
  EXPECT_EQ(secret.data["api-key"], "YWJj");
  EXPECT_EQ(secret.data.count("odd"), 0U);
  secret = SecretCodec::from_json({{"data", {{"k", std::string(1u << 20, 'A')}}}});
  EXPECT_EQ(secret.data["k"].size(), Secret::kMaxValue);
  EXPECT_TRUE(SecretCodec::from_json(json::parse(R"({"metadata":[],"data":"x"})")).data.empty());
}

TEST(PoolCodec, FillsInTheDefaults) {
  const InferencePool out = PoolCodec::from_json(json::parse(
      R"({"metadata":{"name":"vllm"},"spec":{"scaleTargetRef":{"name":"d"},"targetPorts":[{"number":1}]}})"));
  EXPECT_EQ(out.replicas, std::nullopt) << "unset is not nought";
  EXPECT_EQ(out.selector, std::nullopt);
  EXPECT_EQ(out.scale_target, (ScaleTargetRef{.api_version = "apps/v1", .kind = "Deployment", .name = "d"}));
  EXPECT_EQ(
      out.publish,
      (PublishSpec{.config_map_name = "vllm-endpoints", .service_name = "vllm", .create_service = true}));
  EXPECT_EQ(out.status, PoolStatus{});
}

// Each member of each document replaced by values of every type: none may throw, whatever comes.
TEST(Codecs, NoWrongTypeThrows) {
  const json values[] = {
      nullptr, true, -1, 1.5, 18446744073709551615U, "text", json::array({1, "x", nullptr}), json{{"a", 1}}};
  const auto read_all = [](const json& object) {
    NodeCodec::from_json(object);
    DeploymentCodec::from_json(object);
    ServiceCodec::from_json(object);
    ConfigMapCodec::from_json(object);
    PoolCodec::from_json(object);
    ReplicaSetCodec::from_json(object);
    DisruptionBudgetCodec::from_json(object);
    GatePolicyCodec::from_json(object);
    GateBindingCodec::from_json(object);
  };
  for (const json& document : {deployment(), pool()}) {
    const json flat = document.flatten();
    for (const auto& [path, unused] : flat.items()) {
      for (const json& value : values) {
        // The leaf and each of its parents in turn.
        for (json::json_pointer at{path}; !at.empty(); at = at.parent_pointer()) {
          json changed = document;
          changed[at] = value;
          EXPECT_NO_THROW(read_all(changed)) << at.to_string() << " = " << value;
        }
      }
    }
  }
  for (const json& value : values) EXPECT_NO_THROW(read_all(value));
}

TEST(Meta, ConditionsAndOwnersAsTheApiWantsThem) {
  const Condition condition{.type = "Available",
                            .status = "True",
                            .reason = "R",
                            .message = "M",
                            .observed_generation = 2,
                            .last_transition = *parse_rfc3339("2026-01-02T03:04:05Z")};
  EXPECT_EQ(to_json(condition), json::parse(R"({"type":"Available","status":"True","reason":"R","message":"M",
    "observedGeneration":2,"lastTransitionTime":"2026-01-02T03:04:05Z"})"));
  const OwnerReference owner{.api_version = "v1", .kind = "K", .name = "n", .uid = "u", .controller = true};
  EXPECT_EQ(to_json(owner),
            json::parse(R"({"apiVersion":"v1","kind":"K","name":"n","uid":"u","controller":true,
    "blockOwnerDeletion":false})"));
  EXPECT_EQ(read_owners({{"ownerReferences", json::array({to_json(owner)})}}),
            std::vector<OwnerReference>{owner});
}

}  // namespace
}  // namespace poolwarden::api
