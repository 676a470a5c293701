// Probes: what is read from a pod, when they are due, and what their results come to.
#include "support/cluster/probe.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::cluster {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

const Timestamp kStart = Timestamp{} + 1000h;

TEST(ParseProbe, DefaultsOfKubernetes) {
  const auto probe =
      parse_probe(json::parse(R"({"readinessProbe": {"httpGet": {"port": 8000}}})"), ProbeRole::kReadiness);
  ASSERT_TRUE(probe);
  EXPECT_EQ(probe->kind, ProbeKind::kHttp);
  EXPECT_EQ(probe->path, "/");
  EXPECT_EQ(probe->port, 8000);
  EXPECT_EQ(probe->initial_delay, 0s);
  EXPECT_EQ(probe->period, 10s);
  EXPECT_EQ(probe->timeout, 1s);
  EXPECT_EQ(probe->failure_threshold, 3);
  EXPECT_EQ(probe->success_threshold, 1);
}

TEST(ParseProbe, NamedPort) {
  const auto probe = parse_probe(json::parse(R"({
      "ports": [{"name": "other", "containerPort": 1}, {"name": "http", "containerPort": 8000}],
      "livenessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 2}})"),
                                 ProbeRole::kLiveness);
  ASSERT_TRUE(probe);
  EXPECT_EQ(probe->kind, ProbeKind::kTcp);
  EXPECT_EQ(probe->port, 8000);
  EXPECT_EQ(probe->period, 2s);
}

TEST(ParseProbe, NoneAndNonsense) {
  EXPECT_FALSE(parse_probe(json::object(), ProbeRole::kStartup));
  EXPECT_FALSE(parse_probe(json::parse(R"({"startupProbe": {"grpc": {"port": 1}}})"), ProbeRole::kStartup));
  EXPECT_FALSE(parse_probe(json::parse(R"({"startupProbe": "yes"})"), ProbeRole::kStartup));
}

ProbeSpec spec(int failures, int successes) {
  ProbeSpec probe;
  probe.initial_delay = 5s;
  probe.period = 2s;
  probe.failure_threshold = failures;
  probe.success_threshold = successes;
  return probe;
}

TEST(ProbeState, IsDueAfterTheDelayAndThenEveryPeriod) {
  ProbeState probe(spec(1, 1), ProbeRole::kReadiness, kStart);
  EXPECT_EQ(probe.due(), kStart + 5s);
  probe.begin(kStart + 5s);
  EXPECT_EQ(probe.due(), std::nullopt) << "one at a time";
  probe.end(true);
  EXPECT_EQ(probe.due(), kStart + 7s);
}

TEST(ProbeState, BeforeTheFirstResultAliveButNotReadyAndNotStarted) {
  EXPECT_TRUE(ProbeState(spec(3, 1), ProbeRole::kLiveness, kStart).passing());
  EXPECT_FALSE(ProbeState(spec(3, 1), ProbeRole::kReadiness, kStart).passing());
  EXPECT_FALSE(ProbeState(spec(3, 1), ProbeRole::kStartup, kStart).passing());
}

TEST(ProbeState, ThresholdsCountResultsInARow) {
  ProbeState probe(spec(3, 2), ProbeRole::kReadiness, kStart);
  const auto result = [&probe](bool success) {
    probe.begin(kStart);
    probe.end(success);
    return probe.passing();
  };
  EXPECT_FALSE(result(true));
  EXPECT_TRUE(result(true));
  EXPECT_TRUE(result(false));
  EXPECT_TRUE(result(false));
  EXPECT_TRUE(result(true)) << "the two failures no longer count";
  EXPECT_TRUE(result(false));
  EXPECT_TRUE(result(false));
  EXPECT_FALSE(result(false));
  EXPECT_EQ(probe.failures(), 3);
  EXPECT_FALSE(result(true));
  EXPECT_TRUE(result(true));
}

}  // namespace
}  // namespace poolwarden::cluster
