// Random objects, and broken ones: protobuf says what JSON says, and no bytes do harm.
#include "api/names.h"
#include "both_encodings.h"

#include <array>
#include <fstream>
#include <iterator>
#include <limits>
#include <protozero/pbf_writer.hpp>
#include <random>

#include <gtest/gtest.h>

namespace poolwarden::api {
namespace {

using nlohmann::json;

// What an API server could hold: every field there or not, in every value that makes a difference.
class Some {
 public:
  explicit Some(unsigned seed) : random_(seed) {}

  bool yes(int in_hundred = 50) { return below(100) < in_hundred; }
  int below(int limit) { return std::uniform_int_distribution<int>(0, limit - 1)(random_); }
  template <std::size_t N>
  std::string of(const std::array<const char*, N>& words) {
    return words.at(static_cast<std::size_t>(below(N)));
  }
  std::string text() {
    return of(std::array{"", "a", "vllm-5d9c7b6f4d-x7k2p", "example.com/lb", "\"quoted\\\"", "tab\there",
                         "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80",
                         "a-text-that-is-longer-than-any-short-string"}) +
           std::to_string(below(5));
  }
  std::string time() {
    return of(std::array{"2026-01-02T03:04:05Z", "1970-01-01T00:00:01Z", "1969-12-31T23:59:59Z",
                         "2261-12-31T23:59:58Z", "2026-11-30T00:00:00+05:30"});
  }
  json map(std::vector<std::string> more = {}) {
    json out = json::object();
    for (int i = below(4); i > 0; --i) out[text()] = text();
    for (const std::string& key : more) {
      if (yes()) out[key] = yes() ? text() : std::to_string(below(9));
    }
    return out;
  }
  void maybe(json& object, const char* key, const json& value, int in_hundred = 60) {
    if (yes(in_hundred)) object[key] = value;
  }
  template <class Make>
  json several(Make make) {
    json out = json::array();
    for (int i = below(4); i > 0; --i) out.push_back(make());
    return out;
  }

