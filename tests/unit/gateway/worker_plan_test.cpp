#include "gateway/worker_plan.h"

#include "haproxy_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

constexpr auto kFresh = AdditionStage::kFresh;
constexpr auto kLate = AdditionStage::kLate;
constexpr auto kFailed = AdditionStage::kFailed;
constexpr auto kServing = WorkerState::kServing;
constexpr auto kKeep = ForeignWorkers::kKeep;
constexpr auto kRemove = ForeignWorkers::kRemove;

ServerAddress at(const std::string& ip) {
  return *make_address(ip, 8000);
}
ObservedWorker worker(const std::string& url, WorkerState state = kServing) {
  return {"id-of-" + url, url, parse_worker_url(url), state};
}

struct WorkerRow {
  std::string situation;
  std::vector<api::Endpoint> list;
  std::vector<ObservedWorker> workers;
  Additions additions;
  std::vector<std::string> commands;
  bool waits = false;
  std::vector<std::string> unplaced = {};
  ForeignWorkers foreign = kRemove;
};
class WorkerPlanTable : public testing::TestWithParam<WorkerRow> {};

TEST_P(WorkerPlanTable, GivesTheseCommands) {
  const WorkerRow& row = GetParam();
  std::vector<std::string> problems;
  const auto wanted = wanted_servers(list_of(1, row.list), {}, {}, &problems);
  const Plan plan = make_worker_plan(wanted, row.workers, row.additions, row.foreign);
  std::vector<std::string> texts;
  for (const Command& command : plan.commands) texts.push_back(command.text);
  EXPECT_EQ(texts, row.commands) << row.situation;
  EXPECT_EQ(plan.waits_for.has_value(), row.waits) << row.situation;
  EXPECT_EQ(plan.unplaced, row.unplaced) << row.situation;
  EXPECT_EQ(plan.why_unplaced.empty(), row.unplaced.empty()) << row.situation;
}

const std::vector<api::Endpoint> kA{endpoint("a", "10.0.0.1")};
const std::vector<api::Endpoint> kAb{endpoint("a", "10.0.0.1"), endpoint("b", "10.0.0.2")};
const std::string kUrlA = "http://10.0.0.1:8000";
const std::string kUrlB = "http://10.0.0.2:8000";

INSTANTIATE_TEST_SUITE_P(
    Situations, WorkerPlanTable,
    testing::Values(
        WorkerRow{"nothing is wanted and nothing is there", {}, {}, {}, {}},
        WorkerRow{"a new endpoint, or a router that was restarted", kA, {}, {}, {"add " + kUrlA}},
        WorkerRow{"it is there", kA, {worker(kUrlA)}, {}, {}},
        WorkerRow{"it was asked for", kA, {}, {{at("10.0.0.1"), {kFresh}}}, {}, true},
        WorkerRow{"that takes long", kA, {}, {{at("10.0.0.1"), {kLate}}}, {}, false, {"a"}},
        WorkerRow{"it failed", kA, {}, {{at("10.0.0.1"), {kFailed, "refused"}}}, {}, false, {"a"}},
        WorkerRow{"an endpoint left the list", {}, {worker(kUrlA)}, {}, {"remove " + kUrlA}},
        WorkerRow{"an endpoint drains in the list",
                  {endpoint("a", "10.0.0.1", {8000}, api::EndpointState::kDraining)},
                  {worker(kUrlA)},
                  {},
                  {"remove " + kUrlA}},
        WorkerRow{"removals come before additions", kA, {worker(kUrlB)}, {}, {"remove " + kUrlB}},
        WorkerRow{"removals do not wait for additions",
                  kA,
                  {worker(kUrlB)},
                  {{at("10.0.0.1"), {kFresh}}},
                  {"remove " + kUrlB},
                  true},
        WorkerRow{"an addition under way of what is not wanted any more is looked after",
                  {},
                  {},
                  {{at("10.0.0.1"), {kFresh}}},
                  {},
                  true},
        WorkerRow{"and does not hold up the rest for ever", {}, {}, {{at("10.0.0.1"), {kLate}}}, {}},
        WorkerRow{"a draining worker is withdrawn", {}, {worker(kUrlA, WorkerState::kDraining)}, {}, {}},
        WorkerRow{"a removal taken as a job is not asked for again",
                  {},
                  {worker(kUrlA, WorkerState::kLeaving)},
                  {},
                  {},
                  true},
        WorkerRow{"an endpoint that came back waits for its worker's drain; the others do not",
                  kAb,
                  {worker(kUrlA, WorkerState::kDraining)},
                  {},
                  {"add " + kUrlB},
                  false,
                  {"a"}},
        WorkerRow{"two workers of one address",
                  kA,
                  {worker(kUrlA), worker(kUrlA + "/")},
                  {},
                  {"remove " + kUrlA + "/"}},
        WorkerRow{
            "someone else's worker is removed", {}, {worker("http://gpu:1")}, {}, {"remove http://gpu:1"}},
        WorkerRow{"or kept",
                  {},
                  {worker("http://gpu:1"), worker(kUrlB)},
                  {},
                  {"remove " + kUrlB},
                  false,
                  {},
                  kKeep},
        WorkerRow{"a URL that is a line of its own",
                  {},
                  {worker("http://x\nremove http://10.0.0.1")},
                  {},
                  {"remove http://x?remove http://10.0.0.1"}}));

TEST(WorkerPlan, AddsAFewAtATime) {
  std::vector<api::Endpoint> list;
  for (int i = 1; i <= 100; ++i)
    list.push_back(endpoint("p" + std::to_string(i), "10.0.1." + std::to_string(i)));
  std::vector<std::string> problems;
  const auto wanted = wanted_servers(list_of(1, list), {}, {}, &problems);
  EXPECT_EQ(make_worker_plan(wanted, {}, {}, kRemove).commands.size(), kMaxAdditions);
  Additions additions;
  for (std::size_t i = 0; i < kMaxAdditions; ++i) additions[wanted[i].address] = {kLate};
  const Plan full = make_worker_plan(wanted, {}, additions, kRemove);
  EXPECT_TRUE(full.commands.empty());
  EXPECT_EQ(full.unplaced.size(), list.size());
  for (auto& each : additions) each.second = {kFailed, "refused"};
  EXPECT_EQ(make_worker_plan(wanted, {}, additions, kRemove).commands.size(), kMaxAdditions);
}

}  // namespace
}  // namespace poolwarden::gateway
