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

const Timestamp kContainerStart = Timestamp{} + 1000h;
const Timestamp kContainerNow = kContainerStart + 100s;

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

const State kWaiting = Waiting{"ContainerCreating", "", kContainerStart};
const State kWaitingLonger = Waiting{"CrashLoopBackOff", "", kContainerNow + 10s};
const State kStarting = Starting{};
const State kRunning = Running{kContainerStart};
const State kPreStop = PreStop{kContainerStart, kContainerNow + 5s, kContainerNow + 30s};
const State kPreStopOver = PreStop{kContainerStart, kContainerNow, kContainerNow + 30s};
const State kPreStopNoGrace = PreStop{kContainerStart, std::nullopt, kContainerNow};
const State kStopping = Stopping{kContainerStart, kContainerNow + 30s, false};
const State kStoppingOver = Stopping{kContainerStart, kContainerNow, false};
const State kKilled = Stopping{kContainerStart, kContainerNow, true};
const State kTerminated = Terminated{kContainerStart, kContainerStart, 0, "Completed"};

struct ContainerRow {
  State state;
  Input input;
  const char* next;
  const char* effects;
  bool for_good = false;
  const char* note = "";
};

class Transition : public testing::TestWithParam<ContainerRow> {};

TEST_P(Transition, IsAsTheTableSays) {
  const ContainerRow& row = GetParam();
  ContainerMachine machine(ContainerRules{}, row.state, row.for_good);
  const auto effects = machine.step(row.input, kContainerNow);
  EXPECT_EQ(name_of(machine.state()), row.next);
  EXPECT_EQ(name_of(effects), row.effects);
}

std::string row_name(const testing::TestParamInfo<ContainerRow>& info) {
  constexpr const char* kInputs[] = {"Tick", "Started", "StartFailed", "Exited", "HookDone", "Stop"};
  return fmt::format("{}_{}_{}{}", name_of(info.param.state), kInputs[info.param.input.index()],
                     info.param.note, info.index);
}

const Input kStop = Stop{30s, true};
const Input kRestart = Stop{30s, false};
const Input kKillNow = Stop{0s, true};
const Input kFailed = StartFailed{"ErrImagePull", ""};

INSTANTIATE_TEST_SUITE_P(Waiting, Transition,
                         testing::Values(ContainerRow{kWaiting, Tick{}, "Starting", "start"},
                                         ContainerRow{kWaitingLonger, Tick{}, "Waiting", "", false, "early"},
                                         ContainerRow{kWaiting, Started{}, "Waiting", ""},
                                         ContainerRow{kWaiting, kFailed, "Waiting", ""},
                                         ContainerRow{kWaiting, Exited{1}, "Waiting", ""},
                                         ContainerRow{kWaiting, HookDone{}, "Waiting", ""},
                                         ContainerRow{kWaiting, kStop, "Terminated", ""},
                                         ContainerRow{kWaiting, kRestart, "Waiting", "", false, "restart"},
                                         ContainerRow{kWaiting, kKillNow, "Terminated", "", false, "now"}),
                         row_name);
INSTANTIATE_TEST_SUITE_P(Starting, Transition,
                         testing::Values(ContainerRow{kStarting, Tick{}, "Starting", ""},
                                         ContainerRow{kStarting, Started{}, "Running", ""},
                                         ContainerRow{kStarting, kFailed, "Waiting", ""},
                                         ContainerRow{kStarting, Exited{1}, "Waiting", ""},
                                         ContainerRow{kStarting, Exited{1}, "Terminated", "", true,
                                                      "for_good"},
                                         ContainerRow{kStarting, HookDone{}, "Starting", ""},
                                         ContainerRow{kStarting, kStop, "Stopping", "term"},
                                         ContainerRow{kStarting, kRestart, "Starting", "", false, "restart"},
                                         ContainerRow{kStarting, kKillNow, "Stopping", "kill", false, "now"}),
                         row_name);
INSTANTIATE_TEST_SUITE_P(
    Running, Transition,
    testing::Values(
        ContainerRow{kRunning, Tick{}, "Running", ""}, ContainerRow{kRunning, Started{}, "Running", ""},
        ContainerRow{kRunning, kFailed, "Running", ""}, ContainerRow{kRunning, Exited{1}, "Waiting", ""},
        ContainerRow{kRunning, Exited{1}, "Terminated", "", true, "for_good"},
        ContainerRow{kRunning, HookDone{}, "Running", ""}, ContainerRow{kRunning, kStop, "Stopping", "term"},
        ContainerRow{kRunning, kRestart, "Stopping", "term", false, "restart"},
        ContainerRow{kRunning, kKillNow, "Stopping", "kill", false, "now"}),
    row_name);
INSTANTIATE_TEST_SUITE_P(
    PreStop, Transition,
    testing::Values(ContainerRow{kPreStop, Tick{}, "PreStop", ""},
                    ContainerRow{kPreStopOver, Tick{}, "Stopping", "term", true, "over"},
                    ContainerRow{kPreStopNoGrace, Tick{}, "Stopping", "term", true, "no_grace_left"},
                    ContainerRow{kPreStop, Started{}, "PreStop", ""},
                    ContainerRow{kPreStop, kFailed, "PreStop", ""},
                    ContainerRow{kPreStop, Exited{1}, "Terminated", "", true, "for_good"},
                    ContainerRow{kPreStop, Exited{1}, "Waiting", ""},
                    ContainerRow{kPreStop, HookDone{}, "Stopping", "term"},
                    ContainerRow{kPreStop, kStop, "PreStop", ""},
                    ContainerRow{kPreStop, kKillNow, "Stopping", "kill", false, "now"}),
    row_name);