  json metadata(const std::vector<std::string>& labels, const std::vector<std::string>& annotations) {
    json out = {{"name", text()}, {"namespace", text()}, {"uid", text()}, {"resourceVersion", text()}};
    for (const char* key : {"generateName", "selfLink"}) maybe(out, key, text(), 20);
    maybe(out, "creationTimestamp", time());
    maybe(out, "deletionTimestamp", time(), 30);
    maybe(out, "deletionGracePeriodSeconds", below(100), 30);
    maybe(out, "labels", map(labels));
    maybe(out, "annotations", map(annotations));
    maybe(out, "finalizers", json::array({text(), text()}), 20);
    maybe(out, "ownerReferences", several([&] {
            json owner = {{"apiVersion", text()}, {"kind", text()}, {"name", text()}, {"uid", text()}};
            maybe(owner, "controller", yes());
            maybe(owner, "blockOwnerDeletion", yes());
            return owner;
          }));
    maybe(out, "managedFields", several([&] {
            return json{{"manager", text()}, {"time", time()}, {"fieldsV1", {{"f:metadata", map()}}}};
          }));
    return out;
  }
  json condition(const std::string& type) {
    json out = {{"type", type}, {"status", of(std::array{"True", "False", "Unknown", "Odd"})}};
    maybe(out, "reason", text());
    maybe(out, "message", text());
    maybe(out, "lastProbeTime", nullptr, 30);
    maybe(out, "lastTransitionTime", time());
    return out;
  }
  json container() {
    json out = {{"name", text()}, {"image", text()}};
    maybe(out, "args", json::array({text(), text()}));
    maybe(out, "readinessProbe", json{{"periodSeconds", below(9)}}, 40);
    maybe(out, "livenessProbe", json{{"httpGet", {{"port", 80}}}}, 40);
    json lifecycle = json::object();
    maybe(lifecycle, "postStart", hook(), 30);
    maybe(lifecycle, "preStop", hook());
    maybe(out, "lifecycle", lifecycle);
    return out;
  }
  json hook() {
    switch (below(4)) {
      case 0:
        return {{"sleep", {{"seconds", below(60)}}}};
      case 1:
        return {{"exec", {{"command", {"/bin/sh", "-c", "sleep " + text()}}}}};
      case 2:
        return {{"exec", {{"command", {"sleep", std::to_string(below(99))}}}}};
      default:
        return {{"httpGet", {{"path", text()}, {"port", "web"}}}};
    }
  }
  json pod_spec() {
    json out = {{"containers", several([&] { return container(); })}};
    maybe(out, "initContainers", several([&] { return container(); }));
    maybe(out, "nodeName", text());
    maybe(out, "terminationGracePeriodSeconds", below(1000));
    maybe(out, "restartPolicy", text());
    maybe(out, "readinessGates", several([&] { return json{{"conditionType", text()}}; }));
    return out;
  }
  json pod() {
    json status = json::object();
    maybe(status, "phase", of(std::array{"Pending", "Running", "Succeeded", "Failed", "Other"}), 90);
    maybe(status, "reason", text(), 30);
    maybe(status, "message", text(), 30);
    maybe(status, "hostIP", text());
    maybe(status, "podIP", "10.0.0." + std::to_string(below(9)));
    maybe(status, "podIPs", several([&] {
            return json{{"ip", yes(90) ? "fd00::" + std::to_string(below(9)) : ""}};
          }));
    maybe(status, "conditions", several([&] {
            return condition(
                of(std::array{"Ready", "ContainersReady", "DisruptionTarget", "a0", "example.com/lb1"}));
          }),
          90);
    json out = {
        {"apiVersion", "v1"},
        {"kind", "Pod"},
        {"metadata", metadata({std::string(kServingLabel)},
                              {std::string(kDrainStartedAnnotation), std::string(kDrainReasonAnnotation),
                               std::string(kDrainRequestAnnotation), std::string(kSavedCostAnnotation),
                               std::string(kDeletionCostAnnotation)})}};
    maybe(out, "spec", pod_spec(), 95);
    maybe(out, "status", status, 95);
    return out;
  }
  json selector() {
    json out = json::object();
    maybe(out, "matchLabels", map());
    maybe(out, "matchExpressions", several([&] {
            return json{{"key", text()}, {"operator", text()}, {"values", json::array({text(), text()})}};
          }));
    return out;
  }
  json int_or_string() { return yes() ? json(below(100)) : json(std::to_string(below(100)) + "%"); }
  json counts() {
    json out = json::object();
    for (const char* key : {"replicas", "updatedReplicas", "readyReplicas", "availableReplicas"})
      maybe(out, key, below(9));
    return out;
  }
  json node() {
    json spec = json::object();
    maybe(spec, "unschedulable", yes());
    maybe(spec, "taints", several([&] {
            return json{{"key", text()}, {"value", text()}, {"effect", text()}};
          }));
    return {
        {"metadata", metadata({std::string(kZoneLabel)}, {})},
        {"spec", spec},
        {"status", {{"conditions", several([&] { return condition(yes() ? "Ready" : "DiskPressure"); })}}}};
  }
  json deployment() {
    json spec = {{"template", {{"metadata", metadata({}, {})}, {"spec", pod_spec()}}}};
    maybe(spec, "replicas", below(9));
    maybe(spec, "paused", yes());
    maybe(spec, "selector", selector());
    return {{"metadata", metadata({}, {})}, {"spec", spec}, {"status", counts()}};
  }
  json stateful_set() {
    json rolling = json::object();
    maybe(rolling, "partition", below(9));
    maybe(rolling, "maxUnavailable", int_or_string());
    json strategy = {{"type", yes() ? "OnDelete" : "RollingUpdate"}};
    maybe(strategy, "rollingUpdate", rolling);
    json spec = {{"template", {{"metadata", metadata({}, {})}, {"spec", pod_spec()}}}};
    maybe(spec, "replicas", below(9));
    maybe(spec, "selector", selector());
    maybe(spec, "podManagementPolicy", yes() ? "Parallel" : "OrderedReady");
    maybe(spec, "updateStrategy", strategy);
    maybe(spec, "minReadySeconds", below(9));
    maybe(spec, "ordinals", {{"start", below(9)}});
    json status = counts();
    maybe(status, "availableReplicas", below(9));
    maybe(status, "updateRevision", text());
    return {{"metadata", metadata({}, {})}, {"spec", spec}, {"status", status}};
  }
  json replica_set() {
    return {{"metadata", metadata({}, {std::string(kDeploymentRevisionAnnotation),
                                       std::string(kDesiredReplicasAnnotation)})},
            {"spec", counts()},
            {"status", counts()}};
  }
  json budget() {
    json spec = json::object();
    maybe(spec, "selector", selector());
    maybe(spec, "minAvailable", int_or_string());
    maybe(spec, "maxUnavailable", int_or_string());
    maybe(spec, "unhealthyPodEvictionPolicy", text());
    return {{"metadata", metadata({}, {})}, {"spec", spec}};
  }
  json autoscaler() {
    json target = {{"kind", text()}, {"name", text()}};
    maybe(target, "apiVersion", yes() ? "apps/v1" : "v1");
    return {{"metadata", metadata({}, {})},
            {"spec", {{"scaleTargetRef", target}, {"maxReplicas", below(9)}}}};
  }
  json lease() {
    json meta = metadata({"poolwarden.io/pool", "poolwarden.io/consumer"},
                         {"poolwarden.io/applied-revisions", "poolwarden.io/applied-at"});
    if (yes()) {
      meta["annotations"] = {{"poolwarden.io/applied-revisions", "11,10"},
                             {"poolwarden.io/applied-at", "2026-01-02T03:04:05.000006Z"}};
    }
    return {{"metadata", meta}, {"spec", {{"holderIdentity", text()}, {"leaseDurationSeconds", below(200)}}}};
  }
  json service() {
    json spec = {{"selector", map()}, {"ports", several([&] {
                                         json port = {{"port", below(65536)}};
                                         maybe(port, "name", text());
                                         maybe(port, "protocol", yes() ? "UDP" : "");
                                         maybe(port, "targetPort", yes() ? json(below(65536)) : json(text()));
                                         return port;
                                       })}};
    return {{"metadata", metadata({}, {})}, {"spec", spec}};
  }
  json endpoint_slice() {
    json out = {{"metadata", metadata({"kubernetes.io/service-name", "poolwarden.io/pool",
                                       "endpointslice.kubernetes.io/managed-by"},
                                      {})}};
    if (yes())
      out["metadata"]["labels"] = {{"endpointslice.kubernetes.io/managed-by", "operator.poolwarden.io"}};
    maybe(out, "addressType", yes() ? "IPv4" : "IPv6");
    maybe(out, "ports", several([&] {
            json port = {{"port", below(65536)}};
            maybe(port, "name", text());
            return port;
          }));
    maybe(out, "endpoints", several([&] {
            json conditions = json::object();
            for (const char* key : {"ready", "serving", "terminating"}) maybe(conditions, key, yes());
            json endpoint = {{"addresses", json::array({text()})}, {"conditions", conditions}};
            maybe(endpoint, "nodeName", text());
            maybe(endpoint, "zone", text());
            maybe(endpoint, "targetRef", json{{"kind", "Pod"}, {"name", text()}, {"uid", text()}});
            return endpoint;
          }));
    return out;
  }
  json config_map() {
    json data = map({std::string(kEndpointsJsonKey), std::string(kEndpointsTextKey)});
    return {
        {"metadata", metadata({}, {std::string(kRevisionAnnotation), std::string(kPodsVersionAnnotation)})},
        {"data", data}};
  }

