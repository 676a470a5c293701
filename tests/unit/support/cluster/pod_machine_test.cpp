// The life of a pod, and what its status says: with a runtime that only exists in the test.
#include "support/cluster/pod_machine.h"

#include "support/apiserver/json_util.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::cluster {
namespace {

using namespace std::chrono_literals;
using apiserver::text_at;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const Timestamp kPodStart = Timestamp{} + 500'000h;

std::string step_name(const PodEffect& effect) {
  if (const auto* start = std::get_if<StartContainer>(&effect)) {
    return fmt::format("start {}#{}", start->ref.container, start->ref.run);
  }
  if (const auto* signal = std::get_if<SignalContainer>(&effect)) {
    return fmt::format("{} {}", signal->signal == Signal::kTerm ? "term" : "kill", signal->ref.container);
  }
  if (const auto* hook = std::get_if<RunHook>(&effect)) return "hook " + hook->ref.container;
  constexpr const char* kRoles[] = {"startup", "readiness", "liveness"};
  const auto& probe = std::get<RunProbe>(effect);
  return fmt::format("{} {}", kRoles[static_cast<int>(probe.role)], probe.ref.container);
}

json pod_with(const json& container, const json& spec = json::object()) {
  json pod = {{"metadata", {{"name", "p"}, {"namespace", "ns"}, {"uid", "u"}}},
              {"spec", {{"nodeName", "node-1"}, {"containers", json::array({container})}}}};
  pod["spec"].update(spec);
  return pod;
}

json probed_container() {
  return json::parse(
      R"({"name": "c", "image": "i", "readinessProbe": {"tcpSocket": {"port": 1}, "periodSeconds": 2,
                                                                       "failureThreshold": 2}})");
}

class Pod {
 public:
  explicit Pod(json object)
      : object_(std::move(object)), machine_(object_, "127.0.1.1", PodTiming{}, kPodStart) {
    collect(machine_.observe(object_, now));
  }

