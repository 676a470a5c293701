// Which pods a ReplicaSet deletes first: each row is one difference, and the ones before it are equal.
#include "support/cluster/victims.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::cluster {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

const api::Timestamp kNow = api::Timestamp{} + 1'000'000h;

VictimFacts healthy(std::string uid) {
  VictimFacts pod;
  pod.uid = std::move(uid);
  pod.node = "node-1";
  pod.phase = VictimFacts::Phase::kRunning;
  pod.ready = true;
  pod.ready_since = kNow - 1h;
  pod.created = kNow - 2h;
  return pod;
}

struct Row {
  const char* name;
  void (*first)(VictimFacts&);   // what makes it the victim
  void (*second)(VictimFacts&);  // what would make the other the victim, if the rule before did not exist
};

class VictimOrder : public testing::TestWithParam<Row> {};

TEST_P(VictimOrder, FirstDifferenceDecides) {
  // The names say the opposite of the order, so that a tie broken by uid does not look right by chance.
  VictimFacts victim = healthy("z");
  VictimFacts other = healthy("a");
  GetParam().first(victim);
  GetParam().second(other);
  EXPECT_TRUE(goes_before(victim, other, kNow));
  EXPECT_FALSE(goes_before(other, victim, kNow));
}

INSTANTIATE_TEST_SUITE_P(
    Rows, VictimOrder,
    testing::Values(
        Row{"unassigned_before_pending", [](VictimFacts& pod) { pod.node.clear(); },
            [](VictimFacts& pod) { pod.phase = VictimFacts::Phase::kPending; }},
        Row{"pending_before_unknown", [](VictimFacts& pod) { pod.phase = VictimFacts::Phase::kPending; },
            [](VictimFacts& pod) { pod.phase = VictimFacts::Phase::kUnknown; }},
        Row{"unknown_before_running_not_ready",
            [](VictimFacts& pod) { pod.phase = VictimFacts::Phase::kUnknown; },
            [](VictimFacts& pod) { pod.ready = false; }},
        Row{"not_ready_before_cheapest", [](VictimFacts& pod) { pod.ready = false; },
            [](VictimFacts& pod) { pod.deletion_cost = -2147483648; }},
        Row{"cheaper_before_crowded", [](VictimFacts& pod) { pod.deletion_cost = -1; },
            [](VictimFacts& pod) { pod.related_on_node = 9; }},
        Row{"crowded_before_freshly_ready", [](VictimFacts& pod) { pod.related_on_node = 2; },
            [](VictimFacts& pod) { pod.ready_since = kNow - 1s; }},
        Row{"freshly_ready_before_restarted", [](VictimFacts& pod) { pod.ready_since = kNow - 1s; },
            [](VictimFacts& pod) { pod.restarts = 5; }},
        Row{"restarted_before_newer", [](VictimFacts& pod) { pod.restarts = 1; },
            [](VictimFacts& pod) { pod.created = kNow - 1s; }},
        Row{"newer_before_older", [](VictimFacts& pod) { pod.created = kNow - 1s; }, [](VictimFacts&) {}},
        Row{"unknown_age_before_any_age", [](VictimFacts& pod) { pod.created.reset(); },
            [](VictimFacts& pod) { pod.created = kNow; }}),
    [](const testing::TestParamInfo<Row>& row) { return row.param.name; });

TEST(VictimOrder, ReadyTimesOfOneMagnitudeAreATieBrokenByUid) {
  VictimFacts a = healthy("a");
  VictimFacts b = healthy("b");
  a.ready_since = kNow - 70min;
  b.ready_since = kNow - 65min;  // both between 2^41 and 2^42 ns
  EXPECT_TRUE(goes_before(a, b, kNow));
  EXPECT_FALSE(goes_before(b, a, kNow));
}

TEST(VictimOrder, EqualPodsKeepTheirOrder) {
  EXPECT_THAT(choose_victims({healthy("b"), healthy("a"), healthy("c")}, 2, kNow), ElementsAre(0, 1));
}

TEST(VictimOrder, NeverMoreThanThereAre) {
  EXPECT_THAT(choose_victims({healthy("a")}, 5, kNow), ElementsAre(0));
}

struct CostRow {
  const char* text;
  std::int32_t cost;
};
class DeletionCost : public testing::TestWithParam<CostRow> {};
TEST_P(DeletionCost, IsParsedStrictly) {
  EXPECT_EQ(parse_deletion_cost(GetParam().text), GetParam().cost);
}
INSTANTIATE_TEST_SUITE_P(Rows, DeletionCost,
                         testing::Values(CostRow{"", 0}, CostRow{"0", 0}, CostRow{"7", 7}, CostRow{"-7", -7},
                                         CostRow{"-2147483648", INT32_MIN}, CostRow{"2147483647", INT32_MAX},
                                         CostRow{"2147483648", 0}, CostRow{"+7", 0}, CostRow{"07", 0},
                                         CostRow{"7 ", 0}, CostRow{" 7", 0}, CostRow{"seven", 0},
                                         CostRow{"-", 0}));

TEST(VictimFacts, AreReadFromThePod) {
  const auto pod = nlohmann::json::parse(R"({
    "metadata": {"uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z",
                 "annotations": {"controller.kubernetes.io/pod-deletion-cost": "-5"}},
    "spec": {"nodeName": "n"},
    "status": {"phase": "Running",
               "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:01:00Z"}],
               "containerStatuses": [{"restartCount": 1}, {"restartCount": 4}]}})");
  const VictimFacts facts = victim_facts(pod);
  EXPECT_EQ(facts.uid, "u");
  EXPECT_EQ(facts.node, "n");
  EXPECT_EQ(facts.phase, VictimFacts::Phase::kRunning);
  EXPECT_TRUE(facts.ready);
  EXPECT_EQ(facts.deletion_cost, -5);
  EXPECT_EQ(facts.restarts, 4);
  EXPECT_EQ(*facts.ready_since - *facts.created, 1min);
}

}  // namespace
}  // namespace poolwarden::cluster