 private:
  std::mt19937 random_;
};

TEST(ProtobufProperty, AThousandPodsReadAsFromJson) {
  for (unsigned seed = 1; seed <= 1000 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    read_both<PodCodec>(Some(seed).pod());
  }
}

TEST(ProtobufProperty, OtherKindsReadAsFromJson) {
  for (unsigned seed = 1; seed <= 200 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    read_both<NodeCodec>(Some(seed).node());
    read_both<DeploymentCodec>(Some(seed).deployment());
    read_both<StatefulSetCodec>(Some(seed).stateful_set());
    read_both<ReplicaSetCodec>(Some(seed).replica_set());
    read_both<DisruptionBudgetCodec>(Some(seed).budget());
    read_both<AutoscalerCodec>(Some(seed).autoscaler());
    read_both<ConsumerLeaseCodec>(Some(seed).lease());
    read_both<ServiceCodec>(Some(seed).service());
    read_both<EndpointSliceCodec>(Some(seed).endpoint_slice());
    read_both<ConfigMapCodec>(Some(seed).config_map());
  }
}

// What Kubernetes' own serializer makes of a list (k8s.io/apimachinery, pkg/runtime/serializer/protobuf).
template <class Codec>
kube::ListPage<typename Codec::Object> read_as_written_by_go() {
  const auto content = [](const std::string& suffix) {
    std::ifstream in(std::string(POOLWARDEN_WIRE) + "/" + kKind<Codec> + suffix, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const auto from_json = kube::decode_list<Codec>(content(".json"));
  auto from_protobuf = kube::decode_list<Codec>(content(".pb"), kube::Encoding::kProtobuf);
  EXPECT_TRUE(from_json && from_protobuf);
  if (!from_json || !from_protobuf) return {};
  EXPECT_EQ(from_json->items.size(), from_protobuf->items.size());
  EXPECT_EQ(from_protobuf->resource_version, "777");
  for (std::size_t i = 0; i < from_json->items.size(); ++i) {
    if constexpr (std::is_same_v<Codec, PodCodec>) {
      EXPECT_EQ(describe(from_protobuf->items[i]), describe(from_json->items[i]));
    } else {
      EXPECT_TRUE(from_protobuf->items[i] == from_json->items[i]) << kKind<Codec>;
    }
  }
  return std::move(*from_protobuf);
}

TEST(ProtobufOfGo, EachKindReadsAsFromJson) {
  const auto pods = read_as_written_by_go<PodCodec>();
  ASSERT_EQ(pods.items.size(), 3U);
  EXPECT_EQ(pods.items[0].ready, Tristate::kTrue);
  EXPECT_EQ(pods.items[1].disruption_target, "TerminationByKubelet");
  EXPECT_EQ(read_as_written_by_go<NodeCodec>().items.size(), 1U);
  EXPECT_EQ(read_as_written_by_go<ConfigMapCodec>().items.at(0).revision, "12");
  EXPECT_EQ(read_as_written_by_go<ServiceCodec>().items.at(0).ports.at(1).target, "web");
  EXPECT_EQ(read_as_written_by_go<DeploymentCodec>().items.at(0).pre_stop_sleep_seconds, 30);
  EXPECT_EQ(read_as_written_by_go<ReplicaSetCodec>().items.at(0).desired, 3);
  EXPECT_EQ(read_as_written_by_go<DisruptionBudgetCodec>().items.at(0).max_unavailable, "25%");
  EXPECT_EQ(read_as_written_by_go<AutoscalerCodec>().items.at(0).target_group, "poolwarden.io");
}

// Any bytes: an object or nothing, and never one that JSON could not hold.
TEST(ProtobufProperty, BrokenBytesDoNoHarm) {
  std::mt19937 random(7);
  const auto read_all = [](const std::string& bytes) {
    if (const auto pod = PodCodec::from_protobuf(bytes)) {
      ASSERT_NE(pod->labels, nullptr);
      ASSERT_NO_THROW((void)json(describe(*pod)).dump());
    }
    (void)NodeCodec::from_protobuf(bytes);
    (void)DeploymentCodec::from_protobuf(bytes);
    (void)StatefulSetCodec::from_protobuf(bytes);
    (void)ReplicaSetCodec::from_protobuf(bytes);
    (void)DisruptionBudgetCodec::from_protobuf(bytes);
    (void)AutoscalerCodec::from_protobuf(bytes);
    (void)ConsumerLeaseCodec::from_protobuf(bytes);
    (void)ServiceCodec::from_protobuf(bytes);
    (void)ConfigMapCodec::from_protobuf(bytes);
  };
  for (unsigned seed = 1; seed <= 20; ++seed) {
    const std::string whole = protobuf_wire::message("Pod", Some(seed).pod());
    for (std::size_t length = 0; length < whole.size(); length += 3) read_all(whole.substr(0, length));
    for (int i = 0; i < 200; ++i) {
      std::string broken = whole;
      broken.at(random() % broken.size()) = static_cast<char>(random());
      read_all(broken);
    }
  }
}

TEST(ProtobufProperty, WhatIsNoUtf8IsMended) {
  json object = {{"metadata", {{"name", "p"}, {"labels", {{"a", "XX"}}}}}};
  std::string message = protobuf_wire::message("Pod", object);
  message.replace(message.find("XX"), 2, "\xC3\x28");
  const auto pod = PodCodec::from_protobuf(message);
  ASSERT_TRUE(pod);
  EXPECT_EQ(pod->labels->find("a"), "\xEF\xBF\xBD(");
}

TEST(ProtobufProperty, AFieldOfTheWrongWireTypeIsNone) {
  std::string message;
  protozero::pbf_writer pod{message};
  {
    protozero::pbf_writer metadata{pod, 1};
    metadata.add_int64(1, 5);          // the name
    metadata.add_fixed64(5, 5);        // the uid
    metadata.add_string(10, "grace");  // deletionGracePeriodSeconds
    metadata.add_string(6, "7");       // and one that is right
  }
  pod.add_fixed32(2, 1);  // the spec
  pod.add_int64(3, 1);    // the status
  const auto read = PodCodec::from_protobuf(message);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->name, "");
  EXPECT_EQ(read->uid, "");
  EXPECT_EQ(read->deletion_grace_seconds, 0);
  EXPECT_EQ(read->resource_version, "7");
}

TEST(ProtobufProperty, TimesNoClockCanHold) {
  const auto pod_with = [](std::int64_t deletion) {
    std::string message;
    protozero::pbf_writer pod{message};
    {
      protozero::pbf_writer metadata{pod, 1};
      protozero::pbf_writer time{metadata, 9};
      time.add_int64(1, deletion);
    }
    return message;
  };
  for (const std::int64_t deletion :
       {std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min(),
        std::int64_t{9'300'000'000}}) {
    const auto pod = PodCodec::from_protobuf(pod_with(deletion));
    ASSERT_TRUE(pod);
    EXPECT_EQ(pod->deletion_timestamp, Timestamp{}) << "unreadable, but going";
  }
}

}  // namespace
}  // namespace poolwarden::api
