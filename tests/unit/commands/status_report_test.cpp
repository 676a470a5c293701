#include "commands/status_report.h"

#include "examples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::commands {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

struct SentenceRow {
  const char* situation;
  EndpointView endpoint;
  const char* sentence;
};
void PrintTo(const SentenceRow& row, std::ostream* out) {
  *out << row.situation;
}

template <class Change>
EndpointView changed(EndpointView out, Change change) {
  change(out);
  return out;
}

class Sentences : public testing::TestWithParam<SentenceRow> {};
TEST_P(Sentences, SayWhereAPodStands) {
  EXPECT_EQ(state_sentence(GetParam().endpoint, kNow), GetParam().sentence);
}
INSTANTIATE_TEST_SUITE_P(
    States, Sentences,
    testing::Values(
        SentenceRow{"ready", endpoint("a", "ready", 60), "ready for 60 s"},
        SentenceRow{"draining", draining("a"), "draining for 12 s, 3 in flight, at most 288 s more"},
        SentenceRow{"its load is not known", changed(draining("a"), [](auto& e) { e.in_flight.reset(); }),
                    "draining for 12 s, in flight not known, at most 288 s more"},
        SentenceRow{"no deadline is told", changed(draining("a"), [](auto& e) { e.deadline.reset(); }),
                    "draining for 12 s, 3 in flight"},
        SentenceRow{"its deadline is past", changed(draining("a"), [](auto& e) { e.deadline = ago(1); }),
                    "draining for 12 s, 3 in flight, its time is up"},
        SentenceRow{"clocks differ", changed(draining("a"), [](auto& e) { e.since = ahead(5); }),
                    "draining for 0 s, 3 in flight, at most 288 s more"},
        SentenceRow{"drained", endpoint("a", "drained", 3), "drained for 3 s"},
        SentenceRow{"drained by its timeout",
                    changed(endpoint("a", "drained", 3), [](auto& e) { e.in_flight = 2; }),
                    "drained for 3 s, with 2 still in flight when its time was up"},
        SentenceRow{"withdrawn", endpoint("a", "withdrawn", 700), "withdrawn for 11 min"},
        SentenceRow{"since is missing", changed(endpoint("a", "withdrawn"), [](auto& e) { e.since.reset(); }),
                    "withdrawn"},
        SentenceRow{"a state of a later release", endpoint("a", "resting", 1), "resting for 1 s"},
        SentenceRow{"no state", endpoint("a", "", 1), "in a state that is not told for 1 s"}));

struct ProblemRow {
  const char* situation;
  PoolView pool;
  std::vector<std::string> found;  // "type=status reason"
};
void PrintTo(const ProblemRow& row, std::ostream* out) {
  *out << row.situation;
}

template <class Change>
PoolView pool_with(Change change) {
  PoolView out = healthy_pool();
  change(out);
  return out;
}
PoolView with_condition(const api::Condition& wanted) {
  return pool_with([&](PoolView& pool) {
    for (api::Condition& each : pool.conditions) {
      if (each.type == wanted.type) each = wanted;
    }
  });
}

class StatusReport : public testing::TestWithParam<ProblemRow> {};
TEST_P(StatusReport, ListsProblems) {
  std::vector<std::string> found;
  for (const Problem& each : problems(GetParam().pool))
    found.push_back(each.type + "=" + each.status + " " + each.reason);
  EXPECT_EQ(found, GetParam().found);
}
INSTANTIATE_TEST_SUITE_P(
    Pools, StatusReport,
    testing::Values(
        ProblemRow{"all is well", healthy_pool(), {}},
        ProblemRow{"it is under way, which is no problem",
                   with_condition(condition("Progressing", "True", "Scaling")),
                   {}},
        ProblemRow{"none is wanted, which is no problem",
                   with_condition(condition("Available", "False", "ScaledToZero")),
                   {}},
        ProblemRow{"no endpoint",
                   with_condition(condition("Available", "False", "NoPods")),
                   {"Available=False NoPods"}},
        ProblemRow{
            "degraded", with_condition(condition("Degraded", "True", "Overlap")), {"Degraded=True Overlap"}},
        ProblemRow{"not known",
                   with_condition(condition("DisruptionSafe", "Unknown", "NoTemplate")),
                   {"DisruptionSafe=Unknown NoTemplate"}},
        ProblemRow{
            "the operator is behind", pool_with([](PoolView& p) { p.generation = 2; }), {"= NotObserved"}},
        ProblemRow{
            "nobody has reported", pool_with([](PoolView& p) { p.conditions.clear(); }), {"= NotReported"}},
        ProblemRow{"a condition is missing", pool_with([](PoolView& p) { p.conditions.pop_back(); }), {}}));

TEST(StatusTable, OneLineForEachPool) {
  PoolView broken = with_condition(condition("Available", "False", "NoPods"));
  broken.name = "sglang";
  broken.wanted.reset();
  broken.target.reset();
  broken.serving = 0;
  broken.observed_generation = 0;
  EXPECT_EQ(status_table({healthy_pool(), broken}, Namespaces::kOne, kNow, Paint::kOff).str(),
            "POOL     REPLICAS   READY   SERVING   DRAINING   TARGET   AGE   PROBLEM\n"
            "vllm     2          2       2         0          vllm     3h\n"
            "sglang   -          2       0         0          -        3h    Available=False NoPods (+1)\n");
  EXPECT_THAT(status_table({healthy_pool()}, Namespaces::kAll, kNow, Paint::kOff).str(),
              HasSubstr("default     vllm"));
}

