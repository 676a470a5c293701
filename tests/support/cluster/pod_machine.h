// The life of one pod on its node: decides what its containers do, when probes run, and what its status says.
// Pure: the kubelet feeds it with what it sees in the API and with what the runtime reports, and carries out
// what it returns.
//
// Readiness goes on being probed while a pod terminates; liveness and startup do not (prober_manager.go).
// Not here: init containers, volumes, resources, ephemeral containers.
#pragma once

#include "support/cluster/container_machine.h"
#include "support/cluster/probe.h"
#include "support/cluster/runtime.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::cluster {

struct PodTiming {
  std::chrono::milliseconds first_backoff{10'000};
  std::chrono::milliseconds longest_backoff{300'000};
};

// What the kubelet is to do for one container.
struct StartContainer {
  ContainerRef ref;
};
struct SignalContainer {
  ContainerRef ref;
  Signal signal = Signal::kTerm;
};
struct RunProbe {
  ContainerRef ref;
  ProbeRole role = ProbeRole::kReadiness;
  ProbeSpec spec;
};
struct RunHook {
  ContainerRef ref;
  std::vector<std::string> command;
};
using PodEffect = std::variant<StartContainer, SignalContainer, RunProbe, RunHook>;
using PodEffects = std::vector<PodEffect>;

class PodMachine {
 public:
  PodMachine(const nlohmann::json& pod, std::string ip, const PodTiming& timing, Timestamp now);

  // The object as it is now: its deletion, and the conditions behind its readiness gates.
  PodEffects observe(const nlohmann::json& pod, Timestamp now);
  // The object is no longer there: everything is killed at once.
  PodEffects gone(Timestamp now);
  PodEffects on(const RuntimeEvent& event, Timestamp now);
  PodEffects tick(Timestamp now);

  std::optional<Timestamp> next_deadline() const;
  // Every container is terminated for good.
  bool is_over() const;
  bool is_deleted() const { return deleting_ || gone_; }
  // Changes with everything that status() depends on, `current` apart.
  std::uint64_t version() const { return version_; }
  const std::string& ip() const { return ip_; }

  // The status as it should be; `current` is the one in the API, whose foreign conditions and transition
  // times are kept.
  nlohmann::json status(const nlohmann::json& current, const std::string& host_ip, Timestamp now) const;

 private:
  struct Container {
    std::string name;
    std::string image;
    PreStopHook pre_stop;
    std::map<ProbeRole, ProbeSpec> probe_specs;
    std::map<ProbeRole, ProbeState> probes;  // of the present run
    ContainerMachine machine;
    int run = 0;
  };

  void feed(Container& target, const container::Input& input, Timestamp now, PodEffects& effects);
  void run_probes(Container& target, Timestamp now, PodEffects& effects);
  bool may_probe(const Container& target, ProbeRole role) const;
  void stop_all(std::chrono::seconds grace, Timestamp now, PodEffects& effects);
  void on_probe(Container& target, const runtime_event::Probed& event, Timestamp now, PodEffects& effects);
  Container* find(const ContainerRef& ref);
  ContainerRef ref_of(const Container& target) const { return {uid_, target.name, target.run}; }

  static bool is_started(const Container& target);
  static bool is_ready(const Container& target);
  std::string phase() const;
  nlohmann::json container_status(const Container& target) const;
  nlohmann::json conditions(const nlohmann::json& current, Timestamp now) const;

  std::string uid_;
  std::string ip_;
  std::chrono::seconds termination_grace_{30};
  std::vector<std::string> readiness_gates_;
  std::vector<Container> containers_;
  Timestamp started_;
  bool deleting_ = false;
  bool gone_ = false;
  std::chrono::seconds deletion_grace_{0};
  std::uint64_t version_ = 0;
};

}  // namespace poolwarden::cluster
