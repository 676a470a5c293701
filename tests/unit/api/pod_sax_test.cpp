#include "api/pod_sax.h"

#include "both_encodings.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::api {
namespace {

using nlohmann::json;

// What kube's decoder does: nlohmann's parser on one side, the codec's callbacks on the other.
struct Feed : json::json_sax_t {
  explicit Feed(PodSax& target) : sax(target) {}
  bool null() override { return sax.null(), true; }
  bool boolean(bool value) override { return sax.boolean(value), true; }
  bool number_integer(number_integer_t value) override { return sax.integer(value), true; }
  bool number_unsigned(number_unsigned_t value) override {
    return sax.integer(static_cast<std::int64_t>(value)), true;
  }
  bool number_float(number_float_t, const string_t&) override { return sax.null(), true; }
  bool string(string_t& value) override { return sax.string(value), true; }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return sax.start_object(), true; }
  bool key(string_t& name) override { return sax.key(name), true; }
  bool end_object() override { return sax.end_object(), true; }
  bool start_array(std::size_t) override { return sax.start_array(), true; }
  bool end_array() override { return sax.end_array(), true; }
  bool parse_error(std::size_t, const std::string&, const json::exception&) override { return false; }
  PodSax& sax;
};

void feed(PodSax& sax, const std::string& text) {
  Feed handler{sax};
  json::sax_parse(text, &handler);
}

// For what protobuf has no form of: values of the wrong type.
Pod read_json(const std::string& text) {
  PodSax sax;
  feed(sax, text);
  return sax.take();
}

Pod read(const json& object) {
  return read_both<PodCodec>(object);
}

Pod read(const std::string& text) {
  return read(json::parse(text));
}

// As the API server of a kind cluster gives it, with all that is of no interest around the rest.
json realistic() {
  return json::parse(R"({
    "kind": "Pod", "apiVersion": "v1",
    "metadata": {
      "name": "vllm-7d9c6b5f4-abcde", "generateName": "vllm-7d9c6b5f4-", "namespace": "default",
      "uid": "0d6ad5f0-0f5b-4b4f-9f0e-1c2d3e4f5a6b", "resourceVersion": "123456",
      "creationTimestamp": "2026-01-02T03:04:05Z",
      "labels": {"app": "vllm", "pod-template-hash": "7d9c6b5f4", "poolwarden.io/serving": "true"},
      "annotations": {"labels": "no", "name": "no", "note": "{\"status\":{\"phase\":\"Failed\"}}"},
      "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "vllm-7d9c6b5f4",
        "uid": "owner-uid", "controller": true, "blockOwnerDeletion": true}],
      "managedFields": [{"manager": "kubelet", "operation": "Update", "fieldsV1":
        {"f:metadata": {"f:labels": {".": {}, "f:app": {}}}, "name": "trap", "uid": ["trap"]}}]
    },
    "spec": {
      "volumes": [{"name": "model", "emptyDir": {}}],
      "initContainers": [{"name": "fetch", "image": "fetch:1", "status": "trap"}],
      "containers": [
        {"name": "vllm", "image": "vllm:1", "ports": [{"containerPort": 8000}],
         "readinessProbe": {"httpGet": {"path": "/health", "port": 8000}, "periodSeconds": 1},
         "env": [{"name": "nodeName", "value": "trap"}]},
        {"name": "metrics", "image": "metrics:1"}],
      "nodeName": "kind-worker", "restartPolicy": "Always", "terminationGracePeriodSeconds": 60,
      "nodeSelector": {"nodeName": "trap"}, "readinessGates": [{"conditionType": "example.com/lb"}]
    },
    "status": {
      "phase": "Running", "hostIP": "172.18.0.2", "hostIPs": [{"ip": "172.18.0.2"}],
      "podIP": "10.244.1.7", "podIPs": [{"ip": "10.244.1.7"}, {"ip": "fd00:10:244:1::7"}],
      "startTime": "2026-01-02T03:04:05Z",
      "conditions": [
        {"type": "Initialized", "status": "True", "lastProbeTime": null, "lastTransitionTime": "2026-01-02T03:04:06Z"},
        {"type": "Ready", "status": "True", "lastProbeTime": null, "lastTransitionTime": "2026-01-02T03:05:00Z"},
        {"type": "ContainersReady", "status": "True", "lastTransitionTime": "2026-01-02T03:05:00Z"},
        {"type": "example.com/lb", "status": "True"}],
      "containerStatuses": [{"name": "vllm", "ready": true, "state": {"running": {"startedAt": "2026-01-02T03:04:07Z"}},
        "phase": "trap", "reason": "trap"}]
    }})");
}