INSTANTIATE_TEST_SUITE_P(
    Stopping, Transition,
    testing::Values(ContainerRow{kStopping, Tick{}, "Stopping", ""},
                    ContainerRow{kStoppingOver, Tick{}, "Stopping", "kill", true, "over"},
                    ContainerRow{kKilled, Tick{}, "Stopping", "", true, "killed"},
                    ContainerRow{kStopping, Started{}, "Stopping", "term", true, "late"},
                    ContainerRow{kKilled, Started{}, "Stopping", "kill", true, "late_killed"},
                    ContainerRow{kStopping, kFailed, "Terminated", ""},
                    ContainerRow{kStopping, Exited{0}, "Terminated", "", true, "for_good"},
                    ContainerRow{kStopping, Exited{0}, "Waiting", ""},
                    ContainerRow{kStopping, HookDone{}, "Stopping", ""},
                    ContainerRow{kStopping, kStop, "Stopping", ""},
                    ContainerRow{kStopping, kKillNow, "Stopping", "kill", false, "now"},
                    ContainerRow{kKilled, kKillNow, "Stopping", "", false, "killed_twice"}),
    row_name);
INSTANTIATE_TEST_SUITE_P(Terminated, Transition,
                         testing::Values(ContainerRow{kTerminated, Tick{}, "Terminated", ""},
                                         ContainerRow{kTerminated, Started{}, "Terminated", ""},
                                         ContainerRow{kTerminated, kFailed, "Terminated", ""},
                                         ContainerRow{kTerminated, Exited{1}, "Terminated", ""},
                                         ContainerRow{kTerminated, HookDone{}, "Terminated", ""},
                                         ContainerRow{kTerminated, kStop, "Terminated", ""},
                                         ContainerRow{kTerminated, kKillNow, "Terminated", "", false, "now"}),
                         row_name);

ContainerRules with_sleep(std::chrono::seconds sleep) {
  ContainerRules rules;
  rules.pre_stop.sleep = sleep;
  return rules;
}

TEST(Grace, PreStopCountsAgainstIt) {
  ContainerMachine machine(with_sleep(5s), State(Running{kContainerStart}), false);
  EXPECT_THAT(machine.step(Stop{30s}, kContainerNow), IsEmpty());
  EXPECT_EQ(machine.next_deadline(), kContainerNow + 5s);
  EXPECT_THAT(machine.step(Tick{}, kContainerNow + 5s), ElementsAre(Effect::kTerm));
  EXPECT_EQ(machine.next_deadline(), kContainerNow + 30s);
  EXPECT_THAT(machine.step(Tick{}, kContainerNow + 29s), IsEmpty());
  EXPECT_THAT(machine.step(Tick{}, kContainerNow + 30s), ElementsAre(Effect::kKill));
  EXPECT_EQ(machine.next_deadline(), std::nullopt);
}

TEST(Grace, APreStopLongerThanItIsCutAndLeavesTwoSeconds) {
  ContainerMachine machine(with_sleep(60s), State(Running{kContainerStart}), false);
  machine.step(Stop{10s}, kContainerNow);
  EXPECT_THAT(machine.step(Tick{}, kContainerNow + 9s), IsEmpty());
  EXPECT_THAT(machine.step(Tick{}, kContainerNow + 10s), ElementsAre(Effect::kTerm));
  EXPECT_THAT(machine.step(Tick{}, kContainerNow + 11s), IsEmpty());
  EXPECT_THAT(machine.step(Tick{}, kContainerNow + 12s), ElementsAre(Effect::kKill));
}

TEST(Grace, ASecondStopCanOnlyShortenIt) {
  ContainerMachine machine(ContainerRules{}, State(Running{kContainerStart}), false);
  machine.step(Stop{30s}, kContainerNow);
  machine.step(Stop{60s}, kContainerNow + 1s);
  EXPECT_EQ(machine.next_deadline(), kContainerNow + 30s);
  machine.step(Stop{5s}, kContainerNow + 2s);
  EXPECT_EQ(machine.next_deadline(), kContainerNow + 7s);
}

TEST(Grace, AnExecHookEndsWhenItSaysSo) {
  ContainerRules rules;
  rules.pre_stop.command = {"sleep", "5"};
  ContainerMachine machine(rules, State(Running{kContainerStart}), false);
  EXPECT_THAT(machine.step(Stop{30s}, kContainerNow), ElementsAre(Effect::kRunHook));
  EXPECT_THAT(machine.step(HookDone{}, kContainerNow + 3s), ElementsAre(Effect::kTerm));
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
  ContainerMachine machine(ContainerRules{}, kContainerStart);
  Timestamp now = kContainerStart;
  machine.step(Tick{}, now);
  for (const auto expected : {0s, 10s, 20s, 40s, 80s, 160s, 300s, 300s})
    EXPECT_EQ(crash(machine, now, 1s), expected);
  EXPECT_EQ(machine.restarts(), 8);
}

TEST(Backoff, BeginsAnewAfterTenMinutesOfRunning) {
  ContainerMachine machine(ContainerRules{}, kContainerStart);
  Timestamp now = kContainerStart;
  machine.step(Tick{}, now);
  for (int i = 0; i < 5; ++i) crash(machine, now, 1s);
  EXPECT_EQ(crash(machine, now, 600s), 0s);
  EXPECT_EQ(crash(machine, now, 1s), 10s);
}

TEST(Backoff, OfAnImageThatIsNotThere) {
  ContainerMachine machine(ContainerRules{}, kContainerStart);
  machine.step(Tick{}, kContainerStart);
  machine.step(kFailed, kContainerStart);
  EXPECT_EQ(machine.next_deadline(), kContainerStart + 10s);
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
  ContainerMachine machine(rules, State(Running{kContainerStart}), false);
  machine.step(Exited{GetParam().exit_code}, kContainerNow);
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