  void tick() { collect(machine_.tick(now)); }
  void wait(std::chrono::seconds time) {
    now += time;
    tick();
  }
  void started(int run = 1) { collect(machine_.on(runtime_event::Started{{"u", "c", run}}, now)); }
  void exited(int code, int run = 1) {
    collect(machine_.on(runtime_event::Exited{{"u", "c", run}, code}, now));
  }
  void probed(ProbeRole role, bool success, int run = 1) {
    collect(machine_.on(runtime_event::Probed{{"u", "c", run}, role, success}, now));
  }
  void mark_deleted(int grace) {
    object_["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z";
    object_["metadata"]["deletionGracePeriodSeconds"] = grace;
    collect(machine_.observe(object_, now));
  }
  void gone() { collect(machine_.gone(now)); }

  std::vector<std::string> effects() { return std::exchange(effects_, {}); }
  json status() {
    object_["status"] = machine_.status(object_.value("status", json::object()), "127.0.0.1", now);
    return object_["status"];
  }
  json condition(const std::string& type) {
    const json now_there = status();
    for (const json& each : now_there["conditions"]) {
      if (each["type"] == type) return each;
    }
    return json();
  }
  std::string ready() { return text_at(condition("Ready"), {"status"}); }
  json& object() { return object_; }
  const PodMachine& machine() const { return machine_; }

  Timestamp now = kPodStart;

 private:
  void collect(const PodEffects& effects) {
    for (const PodEffect& effect : effects) effects_.push_back(step_name(effect));
  }
  json object_;
  PodMachine machine_;
  std::vector<std::string> effects_;
};

Pod ready_pod(json object) {
  Pod pod(std::move(object));
  pod.tick();
  pod.started();
  pod.tick();
  pod.probed(ProbeRole::kReadiness, true);
  pod.effects();
  return pod;
}

TEST(PodMachine, BecomesReadyStepByStep) {
  Pod pod(pod_with(probed_container()));
  EXPECT_EQ(pod.status()["phase"], "Pending");
  EXPECT_EQ(pod.status()["containerStatuses"][0]["state"]["waiting"]["reason"], "ContainerCreating");
  pod.tick();
  EXPECT_THAT(pod.effects(), ElementsAre("start c#1"));
  pod.started();
  EXPECT_EQ(pod.status()["phase"], "Running");
  EXPECT_EQ(pod.ready(), "False");
  EXPECT_EQ(pod.condition("Ready")["reason"], "ContainersNotReady");
  pod.tick();
  EXPECT_THAT(pod.effects(), ElementsAre("readiness c"));
  pod.probed(ProbeRole::kReadiness, true);
  EXPECT_EQ(pod.ready(), "True");
  EXPECT_EQ(pod.status()["podIP"], "127.0.1.1");
  EXPECT_EQ(pod.status()["containerStatuses"][0]["ready"], true);
}

TEST(PodMachine, WithoutProbesIsReadyOnceItRuns) {
  Pod pod(pod_with({{"name", "c"}}));
  pod.tick();
  EXPECT_EQ(pod.ready(), "False");
  pod.started();
  EXPECT_EQ(pod.ready(), "True");
}

TEST(PodMachine, KeepsTheTransitionTimeWhileNothingChanges) {
  Pod pod = ready_pod(pod_with(probed_container()));
  const json before = pod.condition("Ready")["lastTransitionTime"];
  pod.wait(60s);
  EXPECT_EQ(pod.condition("Ready")["lastTransitionTime"], before);
  pod.probed(ProbeRole::kReadiness, false);
  pod.wait(2s);
  pod.probed(ProbeRole::kReadiness, false);
  EXPECT_EQ(pod.ready(), "False");
  EXPECT_EQ(pod.condition("Ready")["lastTransitionTime"], api::to_rfc3339(pod.now));
}

TEST(PodMachine, ReadinessIsStillProbedWhileItTerminates) {
  Pod pod = ready_pod(pod_with(probed_container()));
  pod.mark_deleted(30);
  EXPECT_THAT(pod.effects(), ElementsAre("term c"));
  EXPECT_EQ(pod.ready(), "True") << "deletion alone does not make it unready";
  pod.wait(2s);
  EXPECT_THAT(pod.effects(), ElementsAre("readiness c"));
  pod.probed(ProbeRole::kReadiness, false);
  pod.wait(2s);
  pod.probed(ProbeRole::kReadiness, false);
  EXPECT_EQ(pod.ready(), "False");
}

TEST(PodMachine, LivenessIsNot) {
  json container = {{"name", "c"}, {"livenessProbe", {{"tcpSocket", {{"port", 1}}}, {"periodSeconds", 1}}}};
  Pod pod(pod_with(container));
  pod.tick();
  pod.started();
  pod.tick();
  pod.probed(ProbeRole::kLiveness, true);
  pod.mark_deleted(30);
  pod.effects();
  pod.wait(5s);
  EXPECT_THAT(pod.effects(), IsEmpty());
}

TEST(PodMachine, PreStopThenTermThenKillWithinTheGracePeriod) {
  json container = probed_container();
  container["lifecycle"]["preStop"]["sleep"]["seconds"] = 10;
  Pod pod = ready_pod(pod_with(container));
  pod.mark_deleted(30);
  EXPECT_THAT(pod.effects(), IsEmpty());
  EXPECT_EQ(pod.machine().next_deadline(), pod.now + 2s) << "readiness comes first";
  pod.now += 9s;
  pod.tick();
  EXPECT_THAT(pod.effects(), ElementsAre("readiness c"));
  pod.now += 1s;
  pod.tick();
  EXPECT_THAT(pod.effects(), ElementsAre("term c"));
  pod.now += 20s;
  pod.tick();
  EXPECT_THAT(pod.effects(), ElementsAre("kill c"));
  pod.exited(137);
  EXPECT_TRUE(pod.machine().is_over());
  EXPECT_EQ(pod.status()["phase"], "Failed");
  EXPECT_EQ(pod.status()["containerStatuses"][0]["state"]["terminated"]["exitCode"], 137);
}

TEST(PodMachine, ForceDeletionKillsAtOnce) {
  Pod pod = ready_pod(pod_with(probed_container()));
  pod.gone();
  EXPECT_THAT(pod.effects(), ElementsAre("kill c"));
  pod.gone();
  EXPECT_THAT(pod.effects(), IsEmpty());
}

TEST(PodMachine, DeletedBeforeItStartedNeverStarts) {
  Pod pod(pod_with(probed_container()));
  pod.mark_deleted(30);
  EXPECT_TRUE(pod.machine().is_over());
  pod.tick();
  EXPECT_THAT(pod.effects(), IsEmpty());
}

TEST(PodMachine, FailingLivenessRestartsTheContainer) {
  json container = {
      {"name", "c"},
      {"livenessProbe", {{"tcpSocket", {{"port", 1}}}, {"periodSeconds", 1}, {"failureThreshold", 2}}}};
  Pod pod(pod_with(container, {{"terminationGracePeriodSeconds", 7}}));
  pod.tick();
  pod.started();
  pod.tick();
  pod.probed(ProbeRole::kLiveness, false);
  pod.effects();
  pod.wait(1s);
  pod.probed(ProbeRole::kLiveness, false);
  EXPECT_THAT(pod.effects(), ElementsAre("liveness c", "term c"));
  EXPECT_EQ(pod.machine().next_deadline(), pod.now + 7s);
  pod.exited(0);
  EXPECT_EQ(pod.status()["containerStatuses"][0]["restartCount"], 1);
  pod.tick();
  EXPECT_THAT(pod.effects(), ElementsAre("start c#2"));
  pod.started(2);
  EXPECT_EQ(pod.status()["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 0);
}

TEST(PodMachine, StartupProbeHoldsTheOthersBack) {
  json container = probed_container();
  container["startupProbe"] = {{"tcpSocket", {{"port", 1}}}, {"periodSeconds", 1}, {"failureThreshold", 2}};
  Pod pod(pod_with(container));
  pod.tick();
  pod.started();
  pod.effects();
  pod.wait(1s);
  EXPECT_THAT(pod.effects(), ElementsAre("startup c"));
  EXPECT_EQ(pod.status()["containerStatuses"][0]["started"], false);
  pod.probed(ProbeRole::kStartup, true);
  pod.tick();
  EXPECT_THAT(pod.effects(), ElementsAre("readiness c"));
  EXPECT_EQ(pod.status()["containerStatuses"][0]["started"], true);
}

TEST(PodMachine, StartupProbeThatNeverPassesRestarts) {
  json container = {
      {"name", "c"},
      {"startupProbe", {{"tcpSocket", {{"port", 1}}}, {"periodSeconds", 1}, {"failureThreshold", 1}}}};
  Pod pod(pod_with(container));
  pod.tick();
  pod.started();
  pod.tick();
  pod.probed(ProbeRole::kStartup, false);
  EXPECT_THAT(pod.effects(), ElementsAre("start c#1", "startup c", "term c"));
}

TEST(PodMachine, AResultOfAnEarlierRunIsNotCounted) {
  Pod pod = ready_pod(pod_with(probed_container()));
  pod.exited(1);
  pod.tick();
  pod.started(2);
  pod.probed(ProbeRole::kReadiness, true, /*run=*/1);
  EXPECT_EQ(pod.ready(), "False");
}

TEST(PodMachine, ReadinessGatesMustBeTrueAndOthersConditionsStay) {
  Pod pod = ready_pod(
      pod_with(probed_container(), {{"readinessGates", json::array({{{"conditionType", "x/gate"}}})}}));
  EXPECT_EQ(pod.ready(), "False");
  EXPECT_EQ(pod.condition("ContainersReady")["status"], "True");
  EXPECT_THAT(text_at(pod.condition("Ready"), {"message"}), HasSubstr("does not exist"));
  pod.object()["status"]["conditions"].push_back({{"type", "x/gate"}, {"status", "False"}});
  EXPECT_EQ(pod.condition("Ready")["reason"], "ReadinessGatesNotReady");
  for (json& each : pod.object()["status"]["conditions"]) {
    if (each["type"] == "x/gate") each["status"] = "True";
  }
  EXPECT_EQ(pod.ready(), "True");
  EXPECT_EQ(pod.condition("x/gate")["status"], "True");
}

TEST(PodMachine, APodThatEndsByItself) {
  Pod pod(pod_with({{"name", "c"}}, {{"restartPolicy", "Never"}}));
  pod.tick();
  pod.started();
  pod.exited(0);
  EXPECT_EQ(pod.status()["phase"], "Succeeded");
  EXPECT_EQ(pod.condition("Ready")["reason"], "PodCompleted");
  EXPECT_TRUE(pod.machine().is_over());
  EXPECT_FALSE(pod.machine().is_deleted());
}

TEST(PodMachine, CrashLoopShowsInTheStatus) {
  Pod pod(pod_with({{"name", "c"}}));
  pod.tick();
  pod.started();
  pod.exited(1);
  pod.tick();
  pod.started(2);
  pod.exited(1, 2);
  EXPECT_EQ(pod.status()["containerStatuses"][0]["state"]["waiting"]["reason"], "CrashLoopBackOff");
  EXPECT_EQ(pod.status()["phase"], "Running");
  EXPECT_EQ(pod.ready(), "False");
}

}  // namespace
}  // namespace poolwarden::cluster
