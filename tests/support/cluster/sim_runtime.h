// A runtime without processes, in virtual time: containers that start, become ready, answer probes, stop and
// crash when they are told to. For simulations, and for "hollow" pods in benchmarks.
//
// Deterministic. take_events() delivers what is due at `now`, in order of time and then of being scheduled.
#pragma once

#include "support/cluster/runtime.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>

namespace poolwarden::cluster {

// How the containers of a pod behave.
struct SimBehaviour {
  std::chrono::milliseconds start_delay{0};  // from start to running
  std::chrono::milliseconds ready_delay{0};  // from running until readiness and startup probes succeed
  std::chrono::milliseconds stop_delay{0};   // from SIGTERM to the exit
  std::chrono::milliseconds probe_delay{0};  // how long a probe takes
  std::chrono::milliseconds hook_delay{0};   // how long an exec preStop takes
  std::optional<std::chrono::milliseconds> crash_after;  // of running
  bool ignores_term = false;
  int exit_code = 0;  // after SIGTERM
};

class SimRuntime : public PodRuntime {
 public:
  using BehaviourOf = std::function<SimBehaviour(const LaunchSpec&)>;

  // By default every container behaves as SimBehaviour{}.
  explicit SimRuntime(BehaviourOf behaviour_of = {}) : behaviour_of_(std::move(behaviour_of)) {}

  void start(const ContainerRef& ref, const LaunchSpec& spec, Timestamp now) override;
  void signal(const ContainerRef& ref, Signal signal, Timestamp now) override;
  void probe(const ContainerRef& ref, ProbeRole role, const ProbeSpec& spec, Timestamp now) override;
  void run_hook(const ContainerRef& ref, const std::vector<std::string>& command, Timestamp now) override;
  std::vector<RuntimeEvent> take_events(Timestamp now) override;
  std::optional<Timestamp> next_event() const override;

  // From now on every probe of the pod of that name fails, or no longer does.
  void set_failing(const std::string& pod, bool failing);
  // The container's process ends by itself.
  void crash(const std::string& pod, int exit_code, Timestamp now);
  std::size_t running() const { return processes_.size(); }

 private:
  struct Process {
    SimBehaviour behaviour;
    std::string pod;
    Timestamp up_at;
    bool failing = false;
  };

  void schedule(Timestamp at, RuntimeEvent event);

  BehaviourOf behaviour_of_;
  std::map<ContainerRef, Process> processes_;
  std::map<std::pair<Timestamp, std::uint64_t>, RuntimeEvent> events_;
  std::uint64_t sequence_ = 0;
};

}  // namespace poolwarden::cluster
