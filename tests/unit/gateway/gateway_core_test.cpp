#include "gateway/gateway_core.h"

#include "gateway/haproxy.h"
#include "haproxy_model.h"

#include <algorithm>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr kube::TimePoint kStart{std::chrono::hours(1)};

kube::Error refused_connection() {
  return {kube::ErrorClass::kRetry, 0, "Unreachable", "nothing listens", {}};
}

// What the core asked for, as words: "observe", "apply: a; b", "withdraw pod-1 (a)", ...
std::string word(const effect::Observe& look) {
  return look.remembered ? "remember" : "observe";
}
std::string word(const effect::Apply& apply) {
  std::string text = "apply:";
  for (const Command& command : apply.commands)
    text += " " + command.text.substr(std::string("set server b/").size()) + ";";
  return text;
}
std::string word(const effect::Acknowledged& done) {
  constexpr const char* kVerbs[] = {"withdrew", "parked", "readdressed", "weighed", "admitted"};
  std::string text = std::string(kVerbs[static_cast<int>(done.command.kind)]) + " " + done.pod;
  if (done.latency)
    text += " after " +
            std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(*done.latency).count());
  return text;
}
std::string word(const effect::Settled& settled) {
  std::string text = "settled " + std::to_string(settled.revision) + " ready " +
                     std::to_string(settled.ready) + " draining " + std::to_string(settled.draining);
  if (settled.latency)
    text += " after " +
            std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(*settled.latency).count());
  for (const std::string& pod : settled.unplaced) text += " unplaced " + pod;
  return text;
}
std::string word(const effect::GatewayFound& found) {
  return "found " + found.process.id + (found.restarted_from ? " instead of " + *found.restarted_from : "");
}
std::string word(const effect::GatewayFailed& failed) {
  return "failed " + std::to_string(failed.failures) + ": " + failed.error.message;
}
std::string word(const effect::ListProblems& list) {
  return "problems " + std::to_string(list.problems.size());
}

// The core with a HAProxy beside it that answers when it is told to.
struct Bench {
  GatewayCore core{{"HAProxy", 500ms}};
  HaproxyModel haproxy{2};
  kube::TimePoint now = kStart;
  std::uint64_t attempt = 0;
  std::vector<Command> commands;
  std::vector<std::string> words;  // of the last step

  void step(CoreInput input) {
    words.clear();
    for (const CoreEffect& effect : core.step(std::move(input), now)) {
      if (const auto* observe = std::get_if<effect::Observe>(&effect)) attempt = observe->attempt;
      if (const auto* apply = std::get_if<effect::Apply>(&effect)) {
        attempt = apply->attempt;
        commands = apply->commands;
      }
      words.push_back(std::visit([](const auto& what) { return word(what); }, effect));
    }
  }
  void list(std::int64_t revision, std::vector<api::Endpoint> endpoints) {
    step(input::ListSeen{list_of(revision, std::move(endpoints)), now});
  }
  void snapshot() { show(haproxy.snapshot()); }
  void show(HaproxySnapshot seen) { step(input::Observed{attempt, observed(std::move(seen))}); }
  void answer() {
    std::vector<std::optional<std::string>> refusals;
    for (const Command& command : commands)
      refusals.push_back(refusal_of(command, haproxy.carry_out(command.text)));
    step(input::Answered{attempt, std::move(refusals)});
  }
  void fail() { step(input::Failed{attempt, refused_connection()}); }
  // HAProxy answers until the core rests.
  void settle() {
    for (int i = 0; i < 20 && core.state_name() != "resting"; ++i)
      core.state_name() == "applying" ? answer() : snapshot();
    ASSERT_EQ(core.state_name(), "resting");
  }
};

// A gateway whose commands name addresses: what it had when it agreed is good for the next change too.
struct ByAddress final : Observation {
  explicit ByAddress(std::vector<std::string> held) : ready(std::move(held)) {}
  Process process() const override { return {"100", "1"}; }
  Plan plan(const std::vector<WantedServer>& wanted) const override {
    Plan plan;
    for (const WantedServer& want : wanted) {
      const bool is_ready = want.state == api::EndpointState::kReady;
      if (is_ready == (std::count(ready.begin(), ready.end(), want.pod) > 0)) continue;
      const CommandKind kind = is_ready ? CommandKind::kAdmit : CommandKind::kWithdraw;
      plan.commands.push_back({kind, want.pod, want.address, "set server b/" + want.pod});
    }
    return plan;
  }
  std::vector<ServerAddress> addresses() const override { return {}; }
  bool may_be_reused() const override { return true; }
  std::vector<std::string> ready;
};

