// What runs a pod's containers: the seam between the kubelet's decisions and processes.
//
// Real processes (process_runtime.h), or none and virtual time (sim_runtime.h). Calls come from the kubelet's
// thread and do not block; answers come later from take_events(), in order, on the same thread.
#pragma once

#include "support/cluster/probe.h"

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace poolwarden::cluster {

// One run of one container: a restarted container is another run.
struct ContainerRef {
  std::string uid;  // of the pod
  std::string container;
  int run = 0;

  auto operator<=>(const ContainerRef&) const = default;
};

struct LaunchSpec {
  std::string ns;
  std::string pod;
  std::string ip;
  std::string image;
  std::vector<std::string> command;  // in place of the image's, if not empty
  std::vector<std::string> args;
  std::vector<std::pair<std::string, std::string>> env;
};

enum class Signal : std::uint8_t { kTerm, kKill };

namespace runtime_event {
struct Started {
  ContainerRef ref;
};
struct StartFailed {
  ContainerRef ref;
  std::string reason;
  std::string message;
};
struct Exited {
  ContainerRef ref;
  int exit_code = 0;  // 128 + signal when killed by one
};
struct Probed {
  ContainerRef ref;
  ProbeRole role = ProbeRole::kReadiness;
  bool success = false;
};
struct HookDone {
  ContainerRef ref;
};
}  // namespace runtime_event
using RuntimeEvent = std::variant<runtime_event::Started, runtime_event::StartFailed, runtime_event::Exited,
                                  runtime_event::Probed, runtime_event::HookDone>;

class PodRuntime {
 public:
  virtual ~PodRuntime() = default;

  virtual void start(const ContainerRef& ref, const LaunchSpec& spec, Timestamp now) = 0;
  virtual void signal(const ContainerRef& ref, Signal signal, Timestamp now) = 0;
  virtual void probe(const ContainerRef& ref, ProbeRole role, const ProbeSpec& spec, Timestamp now) = 0;
  virtual void run_hook(const ContainerRef& ref, const std::vector<std::string>& command, Timestamp now) = 0;

  virtual std::vector<RuntimeEvent> take_events(Timestamp now) = 0;
  // When take_events() will have something, if that is known.
  virtual std::optional<Timestamp> next_event() const = 0;
};

}  // namespace poolwarden::cluster