TEST(PodSax, AReadyPodIsReadWhole) {
  const Pod pod = read(realistic());
  EXPECT_EQ(pod.name, "vllm-7d9c6b5f4-abcde");
  EXPECT_EQ(pod.ns, "default");
  EXPECT_EQ(pod.uid, "0d6ad5f0-0f5b-4b4f-9f0e-1c2d3e4f5a6b");
  EXPECT_EQ(pod.resource_version, "123456");
  EXPECT_EQ(pod.labels->to_map(), (LabelMap{{"app", "vllm"}, {"pod-template-hash", "7d9c6b5f4"}}));
  EXPECT_EQ(pod.serving, "true");
  EXPECT_EQ(*pod.node, "kind-worker");
  EXPECT_EQ(pod.ip, "10.244.1.7");
  EXPECT_EQ(pod.phase, PodPhase::kRunning);
  EXPECT_EQ(pod.ready, Tristate::kTrue);
  EXPECT_EQ(pod.ready_reason, std::nullopt);
  EXPECT_EQ(pod.containers_ready, Tristate::kTrue);
  EXPECT_EQ(pod.disruption_target, std::nullopt);
  EXPECT_EQ(pod.unmet_gate, std::nullopt);
  EXPECT_EQ(pod.status_reason, std::nullopt);
  EXPECT_EQ(pod.deletion_timestamp, std::nullopt);
  EXPECT_TRUE(pod.has_readiness_probe);
  EXPECT_EQ(*pod.controller, "owner-uid");
  EXPECT_EQ(pod.created, parse_rfc3339("2026-01-02T03:04:05Z"));
  EXPECT_EQ(pod.annotations, nullptr);
}

TEST(PodSax, OnlyTheOwnerThatControlsItCounts) {
  json object = realistic();
  object["metadata"]["ownerReferences"] = json::parse(
      R"([{"uid":"a"},{"uid":"b","controller":false},{"controller":true,"uid":"c","name":"n"},{"uid":"d"}])");
  EXPECT_EQ(*read(object).controller, "c");
  object["metadata"]["ownerReferences"] =
      json::parse(R"([{"uid":"a"},7,"x",{"controller":"true","uid":"b"}])");
  EXPECT_EQ(*read_json(object.dump()).controller, "");
  object["metadata"].erase("ownerReferences");
  EXPECT_EQ(*read(object).controller, "");
}

TEST(PodSax, MarksOfADrain) {
  json object = realistic();
  object["metadata"]["annotations"] = {{"poolwarden.io/drain-started", "2026-01-02T03:04:05Z"},
                                       {"poolwarden.io/drain-reason", "Rollout"},
                                       {"poolwarden.io/drain", "requested"},
                                       {"poolwarden.io/saved-deletion-cost", ""},
                                       {"controller.kubernetes.io/pod-deletion-cost", "5"},
                                       {"other", "x"}};
  const Pod pod = read(object);
  EXPECT_EQ(pod.drain_annotations().started, "2026-01-02T03:04:05Z");
  EXPECT_EQ(pod.drain_annotations().reason, "Rollout");
  EXPECT_EQ(pod.drain_annotations().request, "requested");
  EXPECT_EQ(pod.drain_annotations().saved_cost, "");
  EXPECT_EQ(pod.drain_annotations().deletion_cost, "5");
}