// The core rests, and its gateway has both.
struct Agreed : Bench {
  Agreed() {
    list(1, {endpoint("a", "10.0.0.1"), endpoint("b", "10.0.0.2")});
    show({"a", "b"});
  }
  void show(std::vector<std::string> ready) {
    step(input::Observed{attempt, std::make_shared<ByAddress>(std::move(ready))});
  }
  void remember() { show({"a", "b"}); }
  void accept() { step(input::Answered{attempt, {std::nullopt}}); }
};

TEST(GatewayCore, ChangeIsPlannedFromWhatAgreed_AndLookedAtAfterwards) {
  Agreed b;
  ASSERT_EQ(b.core.state_name(), "resting");
  b.step(input::PodsFell{{"uid-a"}, b.now});
  EXPECT_THAT(b.words, ElementsAre("remember"));
  b.remember();
  EXPECT_THAT(b.words, ElementsAre("apply: a;"));
  b.accept();
  EXPECT_THAT(b.words, ElementsAre("withdrew a after 0", "observe"));
  b.show({"a", "b"});  // somebody has put it back, or the gateway began anew
  EXPECT_THAT(b.words, ElementsAre("apply: a;"));
  b.accept();
  b.show({"b"});
  ASSERT_EQ(b.core.state_name(), "resting");
  b.step(input::PodsFell{{}, b.now});
  EXPECT_THAT(b.words, ElementsAre("remember"));
  b.show({"b"});
  EXPECT_THAT(b.words, ElementsAre("apply: a;"));
  b.fail();
  b.step(input::PodsFell{{"uid-b"}, b.now});
  EXPECT_THAT(b.words, ElementsAre("observe")) << "what was seen before it failed is forgotten";
}

TEST(GatewayCore, NothingFollowsFromWhatAgreed_SoTheGatewayIsAsked) {
  Agreed b;
  b.list(2, {endpoint("a", "10.0.0.1"), endpoint("b", "10.0.0.2")});
  EXPECT_THAT(b.words, ElementsAre("remember"));
  b.remember();
  EXPECT_THAT(b.words, ElementsAre("observe"));
  b.show({"a", "b"});
  EXPECT_EQ(b.core.state_name(), "resting");
}

// A pod that fell and then left the list counts as fallen no more, a moment before the list is known.
TEST(GatewayCore, ChangesThatComeTogetherAreOnePlan) {
  Agreed b;
  b.step(input::PodsFell{{"uid-a"}, b.now});
  b.remember();
  b.accept();
  b.show({"b"});
  ASSERT_EQ(b.core.state_name(), "resting");
  b.step(input::PodsFell{{}, b.now});
  EXPECT_THAT(b.words, ElementsAre("remember"));
  b.list(2, {endpoint("b", "10.0.0.2")});
  EXPECT_THAT(b.words, IsEmpty());
  b.show({"b"});
  EXPECT_THAT(b.words, ElementsAre("observe")) << "and a is not sent a request";
}

// ---- Every (state, input) pair
// --------------------------------------------------------------------------------

void to_awaiting(Bench&) {}
void to_observing(Bench& bench) {
  bench.list(1, {endpoint("a", "10.0.0.1")});
}
void to_applying(Bench& bench) {
  to_observing(bench);
  bench.snapshot();
}
void to_resting(Bench& bench) {
  to_observing(bench);
  bench.settle();
}
void to_backing_off(Bench& bench) {
  to_observing(bench);
  bench.fail();
}

struct CoreRow {
  std::string situation;
  std::function<void(Bench&)> reach;
  std::string before;
  std::function<void(Bench&)> input;
  std::string after;
  std::vector<std::string> words;
};

class CoreTable : public testing::TestWithParam<CoreRow> {};

