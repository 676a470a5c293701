#include "examples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::commands {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;

struct CleanRow {
  const char* situation;
  std::string text;
  std::string clean;
};
class Printable : public testing::TestWithParam<CleanRow> {};
TEST_P(Printable, LeavesNothingATerminalObeys) {
  EXPECT_EQ(printable(GetParam().text, 10), GetParam().clean);
}
INSTANTIATE_TEST_SUITE_P(
    Texts, Printable,
    testing::Values(CleanRow{"plain", "abc", "abc"}, CleanRow{"escape", "a\x1b[2Jb", "a [2Jb"},
                    CleanRow{"line feeds", "a\r\nb", "a  b"}, CleanRow{"delete", "a\x7f", "a "},
                    CleanRow{"an 8-bit escape",
                             "a\xc2\x9b"
                             "2J",
                             "a  2J"},
                    CleanRow{"half of one at the end", "a\xc2", "a\xc2"},
                    CleanRow{"umlauts stay", "\xc3\xbc", "\xc3\xbc"},
                    CleanRow{"too long", "0123456789x", "0123456789 ..."},
                    CleanRow{"cut before a character", "012345678\xc3\xbc", "012345678 ..."}));

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
  EXPECT_TRUE(pool.selector->matches({{"app", "vllm"}}));
  ASSERT_EQ(pool.endpoints.size(), 1U);
  EXPECT_EQ(pool.endpoints[0].in_flight, 3);
  EXPECT_EQ(pool.endpoints[0].since, ago(12));
  EXPECT_EQ(pool.endpoints[0].deadline, ahead(288));
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
  EXPECT_EQ(pool.endpoints[2].pod, " [2Ja");
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
  EXPECT_THAT(pod.readiness_gates, ElementsAre("g"));
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