struct PortsRow {
  json annotations;
  std::vector<std::int32_t> ports;
};

TEST(PodSax, PortsThatItServesOn) {
  const std::string ours = "poolwarden.io/active-ports";
  const std::string llmd = "llm-d.ai/active-ports";
  for (const PortsRow& row : {PortsRow{{{ours, "8001,8000"}}, {8000, 8001}},
                              {{{llmd, "8000"}}, {8000}},
                              {{{llmd, "8000"}, {ours, "8001"}}, {8001}},
                              {{{ours, " 8001 , 8001,,x,0,65536,-1,8000x,+8 "}}, {8001}},
                              {{{ours, ""}}, {}},
                              {{{ours, "none"}}, {}},
                              {{{ours, std::string(300'000, '1')}}, {}},
                              {{{"other", "8000"}}, {}}}) {
    json object = realistic();
    object["metadata"]["annotations"] = row.annotations;
    EXPECT_EQ(active_ports_of(read(object)), row.ports) << row.annotations.dump().substr(0, 100);
  }
}

TEST(PodSax, SizeOfItsGroup) {
  for (const auto& [text, size] :
       {std::pair{"4", 4}, {"0", 0}, {"-2", 0}, {"4x", 0}, {"", 0}, {"99999999999", 0}}) {
    json object = realistic();
    object["metadata"]["annotations"] = {{"leaderworkerset.sigs.k8s.io/size", text}};
    EXPECT_EQ(read(object).group_size, size) << text;
  }
}

TEST(PodSax, LongTextsAreNotKept) {
  const std::string text(300'000, 'x');
  json object = realistic();
  object["metadata"]["annotations"] = {{"poolwarden.io/drain-reason", text}, {"other", text}};
  object["status"]["reason"] = text;
  object["status"]["conditions"] =
      json::array({{{"type", "Ready"}, {"status", "False"}, {"reason", text}, {"message", text}},
                   {{"type", "DisruptionTarget"}, {"status", "True"}, {"reason", text}}});
  const Pod pod = read(object);
  EXPECT_EQ(pod.drain_annotations().reason, "TooLong");
  EXPECT_EQ(pod.status_reason, "TooLong");
  EXPECT_EQ(pod.ready_reason, "TooLong");
  EXPECT_EQ(pod.disruption_target, "TooLong");
}

TEST(PodSax, LabelsBeyondTheirBound_AreUnknown) {
  json object = realistic();
  json& labels = object["metadata"]["labels"];
  labels = {{"poolwarden.io/serving", "true"}, {"a", std::string(4'000, 'x')}};
  EXPECT_TRUE(read(object).labels->known());
  labels["b"] = std::string(100, 'x');
  const Pod pod = read(object);
  EXPECT_FALSE(pod.labels->known());
  EXPECT_EQ(pod.serving, "true") << "our own is looked for before";
}

TEST(PodSax, ControllerOfALongUid_IsNotKept) {
  json object = realistic();
  object["metadata"]["ownerReferences"] =
      json::array({{{"uid", std::string(300'000, 'x')}, {"controller", true}}});
  EXPECT_EQ(*read(object).controller, "TooLong");
}

TEST(PodSax, ATerminatingPod) {
  json object = realistic();
  object["metadata"]["deletionTimestamp"] = "2026-01-02T04:00:00Z";
  object["metadata"]["deletionGracePeriodSeconds"] = 60;
  const Pod pod = read(object);
  EXPECT_EQ(pod.deletion_timestamp, parse_rfc3339("2026-01-02T04:00:00Z"));
  EXPECT_EQ(pod.deletion_grace_seconds, 60);
  object["metadata"]["deletionTimestamp"] = "some day";
  EXPECT_NE(read_json(object.dump()).deletion_timestamp, std::nullopt) << "unreadable, but going";
  object["metadata"]["deletionTimestamp"] = nullptr;
  EXPECT_EQ(read(object).deletion_timestamp, std::nullopt);
}

TEST(PodSax, AnEvictedPod) {
  const Pod pod = read(std::string{R"({"metadata":{"name":"p"},"spec":{"nodeName":"n","containers":[{}]},
    "status":{"phase":"Failed","reason":"Evicted","message":"The node was low on resource: memory",
    "conditions":[{"type":"DisruptionTarget","status":"True","reason":"TerminationByKubelet"},
                  {"type":"Ready","status":"False","reason":"PodFailed"}]}})"});
  EXPECT_EQ(pod.phase, PodPhase::kFailed);
  EXPECT_EQ(pod.status_reason, "Evicted");
  EXPECT_EQ(pod.disruption_target, "TerminationByKubelet");
  EXPECT_EQ(pod.ready, Tristate::kFalse);
  EXPECT_EQ(pod.ready_reason, "PodFailed");
  EXPECT_FALSE(pod.has_readiness_probe);
}

TEST(PodSax, ADisruptionThatIsNotTrueIsNone) {
  const Pod pod = read(std::string{
      R"({"status":{"conditions":[{"type":"DisruptionTarget","status":"False","reason":"x"}]}})"});
  EXPECT_EQ(pod.disruption_target, std::nullopt);
}

TEST(PodSax, TheAddressOfAnOlderServerIsTaken) {
  EXPECT_EQ(read(std::string{R"({"status":{"podIP":"10.0.0.1"}})"}).ip, "10.0.0.1");
  EXPECT_EQ(read(std::string{R"({"status":{"podIP":"","podIPs":[{"ip":""}]}})"}).ip, "");
}

TEST(PodSax, AHostNetworkPodHasItsNodesAddress) {
  json object = realistic();
  object["spec"]["hostNetwork"] = true;
  object["status"]["podIP"] = "172.18.0.2";
  object["status"]["podIPs"] = json::array({{{"ip", "172.18.0.2"}}});
  EXPECT_EQ(read(object).ip, "172.18.0.2");
}

struct GateRow {
  const char* situation;
  std::vector<std::string> gates;
  json conditions;
  const char* unmet;
};

TEST(PodSax, ReadinessGates) {
  const auto is = [](const char* type, const char* status) {
    return json{{"type", type}, {"status", status}};
  };
  const GateRow rows[] = {
      {"no gate", {}, json::array(), ""},
      {"a gate nobody has answered", {"a"}, json::array(), "a"},
      {"a gate that is False", {"a"}, json::array({is("a", "False")}), "a"},
      {"a gate that is Unknown", {"a"}, json::array({is("a", "Unknown")}), "a"},
      {"a gate that is met", {"a"}, json::array({is("a", "True")}), ""},
      {"the first unmet of several", {"a", "b", "c"}, {is("a", "True"), is("c", "False")}, "b"},
  };
  for (const GateRow& row : rows) {
    for (const bool status_first : {false, true}) {
      json gates = json::array();
      for (const auto& gate : row.gates) gates.push_back({{"conditionType", gate}});
      const std::string spec = json{{"readinessGates", gates}}.dump();
      const std::string status = json{{"conditions", row.conditions}}.dump();
      const std::string text = status_first ? R"({"status":)" + status + R"(,"spec":)" + spec + "}"
                                            : R"({"spec":)" + spec + R"(,"status":)" + status + "}";
      EXPECT_EQ(read(text).unmet_gate.value_or(""), row.unmet)
          << row.situation << (status_first ? ", status first" : "");
    }
  }
}

TEST(PodSax, AProbeOfAnyContainerCounts) {
  EXPECT_TRUE(read(std::string{R"({"spec":{"containers":[{},{"readinessProbe":{}}]}})"}).has_readiness_probe);
  EXPECT_TRUE(read(std::string{R"({"spec":{"initContainers":[{"readinessProbe":{"exec":{}}}]}})"})
                  .has_readiness_probe)
      << "a sidecar";
  EXPECT_FALSE(read(std::string{R"({"spec":{"containers":[{"livenessProbe":{"readinessProbe":{}}}]}})"})
                   .has_readiness_probe);
  EXPECT_FALSE(read(std::string{R"({"spec":{"containers":[{"readinessProbe":null}]}})"}).has_readiness_probe);
}

TEST(PodSax, WhatAPodHasWhenItIsToldToStop) {
  const Pod pod = read(std::string{R"({"spec":{"initContainers":[{}],"containers":[{"lifecycle":{
      "postStart":{},"preStop":{"exec":{"command":["sleep","5"]}}},"name":"b"}],"terminationGracePeriodSeconds":90},"status":{"phase":"Running"}})"});
  EXPECT_TRUE(pod.has_pre_stop);
  EXPECT_EQ(pod.termination_grace_seconds, 90);
  EXPECT_EQ(pod.phase, PodPhase::kRunning);
  for (const char* none : {R"({"spec":{"containers":[{}]}})", R"({"spec":{"containers":[{"preStop":{}}]}})",
                           R"({"spec":{"containers":[{"lifecycle":{"postStart":{"preStop":{}}}}]}})",
                           R"({"spec":{"containers":[{"lifecycle":{"preStop":null}}]}})",
                           R"({"spec":{"containers":[{"lifecycle":{"preStop":{}}},{}]}})",
                           R"({"spec":{"initContainers":[{"lifecycle":{"preStop":{}}}],"containers":[{}]}})",
                           R"({"spec":{"containers":[{}],"initContainers":[{"lifecycle":{"preStop":{}}}]}})",
                           R"({"spec":{"lifecycle":{"preStop":{}}}})"}) {
    EXPECT_FALSE(read(std::string{none}).has_pre_stop) << none;
    EXPECT_EQ(read(std::string{none}).termination_grace_seconds, 30) << none;
  }
}

TEST(PodSax, APhaseNobodyKnowsIsUnknown) {
  EXPECT_EQ(read(std::string{R"({"status":{"phase":"Pending"}})"}).phase, PodPhase::kPending);
  EXPECT_EQ(read(std::string{R"({"status":{"phase":"Succeeded"}})"}).phase, PodPhase::kSucceeded);
  EXPECT_EQ(read(std::string{R"({"status":{"phase":"Hibernating"}})"}).phase, PodPhase::kUnknown);
}

struct HostilePodRow {
  const char* situation;
  const char* text;
};

TEST(PodSax, WrongTypesAreSkippedWithEverythingBelow) {
  const HostilePodRow rows[] = {
      {"metadata is text", R"({"metadata":"x","status":{"phase":"Running"}})"},
      {"metadata is an array of objects", R"({"metadata":[{"name":"trap"}],"status":{"phase":"Running"}})"},
      {"name is an object",
       R"({"metadata":{"name":{"name":"trap","uid":"trap"}},"status":{"phase":"Running"}})"},
      {"name is a number", R"({"metadata":{"name":7},"status":{"phase":"Running"}})"},
      {"labels are an array", R"({"metadata":{"labels":["a","b"]},"status":{"phase":"Running"}})"},
      {"a label's value is an object",
       R"({"metadata":{"labels":{"a":{"b":"c"}}},"status":{"phase":"Running"}})"},
      {"a label's value is a number", R"({"metadata":{"labels":{"a":1}},"status":{"phase":"Running"}})"},
      {"spec is null", R"({"spec":null,"status":{"phase":"Running"}})"},
      {"gates hold texts",
       R"({"spec":{"readinessGates":["x",null,[["conditionType"]]]},"status":{"phase":"Running"}})"},
      {"conditions are an object",
       R"({"status":{"conditions":{"type":"Ready","status":"True"},"phase":"Running"}})"},
      {"conditions hold texts",
       R"({"status":{"conditions":["Ready",1,true,null,1.5,[{"type":"Ready"}]],"phase":"Running"}})"},
      {"a condition without a type", R"({"status":{"conditions":[{"status":"True"}],"phase":"Running"}})"},
      {"podIPs hold texts", R"({"status":{"podIPs":["10.0.0.1"],"phase":"Running"}})"},
      {"a grace period that is text",
       R"({"metadata":{"deletionGracePeriodSeconds":"x"},"status":{"phase":"Running"}})"},
      {"nested twins of what we read",
       R"({"x":{"metadata":{"name":"trap"},"y":[[[{"status":{"phase":"Failed"}}]]]},"status":{"phase":"Running"}})"},
  };
  for (const HostilePodRow& row : rows) {
    const Pod pod = read_json(row.text);
    EXPECT_EQ(pod.phase, PodPhase::kRunning) << row.situation;
    EXPECT_EQ(pod.name, "") << row.situation;
    EXPECT_EQ(pod.uid, "") << row.situation;
    EXPECT_TRUE(pod.labels->to_map().empty()) << row.situation;
    EXPECT_EQ(pod.ready, Tristate::kAbsent) << row.situation;
    EXPECT_TRUE(pod.ip.empty()) << row.situation;
    EXPECT_EQ(pod.unmet_gate, std::nullopt) << row.situation;
  }
}

TEST(PodSax, NotAnObjectAtAll) {
  for (const char* text : {"[]", "[{\"metadata\":{\"name\":\"trap\"}}]", "7", "\"x\"", "null", "true"}) {
    const Pod pod = read_json(text);
    EXPECT_EQ(pod.name, "") << text;
    EXPECT_NE(pod.labels, nullptr) << text;
    EXPECT_NE(pod.node, nullptr) << text;
  }
}

TEST(PodSax, HugeManagedFieldsAreSkipped) {
  json object = realistic();
  json deep = json::object();
  for (int i = 0; i < 200; ++i) deep = json{{"f:metadata", std::move(deep)}};
  for (int i = 0; i < 2000; ++i)
    object["metadata"]["managedFields"].push_back({{"name", "trap"}, {"fieldsV1", deep}});
  EXPECT_EQ(read(object).name, "vllm-7d9c6b5f4-abcde");
}

TEST(PodSax, IsReadyForTheNextPod) {
  PodSax sax;
  feed(sax, realistic().dump());
  sax.take();
  feed(sax, R"({"metadata":{"name":"second"}})");
  const Pod pod = sax.take();
  EXPECT_EQ(pod.name, "second");
  EXPECT_TRUE(pod.labels->to_map().empty());
  EXPECT_EQ(pod.serving, std::nullopt);
  EXPECT_TRUE(pod.ip.empty());
  EXPECT_EQ(pod.ready, Tristate::kAbsent);
  EXPECT_FALSE(pod.has_readiness_probe);
  EXPECT_EQ(*pod.node, "");
}

TEST(PodSax, AnyTruncationLeavesItUsable) {
  const std::string whole = realistic().dump();
  PodSax sax;
  for (std::size_t length = 0; length < whole.size(); ++length) {
    feed(sax, whole.substr(0, length));
    sax.take();
    feed(sax, R"({"metadata":{"name":"next","labels":{"a":"b"}},"status":{"phase":"Running"}})");
    const Pod pod = sax.take();
    ASSERT_EQ(pod.name, "next") << length;
    ASSERT_EQ(pod.labels->to_map(), (LabelMap{{"a", "b"}})) << length;
    ASSERT_EQ(pod.phase, PodPhase::kRunning) << length;
    ASSERT_TRUE(pod.ip.empty()) << length;
  }
}

TEST(PodSax, MoreEndsThanStartsAreHarmless) {
  PodSax sax;
  sax.end_object();
  sax.end_array();
  feed(sax, R"({"metadata":{"name":"p"}})");
  EXPECT_EQ(sax.take().name, "p");
}

}  // namespace
}  // namespace poolwarden::api