TEST(StatusText, APoolWithADrain) {
  PoolView pool = with_condition(condition("DisruptionSafe", "False", "NoDrainGate", "install the gate"));
  pool.draining = 1;
  pool.serving = 1;
  pool.endpoints = {endpoint("vllm-a", "ready"), draining("vllm-b")};
  pool.endpoints[0].node = "n1";
  pool.endpoints[1].message = "metrics: 404";
  pool.omitted = 3;
  EXPECT_EQ(
      status_text(pool, kNow, Paint::kOff).str(),
      "default/vllm: 2 replicas wanted of Deployment vllm; 2 pods, 2 ready, 1 serving, 1 draining\n"
      "list: ConfigMap vllm-endpoints, revision 7\n"
      "DisruptionSafe is False (NoDrainGate): install the gate\n"
      "\n"
      "POD      IP         NODE   STATE      SINCE   REASON      DETAIL\n"
      "vllm-a   10.0.0.1   n1     ready      60s     -\n"
      "vllm-b   10.0.0.1   -      draining   12s     ScaleDown   draining for 12 s, 3 in flight, at most "
      "288 s more; metrics: 404\n"
      "and 3 pods not ready, for which status has no room\n");
}

TEST(StatusText, WithoutPodsAndUnderWay) {
  PoolView pool = with_condition(condition("Progressing", "True", "Scaling", "0 of 2 pods are ready"));
  pool.endpoints.clear();
  pool.wanted.reset();
  pool.deleting = true;
  const std::string text = status_text(pool, kNow, Paint::kOff).str();
  EXPECT_THAT(text, HasSubstr("default/vllm (being deleted): follows its target of Deployment vllm"));
  EXPECT_THAT(text, HasSubstr("under way: Scaling: 0 of 2 pods are ready\n"));
  EXPECT_THAT(text, HasSubstr("\nNo pods.\n"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST(StatusText, OneLineTellsOfConsumers) {
  struct {
    api::ConsumerStatus slowest;
    const char* line;
  } const rows[] = {
      {{.name = "edge-1", .kind = "haproxy", .revision = 5, .behind = 2, .live = true},
       "\n3 consumers of the list; the slowest is edge-1 (haproxy), 2 revisions behind: it holds revision "
       "5\n"},
      {{.name = "edge-1", .kind = "haproxy", .revision = 7, .behind = 0, .live = true},
       "\n3 consumers of the list; those that are heard of hold it as it is\n"},
      {{.name = "edge-1", .kind = "haproxy", .revision = 5, .behind = 2, .live = false},
       "\n3 consumers of the list; none of them is heard of: edge-1 (haproxy) holds revision 5\n"}};
  for (const auto& row : rows) {
    PoolView pool = healthy_pool();
    pool.consumers = {row.slowest};
    pool.consumer_count = 3;
    EXPECT_THAT(status_text(pool, kNow, Paint::kOff).str(), HasSubstr(row.line));
  }
  EXPECT_THAT(status_text(healthy_pool(), kNow, Paint::kOff).str(), Not(HasSubstr("consumer")));
}

TEST(StatusJson, HasTheDocumentedFields) {
  PoolView pool = healthy_pool();
  pool.endpoints = {draining("vllm-b")};
  pool.consumers = {{.name = "edge-1", .kind = "haproxy", .revision = 5, .behind = 2, .live = true}};
  pool.consumer_count = 12;
  const json expected = {
      {"apiVersion", "commands.poolwarden.io/v1alpha1"},
      {"kind", "PoolStatus"},
      {"namespace", "default"},
      {"name", "vllm"},
      {"replicas", {{"wanted", 2}, {"total", 2}, {"ready", 2}, {"serving", 2}, {"draining", 0}}},
      {"target", {{"kind", "Deployment"}, {"name", "vllm"}}},
      {"list", {{"configMap", "vllm-endpoints"}, {"revision", 7}}},
      {"consumers",
       {{{"name", "edge-1"},
         {"kind", "haproxy"},
         {"revision", 5},
         {"behind", 2},
         {"live", true},
         {"appliedAt", nullptr}}}},
      {"consumerCount", 12},
      {"problems", json::array()},
      {"endpoints",
       {{{"pod", "vllm-b"},
         {"ip", "10.0.0.1"},
         {"node", nullptr},
         {"state", "draining"},
         {"reason", "ScaleDown"},
         {"since", "2026-11-22T11:59:48Z"},
         {"inFlight", 3},
         {"deadline", "2026-11-22T12:04:48Z"},
         {"message", ""},
         {"text", "draining for 12 s, 3 in flight, at most 288 s more"}}}},
      {"endpointsOmitted", 0}};
  EXPECT_EQ(status_json(pool, kNow), expected);
  const json list = status_list_json({pool}, kNow);
  EXPECT_EQ(list["kind"], "PoolStatusList");
  EXPECT_EQ(list["items"][0], expected);
}

TEST(StatusJson, WhatIsNotKnownIsNull) {
  PoolView pool = healthy_pool();
  pool.wanted.reset();
  pool.target.reset();
  pool.endpoints = {endpoint("a", "ready")};
  pool.endpoints[0].since.reset();
  const json out = status_json(pool, kNow);
  EXPECT_TRUE(out["replicas"]["wanted"].is_null());
  EXPECT_TRUE(out["target"].is_null());
  for (const char* key : {"node", "since", "inFlight", "deadline"})
    EXPECT_TRUE(out["endpoints"][0][key].is_null()) << key;
}

}  // namespace
}  // namespace poolwarden::commands
