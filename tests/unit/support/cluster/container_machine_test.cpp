// The life of a container: every (state, input) pair is a row, also those that cannot happen; then the
// arithmetic of grace periods and of the restart delays.
#include "support/cluster/container_machine.h"

#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::cluster {
namespace {

using namespace container;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

const Timestamp kStart = Timestamp{} + 1000h;
const Timestamp kNow = kStart + 100s;

std::string name_of(const State& state) {
  constexpr const char* kNames[] = {"Waiting", "Starting", "Running", "PreStop", "Stopping", "Terminated"};
  return kNames[state.index()];
}

std::string name_of(const std::vector<Effect>& effects) {
  constexpr const char* kNames[] = {"start", "hook", "term", "kill"};
  std::string names;
  for (const Effect effect : effects)
    names += std::string(names.empty() ? "" : " ") + kNames[static_cast<int>(effect)];
  return names;
}

const State kWaiting = Waiting{"ContainerCreating", "", kStart};
const State kWaitingLonger = Waiting{"CrashLoopBackOff", "", kNow + 10s};
const State kStarting = Starting{};
const State kRunning = Running{kStart};
const State kPreStop = PreStop{kStart, kNow + 5s, kNow + 30s};
const State kPreStopOver = PreStop{kStart, kNow, kNow + 30s};
const State kPreStopNoGrace = PreStop{kStart, std::nullopt, kNow};
const State kStopping = Stopping{kStart, kNow + 30s, false};
const State kStoppingOver = Stopping{kStart, kNow, false};
const State kKilled = Stopping{kStart, kNow, true};
const State kTerminated = Terminated{kStart, kStart, 0, "Completed"};

struct Row {
  State state;
  Input input;
  const char* next;
  const char* effects;
  bool for_good = false;
  const char* note = "";
};

class Transition : public testing::TestWithParam<Row> {};

TEST_P(Transition, IsAsTheTableSays) {
  const Row& row = GetParam();
  ContainerMachine machine(ContainerRules{}, row.state, row.for_good);
  const auto effects = machine.step(row.input, kNow);
  EXPECT_EQ(name_of(machine.state()), row.next);
  EXPECT_EQ(name_of(effects), row.effects);
}

std::string row_name(const testing::TestParamInfo<Row>& info) {
  constexpr const char* kInputs[] = {"Tick", "Started", "StartFailed", "Exited", "HookDone", "Stop"};
  return fmt::format("{}_{}_{}{}", name_of(info.param.state), kInputs[info.param.input.index()],
                     info.param.note, info.index);
}

const Input kStop = Stop{30s, true};
const Input kRestart = Stop{30s, false};
const Input kKillNow = Stop{0s, true};
const Input kFailed = StartFailed{"ErrImagePull", ""};

INSTANTIATE_TEST_SUITE_P(Waiting, Transition,
                         testing::Values(Row{kWaiting, Tick{}, "Starting", "start"},
                                         Row{kWaitingLonger, Tick{}, "Waiting", "", false, "early"},
                                         Row{kWaiting, Started{}, "Waiting", ""},
                                         Row{kWaiting, kFailed, "Waiting", ""},
                                         Row{kWaiting, Exited{1}, "Waiting", ""},
                                         Row{kWaiting, HookDone{}, "Waiting", ""},
                                         Row{kWaiting, kStop, "Terminated", ""},
                                         Row{kWaiting, kRestart, "Waiting", "", false, "restart"},
                                         Row{kWaiting, kKillNow, "Terminated", "", false, "now"}),
                         row_name);
INSTANTIATE_TEST_SUITE_P(
    Starting, Transition,
    testing::Values(Row{kStarting, Tick{}, "Starting", ""}, Row{kStarting, Started{}, "Running", ""},
                    Row{kStarting, kFailed, "Waiting", ""}, Row{kStarting, Exited{1}, "Waiting", ""},
                    Row{kStarting, Exited{1}, "Terminated", "", true, "for_good"},
                    Row{kStarting, HookDone{}, "Starting", ""}, Row{kStarting, kStop, "Stopping", "term"},
                    Row{kStarting, kRestart, "Starting", "", false, "restart"},
                    Row{kStarting, kKillNow, "Stopping", "kill", false, "now"}),
    row_name);
INSTANTIATE_TEST_SUITE_P(
    Running, Transition,
    testing::Values(Row{kRunning, Tick{}, "Running", ""}, Row{kRunning, Started{}, "Running", ""},
                    Row{kRunning, kFailed, "Running", ""}, Row{kRunning, Exited{1}, "Waiting", ""},
                    Row{kRunning, Exited{1}, "Terminated", "", true, "for_good"},
                    Row{kRunning, HookDone{}, "Running", ""}, Row{kRunning, kStop, "Stopping", "term"},
                    Row{kRunning, kRestart, "Stopping", "term", false, "restart"},
                    Row{kRunning, kKillNow, "Stopping", "kill", false, "now"}),
    row_name);
INSTANTIATE_TEST_SUITE_P(
    PreStop, Transition,
    testing::Values(Row{kPreStop, Tick{}, "PreStop", ""},
                    Row{kPreStopOver, Tick{}, "Stopping", "term", true, "over"},
                    Row{kPreStopNoGrace, Tick{}, "Stopping", "term", true, "no_grace_left"},
                    Row{kPreStop, Started{}, "PreStop", ""}, Row{kPreStop, kFailed, "PreStop", ""},
                    Row{kPreStop, Exited{1}, "Terminated", "", true, "for_good"},
                    Row{kPreStop, Exited{1}, "Waiting", ""}, Row{kPreStop, HookDone{}, "Stopping", "term"},
                    Row{kPreStop, kStop, "PreStop", ""},
                    Row{kPreStop, kKillNow, "Stopping", "kill", false, "now"}),
    row_name);
INSTANTIATE_TEST_SUITE_P(Stopping, Transition,
                         testing::Values(Row{kStopping, Tick{}, "Stopping", ""},
                                         Row{kStoppingOver, Tick{}, "Stopping", "kill", true, "over"},
                                         Row{kKilled, Tick{}, "Stopping", "", true, "killed"},
                                         Row{kStopping, Started{}, "Stopping", "term", true, "late"},
                                         Row{kKilled, Started{}, "Stopping", "kill", true, "late_killed"},
                                         Row{kStopping, kFailed, "Terminated", ""},
                                         Row{kStopping, Exited{0}, "Terminated", "", true, "for_good"},
                                         Row{kStopping, Exited{0}, "Waiting", ""},
                                         Row{kStopping, HookDone{}, "Stopping", ""},
                                         Row{kStopping, kStop, "Stopping", ""},
                                         Row{kStopping, kKillNow, "Stopping", "kill", false, "now"},
                                         Row{kKilled, kKillNow, "Stopping", "", false, "killed_twice"}),
                         row_name);
INSTANTIATE_TEST_SUITE_P(Terminated, Transition,
                         testing::Values(Row{kTerminated, Tick{}, "Terminated", ""},
                                         Row{kTerminated, Started{}, "Terminated", ""},
                                         Row{kTerminated, kFailed, "Terminated", ""},
                                         Row{kTerminated, Exited{1}, "Terminated", ""},
                                         Row{kTerminated, HookDone{}, "Terminated", ""},
                                         Row{kTerminated, kStop, "Terminated", ""},
                                         Row{kTerminated, kKillNow, "Terminated", "", false, "now"}),
                         row_name);

ContainerRules with_sleep(std::chrono::seconds sleep) {
  ContainerRules rules;
  rules.pre_stop.sleep = sleep;
  return rules;
}

TEST(Grace, PreStopCountsAgainstIt) {
  ContainerMachine machine(with_sleep(5s), State(Running{kStart}), false);
  EXPECT_THAT(machine.step(Stop{30s}, kNow), IsEmpty());
  EXPECT_EQ(machine.next_deadline(), kNow + 5s);
  EXPECT_THAT(machine.step(Tick{}, kNow + 5s), ElementsAre(Effect::kTerm));
  EXPECT_EQ(machine.next_deadline(), kNow + 30s);
  EXPECT_THAT(machine.step(Tick{}, kNow + 29s), IsEmpty());
  EXPECT_THAT(machine.step(Tick{}, kNow + 30s), ElementsAre(Effect::kKill));
  EXPECT_EQ(machine.next_deadline(), std::nullopt);
}

TEST(Grace, APreStopLongerThanItIsCutAndLeavesTwoSeconds) {
  ContainerMachine machine(with_sleep(60s), State(Running{kStart}), false);
  machine.step(Stop{10s}, kNow);
  EXPECT_THAT(machine.step(Tick{}, kNow + 9s), IsEmpty());
  EXPECT_THAT(machine.step(Tick{}, kNow + 10s), ElementsAre(Effect::kTerm));
  EXPECT_THAT(machine.step(Tick{}, kNow + 11s), IsEmpty());
  EXPECT_THAT(machine.step(Tick{}, kNow + 12s), ElementsAre(Effect::kKill));
}

TEST(Grace, ASecondStopCanOnlyShortenIt) {
  ContainerMachine machine(ContainerRules{}, State(Running{kStart}), false);
  machine.step(Stop{30s}, kNow);
  machine.step(Stop{60s}, kNow + 1s);
  EXPECT_EQ(machine.next_deadline(), kNow + 30s);
  machine.step(Stop{5s}, kNow + 2s);
  EXPECT_EQ(machine.next_deadline(), kNow + 7s);
}

TEST(Grace, AnExecHookEndsWhenItSaysSo) {
  ContainerRules rules;
  rules.pre_stop.command = {"sleep", "5"};
  ContainerMachine machine(rules, State(Running{kStart}), false);
  EXPECT_THAT(machine.step(Stop{30s}, kNow), ElementsAre(Effect::kRunHook));
  EXPECT_THAT(machine.step(HookDone{}, kNow + 3s), ElementsAre(Effect::kTerm));
}

// Runs and exits; returns the delay until it is started again.
std::chrono::milliseconds crash(ContainerMachine& machine, Timestamp& now, std::chrono::seconds after) {
  machine.step(Started{}, now);
  now += after;
  machine.step(Exited{1}, now);
  const Timestamp due = machine.next_deadline().value();
  const auto delay = std::chrono::duration_cast<std::chrono::milliseconds>(due - now);
  now = due;
  EXPECT_THAT(machine.step(Tick{}, now), ElementsAre(Effect::kStart));
  return delay;
}

TEST(Backoff, OfAContainerThatCrashesIs0_10_20_40_80_160_300_300) {
  ContainerMachine machine(ContainerRules{}, kStart);
  Timestamp now = kStart;
  machine.step(Tick{}, now);
  for (const auto expected : {0s, 10s, 20s, 40s, 80s, 160s, 300s, 300s})
    EXPECT_EQ(crash(machine, now, 1s), expected);
  EXPECT_EQ(machine.restarts(), 8);
}

TEST(Backoff, BeginsAnewAfterTenMinutesOfRunning) {
  ContainerMachine machine(ContainerRules{}, kStart);
  Timestamp now = kStart;
  machine.step(Tick{}, now);
  for (int i = 0; i < 5; ++i) crash(machine, now, 1s);
  EXPECT_EQ(crash(machine, now, 600s), 0s);
  EXPECT_EQ(crash(machine, now, 1s), 10s);
}

TEST(Backoff, OfAnImageThatIsNotThere) {
  ContainerMachine machine(ContainerRules{}, kStart);
  machine.step(Tick{}, kStart);
  machine.step(kFailed, kStart);
  EXPECT_EQ(machine.next_deadline(), kStart + 10s);
  EXPECT_EQ(std::get<Waiting>(machine.state()).reason, "ErrImagePull");
}

struct PolicyRow {
  RestartPolicy policy;
  int exit_code;
  const char* next;
};
class Policy : public testing::TestWithParam<PolicyRow> {};
TEST_P(Policy, DecidesWhetherItIsStartedAgain) {
  ContainerRules rules;
  rules.restart = GetParam().policy;
  ContainerMachine machine(rules, State(Running{kStart}), false);
  machine.step(Exited{GetParam().exit_code}, kNow);
  EXPECT_EQ(name_of(machine.state()), GetParam().next);
}
INSTANTIATE_TEST_SUITE_P(Rows, Policy,
                         testing::Values(PolicyRow{RestartPolicy::kAlways, 0, "Waiting"},
                                         PolicyRow{RestartPolicy::kAlways, 1, "Waiting"},
                                         PolicyRow{RestartPolicy::kOnFailure, 0, "Terminated"},
                                         PolicyRow{RestartPolicy::kOnFailure, 1, "Waiting"},
                                         PolicyRow{RestartPolicy::kNever, 0, "Terminated"},
                                         PolicyRow{RestartPolicy::kNever, 1, "Terminated"}));

}  // namespace
}  // namespace poolwarden::cluster
