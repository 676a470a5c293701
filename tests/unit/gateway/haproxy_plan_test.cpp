#include "gateway/haproxy_plan.h"

#include "haproxy_model.h"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr auto kReady = AdminState::kReady;
constexpr auto kDrain = AdminState::kDrain;
constexpr auto kMaint = AdminState::kMaintenance;
constexpr auto kDraining = api::EndpointState::kDraining;

const BackendName kNames{"b", "pod-"};

ObservedServer slot(int number, AdminState admin, const std::string& ip = "127.0.0.1", int port = 8000,
                    std::int64_t busy = 0) {
  return {"pod-" + std::to_string(number), make_address(ip, port), admin, busy};
}

std::vector<std::string> texts(const Plan& plan) {
  std::vector<std::string> out;
  for (const Command& command : plan.commands) out.push_back(command.text);
  return out;
}

struct PlanRow {
  std::string situation;
  std::vector<api::Endpoint> list;
  std::vector<ObservedServer> observed;
  std::vector<std::string> commands;
  std::vector<std::string> unplaced = {};
};

class PlanTable : public testing::TestWithParam<PlanRow> {};

TEST_P(PlanTable, GivesTheseCommands) {
  const PlanRow& row = GetParam();
  std::vector<std::string> problems;
  const auto wanted = wanted_servers(list_of(1, row.list), {}, {}, &problems);
  const Plan plan = make_plan(wanted, {1, "2.6.12", row.observed}, kNames);
  EXPECT_EQ(texts(plan), row.commands);
  EXPECT_EQ(plan.unplaced, row.unplaced);
  EXPECT_THAT(problems, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    Situations, PlanTable,
    testing::Values(
        PlanRow{"nothing is wanted and nothing is there", {}, {slot(1, kMaint)}, {}},
        PlanRow{
            "a new endpoint takes the first free slot, which is not made ready before its address is seen",
            {endpoint("a", "10.0.0.1")},
            {slot(1, kMaint), slot(2, kMaint)},
            {"set server b/pod-1 addr 10.0.0.1 port 8000"}},
        PlanRow{"its address is seen",
                {endpoint("a", "10.0.0.1")},
                {slot(1, kMaint, "10.0.0.1"), slot(2, kMaint)},
                {"set server b/pod-1 state ready"}},
        PlanRow{"it serves", {endpoint("a", "10.0.0.1")}, {slot(1, kReady, "10.0.0.1"), slot(2, kMaint)}, {}},
        PlanRow{"an endpoint left the list",
                {},
                {slot(1, kReady, "10.0.0.1", 8000, 7)},
                {"set server b/pod-1 state drain"}},
        PlanRow{"an endpoint is draining in the list",
                {endpoint("a", "10.0.0.1", {8000}, kDraining)},
                {slot(1, kReady, "10.0.0.1")},
                {"set server b/pod-1 state drain"}},
        PlanRow{"a draining one that HAProxy never had is not added",
                {endpoint("a", "10.0.0.1", {8000}, kDraining)},
                {slot(1, kMaint)},
                {}},
        PlanRow{"a draining server still works: it is left alone",
                {},
                {slot(1, kDrain, "10.0.0.1", 8000, 1)},
                {}},
        PlanRow{"a draining server is idle: its slot is free again",
                {},
                {slot(1, kDrain, "10.0.0.1")},
                {"set server b/pod-1 state maint"}},
        PlanRow{"an endpoint comes back while its server drains",
                {endpoint("a", "10.0.0.1")},
                {slot(1, kDrain, "10.0.0.1", 8000, 2)},
                {"set server b/pod-1 state ready"}},
        PlanRow{"an endpoint comes back to the slot it had",
                {endpoint("a", "10.0.0.1")},
                {slot(1, kMaint), slot(2, kMaint, "10.0.0.1")},
                {"set server b/pod-2 state ready"}},
        PlanRow{"withdrawals are said first, and alone",
                {endpoint("b", "10.0.0.2")},
                {slot(1, kReady, "10.0.0.1"), slot(2, kMaint), slot(3, kDrain, "10.0.0.3")},
                {"set server b/pod-1 state drain"}},
        PlanRow{"then the rest",
                {endpoint("b", "10.0.0.2")},
                {slot(1, kDrain, "10.0.0.1", 8000, 1), slot(2, kMaint), slot(3, kDrain, "10.0.0.3")},
                {"set server b/pod-3 state maint", "set server b/pod-2 addr 10.0.0.2 port 8000"}},
        PlanRow{"another pod got the same address: nothing to say",
                {endpoint("b", "10.0.0.1")},
                {slot(1, kReady, "10.0.0.1")},
                {}},
        PlanRow{"the port changed: the old server drains first",
                {endpoint("a", "10.0.0.1", {9000})},
                {slot(1, kReady, "10.0.0.1", 8000), slot(2, kMaint)},
                {"set server b/pod-1 state drain"}},
        PlanRow{"the port changed: then the new one comes",
                {endpoint("a", "10.0.0.1", {9000})},
                {slot(1, kDrain, "10.0.0.1", 8000, 1), slot(2, kMaint)},
                {"set server b/pod-2 addr 10.0.0.1 port 9000"}},
        PlanRow{"an endpoint with two ports takes two slots",
                {endpoint("a", "10.0.0.1", {8000, 8001})},
                {slot(1, kMaint), slot(2, kMaint)},
                {"set server b/pod-1 addr 10.0.0.1 port 8000", "set server b/pod-2 addr 10.0.0.1 port 8001"}},
        PlanRow{"IPv6 is compared by value",
                {endpoint("a", "fd00:0:0::1"), endpoint("b", "fd00::2")},
                {slot(1, kReady, "fd00::1"), slot(2, kMaint)},
                {"set server b/pod-2 addr fd00::2 port 8000"}},
        PlanRow{"two pods name one address: the ready one counts",
                {endpoint("a", "10.0.0.1", {8000}, kDraining), endpoint("b", "10.0.0.1")},
                {slot(1, kReady, "10.0.0.1")},
                {}},
        PlanRow{
            "two slots have one address: one of them goes",
            {endpoint("a", "10.0.0.1")},
            {slot(1, kDrain, "10.0.0.1", 8000, 1), slot(2, kReady, "10.0.0.1"), slot(3, kReady, "10.0.0.1")},
            {"set server b/pod-3 state drain"}},
        PlanRow{"no slot is free: it is said who waits",
                {endpoint("a", "10.0.0.1"), endpoint("b", "10.0.0.2"), endpoint("c", "10.0.0.3")},
                {slot(1, kReady, "10.0.0.1"), slot(2, kDrain, "10.0.0.9", 8000, 1)},
                {},
                {"b", "c"}},
        PlanRow{"a slot someone put in maintenance while it worked keeps its address until it is idle",
                {endpoint("b", "10.0.0.2")},
                {slot(1, kMaint, "10.0.0.1", 8000, 1)},
                {},
                {"b"}},
        PlanRow{"a slot someone put in maintenance is made ready: the list decides",
                {endpoint("a", "10.0.0.1")},
                {slot(1, kMaint, "10.0.0.1", 8000, 1)},
                {"set server b/pod-1 state ready"}},
        PlanRow{"servers that are not ours are left alone, whatever they are",
                {endpoint("a", "10.0.0.1")},
                {{"web1", make_address("10.0.0.5", 80), kReady, 0},
                 {"pod-", make_address("10.0.0.6", 80), kReady, 0},
                 {"pod-1a", make_address("10.0.0.7", 80), kDrain, 0},
                 {"xpod-1", make_address("10.0.0.1", 8000), kDrain, 0},
                 slot(1, kReady, "10.0.0.1")},
                {}},
        PlanRow{"a slot without a readable address that serves is taken out",
                {},
                {{"pod-1", std::nullopt, kReady, 0}},
                {"set server b/pod-1 state drain"}},
        PlanRow{
            "a restarted HAProxy has free slots only",
            {endpoint("a", "10.0.0.1"), endpoint("b", "10.0.0.2")},
            {slot(1, kMaint, "127.0.0.1", 1), slot(2, kMaint, "127.0.0.1", 1),
             slot(3, kMaint, "127.0.0.1", 1)},
            {"set server b/pod-1 addr 10.0.0.1 port 8000", "set server b/pod-2 addr 10.0.0.2 port 8000"}}),
    [](const auto& row) { return "Row" + std::to_string(row.index); });

struct WeightRow {
  std::string situation;
  std::vector<std::pair<std::string, std::string>> list;  // address and zone
  std::vector<ObservedServer> observed;
  std::vector<std::string> commands;
};

class WeightTable : public testing::TestWithParam<WeightRow> {};

ObservedServer weighed(ObservedServer server, std::int64_t weight) {
  server.weight = weight;
  return server;
}

TEST_P(WeightTable, GivesTheseCommands) {
  const WeightRow& row = GetParam();
  std::vector<WantedServer> wanted;
  for (const auto& [ip, zone] : row.list)
    wanted.push_back({*make_address(ip, 8000), "p" + ip, api::EndpointState::kReady, zone});
  BackendName names = kNames;
  names.weights = ZoneWeights{{{"near", 100}, {"far", 25}}, 10};
  EXPECT_EQ(texts(make_plan(wanted, {1, "2.6.12", row.observed}, names)), row.commands);
  for (const std::string& text : texts(make_plan(wanted, {1, "2.6.12", row.observed}, kNames)))
    EXPECT_EQ(text.find(" weight "), std::string::npos) << "nobody asked for weights: " << text;
}

INSTANTIATE_TEST_SUITE_P(
    Situations, WeightTable,
    testing::Values(WeightRow{"a server gets its weight before it takes requests",
                              {{"10.0.0.1", "far"}},
                              {slot(1, kMaint, "10.0.0.1")},
                              {"set server b/pod-1 weight 25", "set server b/pod-1 state ready"}},
                    WeightRow{"one that has it is made ready only",
                              {{"10.0.0.1", "far"}},
                              {weighed(slot(1, kMaint, "10.0.0.1"), 25)},
                              {"set server b/pod-1 state ready"}},
                    WeightRow{
                        "all agrees",
                        {{"10.0.0.1", "far"}, {"10.0.0.2", "near"}, {"10.0.0.3", ""}, {"10.0.0.4", "new"}},
                        {weighed(slot(1, kReady, "10.0.0.1"), 25), weighed(slot(2, kReady, "10.0.0.2"), 100),
                         weighed(slot(3, kReady, "10.0.0.3"), 10), weighed(slot(4, kReady, "10.0.0.4"), 10)},
                        {}},
                    WeightRow{"HAProxy forgot them, or somebody changed them",
                              {{"10.0.0.1", "far"}, {"10.0.0.2", "near"}, {"10.0.0.3", ""}},
                              {weighed(slot(1, kReady, "10.0.0.1"), 0), slot(2, kReady, "10.0.0.2"),
                               weighed(slot(3, kReady, "10.0.0.3"), 256)},
                              {"set server b/pod-1 weight 25", "set server b/pod-2 weight 100",
                               "set server b/pod-3 weight 10"}},
                    WeightRow{"a pod of another zone got the address",
                              {{"10.0.0.1", "near"}},
                              {weighed(slot(1, kDrain, "10.0.0.1", 8000, 1), 25)},
                              {"set server b/pod-1 weight 100", "set server b/pod-1 state ready"}},
                    WeightRow{"an address is seen before anything is said of a weight",
                              {{"10.0.0.1", "far"}},
                              {slot(1, kMaint)},
                              {"set server b/pod-1 addr 10.0.0.1 port 8000"}},
                    WeightRow{"what leaves keeps its weight, and no weight holds its withdrawal up",
                              {{"10.0.0.1", "far"}},
                              {slot(1, kReady, "10.0.0.1"), slot(2, kReady, "10.0.0.2")},
                              {"set server b/pod-2 state drain"}},
                    WeightRow{"free, draining and foreign servers have weights of their own",
                              {},
                              {weighed(slot(1, kMaint), 7), weighed(slot(2, kDrain, "10.0.0.2", 8000, 1), 7),
                               weighed({"web1", make_address("10.0.0.5", 80), kReady, 0}, 7)},
                              {}}),
    [](const auto& row) { return "Row" + std::to_string(row.index); });

// Where clients are pinned to servers.
TEST(Plan, WithdrawsByMaintenance) {
  const BackendName pinning{"b", "pod-", WithdrawBy::kMaintenance};
  const auto plan_of = [&](std::vector<ObservedServer> observed) {
    return make_plan({}, {1, "2.6.12", std::move(observed)}, pinning);
  };
  EXPECT_THAT(texts(plan_of({slot(1, kReady, "10.0.0.1", 8000, 3)})),
              ElementsAre("set server b/pod-1 state maint"));
  EXPECT_THAT(texts(plan_of({slot(1, kDrain, "10.0.0.1", 8000, 3)})),
              ElementsAre("set server b/pod-1 state maint"));
  const Plan at_work = plan_of({slot(1, kMaint, "10.0.0.1", 8000, 3), slot(2, kMaint)});
  EXPECT_THAT(texts(at_work), IsEmpty());
  EXPECT_EQ(at_work.draining, 1U);
  // Its place is taken only when it is idle.
  std::vector<std::string> problems;
  const auto wanted = wanted_servers(list_of(1, {endpoint("b", "10.0.0.2")}), {}, {}, &problems);
  const auto next =
      make_plan(wanted, {1, "2.6.12", {slot(1, kMaint, "10.0.0.1", 8000, 3), slot(2, kMaint)}}, pinning);
  EXPECT_THAT(texts(next), ElementsAre("set server b/pod-2 addr 10.0.0.2 port 8000"));
}

TEST(WantedServers, NothingIsSentWhereNoPodIs) {
  const auto list =
      list_of(1, {endpoint("loopback", "127.0.0.2"), endpoint("disguised", "::ffff:127.0.0.1"),
                  endpoint("metadata", "169.254.169.254"), endpoint("link", "fe80::1"),
                  endpoint("many", "224.0.0.1"), endpoint("all", "255.255.255.255"),
                  endpoint("none", "0.0.0.0"), endpoint("api", "10.96.0.1"), endpoint("pod", "10.0.0.1")});
  std::vector<std::string> problems;
  AddressRules rules;
  rules.never.insert("10.96.0.1");
  const auto wanted = wanted_servers(list, {}, rules, &problems);
  EXPECT_THAT(wanted, ElementsAre(WantedServer{{"10.0.0.1", 8000}, "pod"}));
  EXPECT_EQ(problems.size(), 8U);
  EXPECT_THAT(
      problems,
      testing::Contains("pod metadata: 169.254.169.254:8000 is a link-local address: nothing is sent there"));
  rules.allow_loopback = true;
  EXPECT_EQ(wanted_servers(list, {}, rules, &problems).size(), 3U);
}

TEST(WantedServers, NamesWhatCannotBeAServer) {
  std::vector<std::string> problems;
  const auto wanted =
      wanted_servers(list_of(1, {endpoint("a", ""), endpoint("b", "example.org"),
                                 endpoint("c", "10.0.0.1", {0, 70000, 8000}), endpoint("d", "10.0.0.2", {}),
                                 endpoint("e", "10.0.0.3;show info"), endpoint("f", "fe80::1%eth0")}),
                     {}, {}, &problems);
  EXPECT_THAT(wanted, ElementsAre(WantedServer{{"10.0.0.1", 8000}, "c", api::EndpointState::kReady}));
  EXPECT_THAT(
      problems,
      ElementsAre("pod a: '' port 8000 is not an address a server can have",
                  "pod b: 'example.org' port 8000 is not an address a server can have",
                  "pod c: '10.0.0.1' port 0 is not an address a server can have",
                  "pod c: '10.0.0.1' port 70000 is not an address a server can have", "pod d has no ports",
                  "pod e: '10.0.0.3;show info' port 8000 is not an address a server can have",
                  "pod f: 'fe80::1%eth0' port 8000 is not an address a server can have"));
}

TEST(RefusalOf, KnowsSuccessFromRefusal) {
  const Command withdraw{CommandKind::kWithdraw, "pod-1", {}, "set server b/pod-1 state drain"};
  const Command readdress{CommandKind::kReaddress, "pod-1", {}, "set server b/pod-1 addr 10.0.0.1 port 8000"};
  EXPECT_EQ(refusal_of(withdraw, ""), std::nullopt);
  EXPECT_EQ(refusal_of(withdraw, "No such server.\n"),
            "HAProxy refused 'set server b/pod-1 state drain': No such server.");
  EXPECT_EQ(
      refusal_of(readdress,
                 "IP changed from 'x' to 'y', port changed from '1' to '2' by 'stats socket command'\n"),
      std::nullopt);
  EXPECT_EQ(refusal_of(readdress, "no need to change the addr, port changed from '1' to '2' by 'x'\n"),
            std::nullopt);
  EXPECT_EQ(refusal_of(readdress, "Permission denied\n"),
            "HAProxy refused 'set server b/pod-1 addr 10.0.0.1 port 8000': Permission denied (its stats "
            "socket line needs 'level admin')");
  const Command weigh{CommandKind::kWeigh, "pod-1", {}, "set server b/pod-1 weight 25"};
  EXPECT_EQ(refusal_of(weigh, ""), std::nullopt);
  EXPECT_EQ(
      refusal_of(weigh, "Backend is using a static LB algorithm and only accepts weights '0%' and '100%'.\n"),
      "HAProxy refused 'set server b/pod-1 weight 25': Backend is using a static LB algorithm and only "
      "accepts weights '0%' and '100%'. (--haproxy-zone-weights needs 'balance leastconn', 'roundrobin' or "
      "'random', or 'hash-type consistent')");
  EXPECT_EQ(refusal_of(withdraw, "\x1b[31mno\x01\n")->find('\x1b'), std::string::npos);
}

bool weight_is_right(const Command& command, const HaproxyModel& haproxy,
                     const std::vector<WantedServer>& wanted, const BackendName& names) {
  if (!names.weights) return true;
  for (const WantedServer& want : wanted) {
    if (want.address != command.address) continue;
    for (const ObservedServer& server : haproxy.servers) {
      if (server.name == command.server) return server.weight == names.weights->of(want.zone);
    }
  }
  return false;
}

// Any list and any state HAProxy may be in: carried out step by step, the two agree after a few steps, and on
// the way nothing that works is cut or re-pointed.
TEST(Plan, BringsAnyHaproxyToAnyList) {
  std::mt19937 random(20240817);
  const auto pick = [&](int below) { return static_cast<int>(random() % static_cast<unsigned>(below)); };
  for (int round = 0; round < 2'000; ++round) {
    HaproxyModel haproxy(8);
    for (std::size_t i = 0; i < 8; ++i) {
      haproxy.servers[i].address = make_address("10.0.0." + std::to_string(1 + pick(6)), 8000);
      haproxy.servers[i].admin = static_cast<AdminState>(pick(3));
      haproxy.servers[i].busy = pick(2);
      haproxy.servers[i].weight = 1 + pick(3);
    }
    BackendName names = kNames;
    if (pick(2) == 0) names.weights = ZoneWeights{{{"near", 3}}, 2};
    std::vector<api::Endpoint> endpoints;
    for (int ip = 1; ip <= 6; ++ip) {
      if (pick(2) == 0) continue;
      endpoints.push_back(endpoint("p" + std::to_string(ip), "10.0.0." + std::to_string(ip), {8000},
                                   pick(4) == 0 ? kDraining : api::EndpointState::kReady));
      if (pick(2) == 0) endpoints.back().zone = "near";
    }
    std::vector<std::string> problems;
    const auto wanted = wanted_servers(list_of(1, endpoints), {}, {}, &problems);
    int steps = 0;
    Plan plan = make_plan(wanted, haproxy.snapshot(), names);
    for (; !plan.commands.empty() && steps < 20; ++steps) {
      const bool withdraws = plan.commands.front().kind == CommandKind::kWithdraw;
      for (const Command& command : plan.commands) {
        ASSERT_EQ(command.kind == CommandKind::kWithdraw, withdraws) << "withdrawals go alone";
        ASSERT_EQ(refusal_of(command, haproxy.carry_out(command.text)), std::nullopt);
        ASSERT_TRUE(command.kind != CommandKind::kAdmit || weight_is_right(command, haproxy, wanted, names));
      }
      plan = make_plan(wanted, haproxy.snapshot(), names);
    }
    ASSERT_LE(steps, 5) << "round " << round;
    ASSERT_EQ(haproxy.foreign_touched + haproxy.readdressed_in_use + haproxy.parked_while_busy, 0);
    std::size_t ready = 0;
    for (const WantedServer& want : wanted) ready += want.state == api::EndpointState::kReady ? 1 : 0;
    ASSERT_EQ(plan.ready + plan.unplaced.size(), ready) << "round " << round;
    for (const ObservedServer& server : haproxy.servers) {
      if (server.admin != AdminState::kReady || server.name == "spare" || server.name == "pod-x") continue;
      const bool listed = std::any_of(wanted.begin(), wanted.end(), [&](const WantedServer& want) {
        return want.address == *server.address && want.state == api::EndpointState::kReady &&
               (!names.weights || server.weight == names.weights->of(want.zone));
      });
      ASSERT_TRUE(listed) << server.address->to_string();
    }
  }
}

}  // namespace
}  // namespace poolwarden::gateway
