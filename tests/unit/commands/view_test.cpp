#include "examples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::commands {
namespace {

using nlohmann::json;
using testing::IsEmpty;

TEST(PodView, WhatIsNoPod_IsNotFit) {
  for (const json& other :
       {json::object(), json("text"), json({{"metadata", 7}, {"status", {{"conditions", 1}}}})}) {
    const PodView pod = read_pod(other);
    EXPECT_EQ(pod.judged.ready, api::Tristate::kAbsent) << other;
    EXPECT_NE(pod.judged.node, nullptr) << other;
  }
}

TEST(PoolView, ReadsWhatADrainShows) {
  const json object = {{"metadata", {{"namespace", "ml"}, {"name", "vllm"}, {"uid", "u"}, {"generation", 3}}},
                       {"spec",
                        {{"replicas", 4},
                         {"scaleTargetRef", {{"name", "vllm"}}},
                         {"selector", {{"matchLabels", {{"app", "vllm"}}}}},
                         {"drain", {{"timeoutSeconds", 60}}}}},
                       {"status",
                        {{"observedGeneration", 3},
                         {"replicas", 4},
                         {"servingReplicas", 3},
                         {"drainingReplicas", 1},
                         {"endpoints",
                          {{{"pod", "a"},
                            {"ip", "10.0.0.1"},
                            {"state", "draining"},
                            {"reason", "ScaleDown"},
                            {"since", "2026-11-22T11:59:48Z"},
                            {"inFlight", 3},
                            {"deadline", "2026-11-22T12:04:48Z"},
                            {"message", "m"}}}}}}};
  const PoolView pool = PoolViewCodec::from_json(object);
  EXPECT_EQ(pool.wanted, 4);
  EXPECT_EQ(pool.target->kind, "Deployment");
  EXPECT_EQ(pool.config_map, "vllm-endpoints");
  EXPECT_EQ(pool.drain_timeout_seconds, 60);
  ASSERT_EQ(pool.endpoints.size(), 1U);
  EXPECT_EQ(pool.endpoints[0].in_flight, 3);
  EXPECT_EQ(pool.endpoints[0].since, ago(12));
  EXPECT_EQ(pool.endpoints[0].deadline, ahead(288));
}

TEST(PoolView, TheListSaysWhoIsReady) {
  PoolView pool;
  pool.endpoints = {draining("b"), endpoint("c", "withdrawn"), endpoint("d", "ready")};
  pool.endpoints[2].message = "waits";
  const auto listed = [](const char* pod, api::EndpointState state) {
    api::Endpoint out;
    out.pod = out.uid = pod;
    out.node = "n";
    out.state = state;
    return out;
  };
  using enum api::EndpointState;
  api::EndpointSet list;
  list.endpoints = {listed("a", kReady), listed("b", kDraining), listed("c", kReady), listed("d", kReady),
                    listed("e", kDraining)};
  add_listed(pool, list);
  std::vector<std::string> told;
  for (const EndpointView& each : pool.endpoints)
    told.push_back(each.pod + " " + each.state + " " + each.node);
  EXPECT_THAT(told,
              testing::ElementsAre("a ready n", "b draining n", "c ready n", "d ready n", "e draining n"));
  EXPECT_EQ(pool.endpoint("b")->in_flight, 3) << "status knows more of it";
  EXPECT_FALSE(pool.endpoint("c")->since) << "status has not followed";
  EXPECT_EQ(pool.endpoint("d")->message, "waits");
}

TEST(PoolView, LongTextsAreShortened) {
  json object;
  object["status"]["endpoints"] = {{{"pod", "a"}, {"message", std::string(20'000, 'x')}}};
  object["status"]["conditions"] = {{{"type", "Available"}, {"message", std::string(20'000, 'x')}}};
  const PoolView pool = PoolViewCodec::from_json(object);
  EXPECT_EQ(pool.endpoints.at(0).message, std::string(2048, 'x') + " ...");
  EXPECT_EQ(pool.conditions.at(0).message, std::string(2048, 'x') + " ...");
}

// The schema keeps such a status out; an older definition or another server may not.
TEST(PoolView, GarbageReadsAsNothing) {
  const json object = {
      {"metadata", {{"name", 7}, {"generation", "x"}}},
      {"spec", "none"},
      {"status",
       {{"replicas", -3},
        {"servingReplicas", "many"},
        {"endpoints", {1, nullptr, {{"pod", "\x1b[2Ja"}, {"inFlight", -1}, {"since", "today"}}}},
        {"conditions", {{"type", "Available"}}}}}};
  const PoolView pool = PoolViewCodec::from_json(object);
  EXPECT_EQ(pool.name, "");
  EXPECT_EQ(pool.replicas, 0);
  EXPECT_EQ(pool.serving, 0);
  ASSERT_EQ(pool.endpoints.size(), 3U);
  EXPECT_EQ(pool.endpoints[2].pod, "\x1b[2Ja") << "what shows it makes it printable";
  EXPECT_FALSE(pool.endpoints[2].in_flight);
  EXPECT_FALSE(pool.endpoints[2].since);
  EXPECT_THAT(pool.conditions, IsEmpty());
  for (const json& other : {json("text"), json(nullptr), json::array({1}), json::object()})
    EXPECT_EQ(PoolViewCodec::from_json(other).config_map, "-endpoints");
}

TEST(PodView, ReadsContainersGatesAndOwners) {
  const PodView pod = read_pod(
      {{"metadata",
        {{"name", "a"},
         {"uid", "u-a"},
         {"labels", {{"poolwarden.io/serving", "draining"}}},
         {"annotations", {{"poolwarden.io/drain", "requested"}}},
         {"finalizers", {"x/y"}},
         {"deletionTimestamp", "2026-11-22T12:00:30Z"},
         {"ownerReferences",
          {{{"kind", "ReplicaSet"}, {"name", "rs"}, {"uid", "u"}, {"controller", true}}}}}},
       {"spec", {{"nodeName", "n1"}, {"readinessGates", {{{"conditionType", "g"}}}}}},
       {"status",
        {{"phase", "Pending"},
         {"initContainerStatuses", {{{"name", "fetch"}, {"state", {{"running", json::object()}}}}}},
         {"containerStatuses",
          {{{"name", "c"},
            {"restartCount", 4},
            {"state", {{"waiting", {{"reason", "CrashLoopBackOff"}, {"message", "back-off"}}}}}}}}}}});
  EXPECT_EQ(pod.serving(), "draining");
  EXPECT_EQ(pod.annotation("poolwarden.io/drain"), "requested");
  EXPECT_EQ(pod.ends, ahead(30));
  EXPECT_EQ(pod.controller()->name, "rs");
  EXPECT_EQ(pod.judged.unmet_gate, "g");
  EXPECT_EQ(pod.judged.serving, "draining");
  ASSERT_EQ(pod.containers.size(), 2U);
  EXPECT_TRUE(pod.containers[0].init);
  EXPECT_EQ(pod.containers[1].state, "waiting");
  EXPECT_EQ(pod.containers[1].restarts, 4);
  EXPECT_FALSE(pod.ready());
}

TEST(EventView, TakesTheNewestTimeThereIs) {
  const json old_api = {{"deprecatedLastTimestamp", "2026-11-22T12:00:00Z"}, {"eventTime", nullptr}};
  const json series = {{"eventTime", "2026-11-22T11:00:00Z"},
                       {"series", {{"lastObservedTime", "2026-11-22T12:00:00.000001Z"}}}};
  EXPECT_EQ(read_event(old_api).when, kNow);
  EXPECT_EQ(read_event(series).when, kNow + std::chrono::microseconds(1));
  EXPECT_FALSE(read_event(json::object()).when);
}

}  // namespace
}  // namespace poolwarden::commands