TEST_P(CoreTable, DoesThis) {
  const CoreRow& row = GetParam();
  Bench bench;
  row.reach(bench);
  ASSERT_EQ(bench.core.state_name(), row.before);
  row.input(bench);
  EXPECT_EQ(bench.core.state_name(), row.after) << row.situation;
  EXPECT_EQ(bench.words, row.words) << row.situation;
  // Outside the states in which an answer is owed there is a deadline; and nothing rests without a list.
  const bool owed = row.after == "observing" || row.after == "applying" || row.after == "awaiting-list";
  EXPECT_EQ(bench.core.next_deadline().has_value(), !owed);
}

void new_list(Bench& b) {
  b.list(2, {endpoint("b", "10.0.0.2")});
}
void pod_fell(Bench& b) {
  b.step(input::PodsFell{{"uid-a"}, b.now});
}
void nothing_fell(Bench& b) {
  b.step(input::PodsFell{{}, b.now});
}
// A gateway that has been told everything and takes its time.
void told(Bench& b) {
  struct Slow final : Observation {
    Process process() const override { return {"100", "1"}; }
    Plan plan(const std::vector<WantedServer>&) const override {
      Plan plan;
      plan.waits_for = "it has not added 10.0.0.1 yet";
      return plan;
    }
    std::vector<ServerAddress> addresses() const override { return {}; }
  };
  b.step(input::Observed{b.attempt, std::make_shared<Slow>()});
}
void to_waiting(Bench& b) {
  to_observing(b);
  told(b);
}
void agreeing(Bench& b) {
  auto snapshot = b.haproxy.snapshot();
  snapshot.servers[0] = {"pod-1", make_address("10.0.0.1", 8000), AdminState::kReady, 0};
  b.show(snapshot);
}
void differing(Bench& b) {
  b.snapshot();
}
void without_slots(Bench& b) {
  b.show({100, "2.6.12", {}});
}
void old_snapshot(Bench& b) {
  b.step(input::Observed{b.attempt + 100, observed(b.haproxy.snapshot())});
}
void accepted(Bench& b) {
  b.answer();
}
void refused(Bench& b) {
  b.step(input::Answered{b.attempt, {refusal_of(b.commands.front(), "Permission denied\n")}});
}
void too_few(Bench& b) {
  b.step(input::Answered{b.attempt, {}});
}
void old_answer(Bench& b) {
  b.step(input::Answered{b.attempt + 100, {std::nullopt}});
}
void failed(Bench& b) {
  b.fail();
}
void old_failure(Bench& b) {
  b.step(input::Failed{b.attempt + 100, refused_connection()});
}
void early_tick(Bench& b) {
  b.now += 49ms;
  b.step(input::Tick{});
}
void late_tick(Bench& b) {
  b.now += 500ms;
  b.step(input::Tick{});
}

INSTANTIATE_TEST_SUITE_P(
    Awaiting, CoreTable,
    testing::Values(
        CoreRow{"the first list", to_awaiting, "awaiting-list", new_list, "observing", {"observe"}},
        CoreRow{"a snapshot nobody asked for", to_awaiting, "awaiting-list", differing, "awaiting-list", {}},
        CoreRow{"an answer nobody asked for", to_awaiting, "awaiting-list", too_few, "awaiting-list", {}},
        CoreRow{"a pod of no list", to_awaiting, "awaiting-list", pod_fell, "awaiting-list", {}},
        CoreRow{"a failure of nothing", to_awaiting, "awaiting-list", failed, "awaiting-list", {}},
        CoreRow{"time alone never touches HAProxy",
                to_awaiting,
                "awaiting-list",
                late_tick,
                "awaiting-list",
                {}}),
    [](const auto& row) { return "Row" + std::to_string(row.index); });

