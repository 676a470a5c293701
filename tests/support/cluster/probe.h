// Probes as the kubelet runs them: when the next one is due, and what the results so far come to. Pure.
// https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
#pragma once

#include "api/time.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::cluster {

using api::Timestamp;

enum class ProbeRole : std::uint8_t { kStartup, kReadiness, kLiveness };
enum class ProbeKind : std::uint8_t { kHttp, kTcp, kExec };

struct ProbeSpec {
  ProbeKind kind = ProbeKind::kHttp;
  std::string host;  // empty: the pod's address
  int port = 0;
  std::string path = "/";
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<std::string> command;
  std::chrono::seconds initial_delay{0};
  std::chrono::seconds period{10};
  std::chrono::seconds timeout{1};
  int failure_threshold = 3;
  int success_threshold = 1;
  std::optional<std::chrono::seconds> termination_grace;  // of a container killed by this probe
};

// A container's readinessProbe, livenessProbe or startupProbe; nothing if it has none. Named ports are looked
// up among the container's.
std::optional<ProbeSpec> parse_probe(const nlohmann::json& container, ProbeRole role);

// One probe of one running container.
class ProbeState {
 public:
  ProbeState(ProbeSpec spec, ProbeRole role, Timestamp container_started);

  const ProbeSpec& spec() const { return spec_; }
  // What the results come to: a container is not ready and not started until its probes say so, but alive.
  bool passing() const { return passing_; }
  // When to run it next; nothing while one is running.
  std::optional<Timestamp> due() const { return running_ ? std::nullopt : std::optional(next_); }
  int failures() const { return last_ ? 0 : in_a_row_; }  // in a row, up to now
  void begin(Timestamp now);
  void end(bool success);

 private:
  ProbeSpec spec_;
  bool passing_;
  bool running_ = false;
  bool last_ = false;
  int in_a_row_ = 0;
  Timestamp next_;
};

}  // namespace poolwarden::cluster
