#include "support/cluster/runtime_router.h"

#include <algorithm>

namespace poolwarden::cluster {

void RuntimeRouter::start(const ContainerRef& ref, const LaunchSpec& spec, Timestamp now) {
  if (hollow_images_.contains(spec.image)) hollow_runs_.insert(ref);
  runtime_of(ref).start(ref, spec, now);
}

void RuntimeRouter::signal(const ContainerRef& ref, Signal signal, Timestamp now) {
  runtime_of(ref).signal(ref, signal, now);
}

void RuntimeRouter::probe(const ContainerRef& ref, ProbeRole role, const ProbeSpec& spec, Timestamp now) {
  runtime_of(ref).probe(ref, role, spec, now);
}

void RuntimeRouter::run_hook(const ContainerRef& ref, const std::vector<std::string>& command,
                             Timestamp now) {
  runtime_of(ref).run_hook(ref, command, now);
}

std::vector<RuntimeEvent> RuntimeRouter::take_events(Timestamp now) {
  std::vector<RuntimeEvent> events = hollow_.take_events(now);
  for (const RuntimeEvent& event : events) {
    if (const auto* exited = std::get_if<runtime_event::Exited>(&event)) hollow_runs_.erase(exited->ref);
  }
  for (RuntimeEvent& event : real_.take_events(now)) events.push_back(std::move(event));
  return events;
}

std::optional<Timestamp> RuntimeRouter::next_event() const {
  const auto hollow = hollow_.next_event();
  const auto real = real_.next_event();
  if (!hollow || !real) return hollow ? hollow : real;
  return std::min(*hollow, *real);
}

}  // namespace poolwarden::cluster