INSTANTIATE_TEST_SUITE_P(
    Observing, CoreTable,
    testing::Values(
        CoreRow{
            "a list: the snapshot under way serves it", to_observing, "observing", new_list, "observing", {}},
        CoreRow{"a pod fell: the snapshot under way serves it",
                to_observing,
                "observing",
                pod_fell,
                "observing",
                {}},
        CoreRow{"it needs some time", to_observing, "observing", told, "waiting", {"found 100"}},
        CoreRow{"HAProxy agrees",
                to_observing,
                "observing",
                agreeing,
                "resting",
                {"found 100", "settled 1 ready 1 draining 0 after 0"}},
        CoreRow{"HAProxy differs",
                to_observing,
                "observing",
                differing,
                "applying",
                {"found 100", "apply: pod-1 addr 10.0.0.1 port 8000;"}},
        CoreRow{"no server is ours",
                to_observing,
                "observing",
                without_slots,
                "backing-off",
                {"found 100",
                 "failed 1: HAProxy's backend b has no server named pod-1, pod-2, ...: add 'server-template "
                 "pod- 64 "
                 "127.0.0.1:1 disabled' to it, or correct --server-prefix"}},
        CoreRow{"a snapshot of another attempt", to_observing, "observing", old_snapshot, "observing", {}},
        CoreRow{"an answer to commands", to_observing, "observing", too_few, "observing", {}},
        CoreRow{
            "HAProxy fails", to_observing, "observing", failed, "backing-off", {"failed 1: nothing listens"}},
        CoreRow{"a failure of another attempt", to_observing, "observing", old_failure, "observing", {}},
        CoreRow{"time", to_observing, "observing", late_tick, "observing", {}}),
    [](const auto& row) { return "Row" + std::to_string(row.index); });

INSTANTIATE_TEST_SUITE_P(
    Applying, CoreTable,
    testing::Values(
        CoreRow{"a list: after what was begun", to_applying, "applying", new_list, "applying", {}},
        CoreRow{"a pod fell: after what was begun", to_applying, "applying", pod_fell, "applying", {}},
        CoreRow{"a snapshot", to_applying, "applying", differing, "applying", {}},
        CoreRow{"HAProxy did it",
                to_applying,
                "applying",
                accepted,
                "observing",
                {"readdressed a after 0", "observe"}},
        CoreRow{"HAProxy refused",
                to_applying,
                "applying",
                refused,
                "backing-off",
                {"failed 1: HAProxy refused 'set server b/pod-1 addr 10.0.0.1 port 8000': Permission denied "
                 "(its stats socket line needs 'level admin')"}},
        CoreRow{"fewer answers than commands",
                to_applying,
                "applying",
                too_few,
                "backing-off",
                {"failed 1: HAProxy gave 0 answers to 1 commands"}},
        CoreRow{"an answer of another attempt", to_applying, "applying", old_answer, "applying", {}},
        CoreRow{
            "HAProxy fails", to_applying, "applying", failed, "backing-off", {"failed 1: nothing listens"}},
        CoreRow{"a failure of another attempt", to_applying, "applying", old_failure, "applying", {}},
        CoreRow{"time", to_applying, "applying", late_tick, "applying", {}}),
    [](const auto& row) { return "Row" + std::to_string(row.index); });

INSTANTIATE_TEST_SUITE_P(
    Waiting, CoreTable,
    testing::Values(CoreRow{"a list", to_waiting, "waiting", new_list, "observing", {"observe"}},
                    CoreRow{"a pod fell", to_waiting, "waiting", pod_fell, "observing", {"observe"}},
                    CoreRow{"a late snapshot", to_waiting, "waiting", differing, "waiting", {}},
                    CoreRow{"a failure", to_waiting, "waiting", failed, "waiting", {}},
                    CoreRow{
                        "time to look again", to_waiting, "waiting", late_tick, "observing", {"observe"}}),
    [](const auto& row) { return "Row" + std::to_string(row.index); });

INSTANTIATE_TEST_SUITE_P(
    Resting, CoreTable,
    testing::Values(CoreRow{"a list", to_resting, "resting", new_list, "observing", {"observe"}},
                    CoreRow{"a pod fell", to_resting, "resting", pod_fell, "observing", {"observe"}},
                    CoreRow{"no other pod fell", to_resting, "resting", nothing_fell, "resting", {}},
                    CoreRow{"a snapshot", to_resting, "resting", differing, "resting", {}},
                    CoreRow{"an answer", to_resting, "resting", too_few, "resting", {}},
                    CoreRow{"a failure", to_resting, "resting", failed, "resting", {}},
                    CoreRow{"time, too early", to_resting, "resting", early_tick, "resting", {}},
                    CoreRow{
                        "time to look again", to_resting, "resting", late_tick, "observing", {"observe"}}),
    [](const auto& row) { return "Row" + std::to_string(row.index); });

