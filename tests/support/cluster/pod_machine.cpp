#include "support/cluster/pod_machine.h"

#include "support/apiserver/json_util.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace poolwarden::cluster {
namespace {

using apiserver::find_path;
using apiserver::int_at;
using apiserver::text_at;
using nlohmann::json;

constexpr std::chrono::seconds kDefaultGrace{30};

PreStopHook parse_pre_stop(const json& container) {
  PreStopHook hook;
  if (find_path(container, {"lifecycle", "preStop", "sleep"}) != nullptr) {
    hook.sleep = std::chrono::seconds(int_at(container, {"lifecycle", "preStop", "sleep", "seconds"}));
  } else if (const json* command = find_path(container, {"lifecycle", "preStop", "exec", "command"});
             command != nullptr && command->is_array()) {
    for (const json& word : *command) {
      if (word.is_string()) hook.command.push_back(word.get<std::string>());
    }
  }
  return hook;
}

RestartPolicy parse_restart_policy(const json& pod) {
  const std::string policy = text_at(pod, {"spec", "restartPolicy"});
  if (policy == "Never") return RestartPolicy::kNever;
  if (policy == "OnFailure") return RestartPolicy::kOnFailure;
  return RestartPolicy::kAlways;
}

Signal signal_of(container::Effect effect) {
  return effect == container::Effect::kTerm ? Signal::kTerm : Signal::kKill;
}

std::optional<Timestamp> earlier(std::optional<Timestamp> a, std::optional<Timestamp> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

}  // namespace

PodMachine::PodMachine(const json& pod, std::string ip, const PodTiming& timing, Timestamp now)
    : uid_(text_at(pod, {"metadata", "uid"})), ip_(std::move(ip)), started_(now) {
  termination_grace_ =
      std::chrono::seconds(int_at(pod, {"spec", "terminationGracePeriodSeconds"}, kDefaultGrace.count()));
  if (const json* gates = find_path(pod, {"spec", "readinessGates"}); gates != nullptr && gates->is_array()) {
    for (const json& gate : *gates) readiness_gates_.push_back(text_at(gate, {"conditionType"}));
  }
  const json* list = find_path(pod, {"spec", "containers"});
  if (list == nullptr || !list->is_array()) return;
  for (const json& body : *list) {
    const ContainerRules rules{parse_restart_policy(pod), parse_pre_stop(body), timing.first_backoff,
                               timing.longest_backoff};
    Container made{text_at(body, {"name"}),
                   text_at(body, {"image"}),
                   rules.pre_stop,
                   {},
                   {},
                   ContainerMachine(rules, now),
                   0};
    for (const ProbeRole role : {ProbeRole::kStartup, ProbeRole::kReadiness, ProbeRole::kLiveness}) {
      if (auto spec = parse_probe(body, role)) made.probe_specs.emplace(role, std::move(*spec));
    }
    containers_.push_back(std::move(made));
  }
}

PodMachine::Container* PodMachine::find(const ContainerRef& ref) {
  for (Container& each : containers_) {
    if (each.name == ref.container && each.run == ref.run) return &each;
  }
  return nullptr;
}

void PodMachine::feed(Container& target, const container::Input& input, Timestamp now, PodEffects& effects) {
  const bool was_up = target.machine.is_up();
  const std::size_t was = target.machine.state().index();
  for (const container::Effect effect : target.machine.step(input, now)) {
    switch (effect) {
      case container::Effect::kStart:
        ++target.run;
        effects.push_back(StartContainer{ref_of(target)});
        break;
      case container::Effect::kRunHook:
        effects.push_back(RunHook{ref_of(target), target.pre_stop.command});
        break;
      case container::Effect::kTerm:
      case container::Effect::kKill:
        effects.push_back(SignalContainer{ref_of(target), signal_of(effect)});
        break;
    }
  }
  if (target.machine.state().index() != was) ++version_;
  if (target.machine.is_up() == was_up) return;
  target.probes.clear();
  if (!target.machine.is_up()) return;
  for (const auto& [role, spec] : target.probe_specs) target.probes.try_emplace(role, spec, role, now);
}

void PodMachine::stop_all(std::chrono::seconds grace, Timestamp now, PodEffects& effects) {
  for (Container& each : containers_) feed(each, container::Stop{grace, /*for_good=*/true}, now, effects);
}

PodEffects PodMachine::observe(const json& pod, Timestamp now) {
  PodEffects effects;
  if (find_path(pod, {"metadata", "deletionTimestamp"}) == nullptr) return effects;
  const std::chrono::seconds grace(
      int_at(pod, {"metadata", "deletionGracePeriodSeconds"}, termination_grace_.count()));
  if (deleting_ && grace >= deletion_grace_) return effects;
  deleting_ = true;
  deletion_grace_ = grace;
  stop_all(grace, now, effects);
  return effects;
}

PodEffects PodMachine::gone(Timestamp now) {
  PodEffects effects;
  if (gone_) return effects;
  gone_ = true;
  stop_all(std::chrono::seconds(0), now, effects);
  return effects;
}

PodEffects PodMachine::on(const RuntimeEvent& event, Timestamp now) {
  PodEffects effects;
  Container* target = find(std::visit([](const auto& each) { return each.ref; }, event));
  if (target == nullptr) return effects;  // of an earlier run
  if (std::holds_alternative<runtime_event::Started>(event)) {
    feed(*target, container::Started{}, now, effects);
  } else if (const auto* failed = std::get_if<runtime_event::StartFailed>(&event)) {
    feed(*target, container::StartFailed{failed->reason, failed->message}, now, effects);
  } else if (const auto* exited = std::get_if<runtime_event::Exited>(&event)) {
    feed(*target, container::Exited{exited->exit_code}, now, effects);
  } else if (std::holds_alternative<runtime_event::HookDone>(event)) {
    feed(*target, container::HookDone{}, now, effects);
  } else if (const auto* probed = std::get_if<runtime_event::Probed>(&event)) {
    on_probe(*target, *probed, now, effects);
  }
  return effects;
}

void PodMachine::on_probe(Container& target, const runtime_event::Probed& event, Timestamp now,
                          PodEffects& effects) {
  const auto found = target.probes.find(event.role);
  if (found == target.probes.end()) return;
  ProbeState& probe = found->second;
  const int failures_before = probe.failures();
  const bool was_passing = probe.passing();
  probe.end(event.success);
  if (probe.passing() != was_passing) ++version_;
  if (event.role == ProbeRole::kReadiness || deleting_) return;
  // A startup probe that has never passed and a liveness probe that no longer does restart the container.
  const bool given_up =
      probe.failures() > failures_before && probe.failures() >= probe.spec().failure_threshold;
  if (!given_up) return;
  const auto grace = probe.spec().termination_grace.value_or(termination_grace_);
  feed(target, container::Stop{grace, /*for_good=*/false}, now, effects);
}

bool PodMachine::may_probe(const Container& target, ProbeRole role) const {
  if (role == ProbeRole::kReadiness) return is_started(target);
  if (deleting_ || gone_ || !std::holds_alternative<container::Running>(target.machine.state())) return false;
  return role == ProbeRole::kStartup ? !is_started(target) : is_started(target);
}

void PodMachine::run_probes(Container& target, Timestamp now, PodEffects& effects) {
  for (auto& [role, probe] : target.probes) {
    const auto due = probe.due();
    if (!due || *due > now || !may_probe(target, role)) continue;
    probe.begin(now);
    effects.push_back(RunProbe{ref_of(target), role, probe.spec()});
  }
}

PodEffects PodMachine::tick(Timestamp now) {
  PodEffects effects;
  for (Container& each : containers_) {
    feed(each, container::Tick{}, now, effects);
    run_probes(each, now, effects);
  }
  return effects;
}

std::optional<Timestamp> PodMachine::next_deadline() const {
  std::optional<Timestamp> next;
  for (const Container& each : containers_) {
    next = earlier(next, each.machine.next_deadline());
    for (const auto& [role, probe] : each.probes) {
      if (may_probe(each, role)) next = earlier(next, probe.due());
    }
  }
  return next;
}

bool PodMachine::is_over() const {
  return std::all_of(containers_.begin(), containers_.end(),
                     [](const Container& each) { return each.machine.is_over(); });
}

bool PodMachine::is_started(const Container& target) {
  if (!target.machine.is_up()) return false;
  const auto startup = target.probes.find(ProbeRole::kStartup);
  return startup == target.probes.end() || startup->second.passing();
}

bool PodMachine::is_ready(const Container& target) {
  if (!is_started(target)) return false;
  const auto readiness = target.probes.find(ProbeRole::kReadiness);
  return readiness == target.probes.end() || readiness->second.passing();
}

}  // namespace poolwarden::cluster
