#include "support/cluster/sim_runtime.h"

namespace poolwarden::cluster {

namespace {
constexpr int kKilledExit = 137;  // 128 + SIGKILL
}

void SimRuntime::schedule(Timestamp at, RuntimeEvent event) {
  events_.emplace(std::make_pair(at, sequence_++), std::move(event));
}

void SimRuntime::start(const ContainerRef& ref, const LaunchSpec& spec, Timestamp now) {
  const SimBehaviour behaviour = behaviour_of_ ? behaviour_of_(spec) : SimBehaviour{};
  const Timestamp up_at = now + behaviour.start_delay;
  processes_[ref] = Process{behaviour, spec.pod, up_at, false};
  schedule(up_at, runtime_event::Started{ref});
  if (behaviour.crash_after) schedule(up_at + *behaviour.crash_after, runtime_event::Exited{ref, 1});
}

void SimRuntime::signal(const ContainerRef& ref, Signal signal, Timestamp now) {
  const auto found = processes_.find(ref);
  if (found == processes_.end()) return;
  const SimBehaviour& behaviour = found->second.behaviour;
  if (signal == Signal::kKill) {
    schedule(now, runtime_event::Exited{ref, kKilledExit});
  } else if (!behaviour.ignores_term) {
    schedule(std::max(now, found->second.up_at) + behaviour.stop_delay,
             runtime_event::Exited{ref, behaviour.exit_code});
  }
}

void SimRuntime::probe(const ContainerRef& ref, ProbeRole role, const ProbeSpec& /*spec*/, Timestamp now) {
  const auto found = processes_.find(ref);
  if (found == processes_.end()) return;
  const Process& process = found->second;
  const bool loaded = now >= process.up_at + process.behaviour.ready_delay;
  const bool success = !process.failing && (loaded || role == ProbeRole::kLiveness);
  schedule(now + process.behaviour.probe_delay, runtime_event::Probed{ref, role, success});
}

void SimRuntime::run_hook(const ContainerRef& ref, const std::vector<std::string>& /*command*/,
                          Timestamp now) {
  const auto found = processes_.find(ref);
  if (found == processes_.end()) return;
  schedule(now + found->second.behaviour.hook_delay, runtime_event::HookDone{ref});
}

std::vector<RuntimeEvent> SimRuntime::take_events(Timestamp now) {
  std::vector<RuntimeEvent> due;
  while (!events_.empty() && events_.begin()->first.first <= now) {
    RuntimeEvent event = std::move(events_.begin()->second);
    events_.erase(events_.begin());
    const ContainerRef& ref =
        std::visit([](const auto& each) -> const ContainerRef& { return each.ref; }, event);
    if (!processes_.contains(ref)) continue;  // it has exited before
    if (std::holds_alternative<runtime_event::Exited>(event)) processes_.erase(ContainerRef(ref));
    due.push_back(std::move(event));
  }
  return due;
}

std::optional<Timestamp> SimRuntime::next_event() const {
  if (events_.empty()) return std::nullopt;
  return events_.begin()->first.first;
}

void SimRuntime::set_failing(const std::string& pod, bool failing) {
  for (auto& [ref, process] : processes_) {
    if (process.pod == pod) process.failing = failing;
  }
}

void SimRuntime::crash(const std::string& pod, int exit_code, Timestamp now) {
  for (const auto& [ref, process] : processes_) {
    if (process.pod == pod) schedule(now, runtime_event::Exited{ref, exit_code});
  }
}

}  // namespace poolwarden::cluster