INSTANTIATE_TEST_SUITE_P(
    BackingOff, CoreTable,
    testing::Values(
        CoreRow{
            "a list is worth an attempt", to_backing_off, "backing-off", new_list, "observing", {"observe"}},
        CoreRow{"a pod that fell is worth an attempt",
                to_backing_off,
                "backing-off",
                pod_fell,
                "observing",
                {"observe"}},
        CoreRow{"a late snapshot", to_backing_off, "backing-off", differing, "backing-off", {}},
        CoreRow{"a late answer", to_backing_off, "backing-off", too_few, "backing-off", {}},
        CoreRow{"a second failure of one attempt", to_backing_off, "backing-off", failed, "backing-off", {}},
        CoreRow{"time, too early", to_backing_off, "backing-off", early_tick, "backing-off", {}},
        CoreRow{"time to try again", to_backing_off, "backing-off", late_tick, "observing", {"observe"}}),
    [](const auto& row) { return "Row" + std::to_string(row.index); });

// ---- Stories
// ------------------------------------------------------------------------------------------------

TEST(GatewayCore, WithdrawsFirstAndSaysHowLongItTook) {
  Bench bench;
  bench.list(1, {endpoint("a", "10.0.0.1"), endpoint("b", "10.0.0.2")});
  bench.settle();
  EXPECT_TRUE(bench.core.serving());
  bench.list(2, {endpoint("b", "10.0.0.2"), endpoint("c", "10.0.0.3")});
  bench.now += 2ms;
  bench.snapshot();
  EXPECT_THAT(bench.words, ElementsAre("apply: pod-1 state drain;"));
  bench.now += 1ms;
  bench.answer();
  EXPECT_THAT(bench.words, ElementsAre("withdrew a after 3", "observe"));
}

TEST(GatewayCore, PodThatFell_IsWithdrawnAndComesBackWhenItStands) {
  Bench bench;
  bench.list(1, {endpoint("a", "10.0.0.1"), endpoint("b", "10.0.0.2")});
  bench.settle();
  pod_fell(bench);
  bench.now += 2ms;
  bench.snapshot();
  EXPECT_THAT(bench.words, ElementsAre("apply: pod-1 state drain;"));
  bench.answer();
  EXPECT_THAT(bench.words, ElementsAre("withdrew a after 2", "observe"));
  bench.settle();
  // A list that does not know it yet brings nobody back.
  bench.list(2, {endpoint("a", "10.0.0.1"), endpoint("c", "10.0.0.3")});
  bench.settle();
  const ObservedServer* fallen = bench.haproxy.at("10.0.0.1:8000");
  EXPECT_TRUE(fallen == nullptr || fallen->admin != AdminState::kReady);
  nothing_fell(bench);
  bench.settle();
  ASSERT_NE(bench.haproxy.at("10.0.0.1:8000"), nullptr);
  EXPECT_EQ(bench.haproxy.at("10.0.0.1:8000")->admin, AdminState::kReady);
}

TEST(GatewayCore, AListThatComesWhileOneIsAppliedIsAppliedNext) {
  Bench bench;
  to_applying(bench);
  bench.list(2, {});
  bench.answer();
  bench.snapshot();
  EXPECT_THAT(bench.words, ElementsAre("settled 2 ready 0 draining 0 after 0"));
}

TEST(GatewayCore, HoldsARestartedHaproxyToTheLastList) {
  Bench bench;
  to_resting(bench);
  bench.haproxy.restart();
  bench.now += 500ms;
  bench.step(input::Tick{});
  bench.snapshot();
  EXPECT_THAT(bench.words, ElementsAre("found 101 instead of 100", "apply: pod-1 addr 10.0.0.1 port 8000;"));
  bench.answer();
  EXPECT_THAT(bench.words, ElementsAre("readdressed a", "observe"));  // no list asked for it: no latency
  bench.settle();
  EXPECT_EQ(bench.haproxy.servers[0].admin, AdminState::kReady);
}

TEST(GatewayCore, ParksADrainedServerOnceItIsIdle) {
  Bench bench;
  to_resting(bench);
  bench.haproxy.servers[0].busy = 1;
  bench.list(2, {});
  bench.settle();
  EXPECT_THAT(bench.words, ElementsAre("settled 2 ready 0 draining 1 after 0"));
  for (int i = 0; i < 5; ++i) {
    bench.now += 500ms;
    bench.step(input::Tick{});
    bench.snapshot();
    EXPECT_THAT(bench.words, ElementsAre("settled 2 ready 0 draining 1"));
  }
  bench.haproxy.servers[0].busy = 0;
  bench.now += 500ms;
  bench.step(input::Tick{});
  bench.snapshot();
  EXPECT_THAT(bench.words, ElementsAre("apply: pod-1 state maint;"));
  bench.answer();
  EXPECT_THAT(bench.words, ElementsAre("parked a", "observe"));
}

TEST(GatewayCore, TriesAgainForEverWithCappedDelays) {
  Bench bench;
  to_observing(bench);
  std::vector<std::int64_t> delays;
  for (int i = 0; i < 8; ++i) {
    bench.fail();
    EXPECT_FALSE(bench.core.serving());
    const auto deadline = bench.core.next_deadline();
    ASSERT_TRUE(deadline);
    delays.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(*deadline - bench.now).count());
    bench.now = *deadline;
    bench.step(input::Tick{});
    ASSERT_EQ(bench.core.state_name(), "observing");
  }
  EXPECT_THAT(delays, ElementsAre(50, 100, 200, 400, 800, 1000, 1000, 1000));
  bench.settle();
  EXPECT_TRUE(bench.core.serving());
  bench.list(2, {});
  bench.fail();  // the sequence starts anew
  EXPECT_EQ(*bench.core.next_deadline() - bench.now, 50ms);
}

TEST(GatewayCore, ARefusalIsToldOnceHaproxyIsFoundOnce) {
  Bench bench;
  to_applying(bench);
  refused(bench);
  bench.now += 50ms;
  bench.step(input::Tick{});
  bench.snapshot();
  EXPECT_THAT(bench.words, ElementsAre("apply: pod-1 addr 10.0.0.1 port 8000;"));
}

TEST(GatewayCore, GivesInToNobodyButDoesNotSpin) {
  Bench bench;
  to_observing(bench);
  int applied = 0;
  for (int i = 0; i < 100 && bench.core.state_name() != "backing-off"; ++i) {
    if (bench.core.state_name() == "applying") {
      bench.answer();
      bench.haproxy.restart();  // someone undoes what was done
      ++applied;
    } else {
      bench.snapshot();
    }
  }
  EXPECT_EQ(applied, kMaxPasses);
  ASSERT_FALSE(bench.words.empty());
  EXPECT_THAT(bench.words.back(), HasSubstr("does not stay as it is told"));
}

TEST(GatewayCore, AnEmptyListIsObeyed) {
  Bench bench;
  to_resting(bench);
  bench.list(2, {});
  bench.settle();
  EXPECT_EQ(bench.haproxy.servers[0].admin, AdminState::kMaintenance) << "drained, idle and so parked";
}

TEST(GatewayCore, SaysWhoFoundNoServer) {
  Bench bench;
  bench.list(3, {endpoint("a", "10.0.0.1"), endpoint("b", "10.0.0.2"), endpoint("c", "10.0.0.3")});
  bench.settle();
  EXPECT_THAT(bench.words, ElementsAre("settled 3 ready 2 draining 0 after 0 unplaced c"));
}

TEST(GatewayCore, CarriesOutTheRestOfAListWithABrokenEndpoint) {
  Bench bench;
  bench.list(3, {endpoint("a", "nonsense"), endpoint("b", "10.0.0.2")});
  EXPECT_THAT(bench.words, ElementsAre("problems 1", "observe"));
  bench.settle();
  EXPECT_NE(bench.haproxy.at("10.0.0.2:8000"), nullptr);
}

}  // namespace
}  // namespace poolwarden::gateway
