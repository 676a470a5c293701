// What goes into the loop and what comes out of it: all of its contact with the world.
//
// Inputs are what transport threads decoded; effects are what the shell carries out, in order. Plain values:
// a test can feed the one and compare the other.
#pragma once

#include "control/watched_kinds.h"
#include "engine/load_reader.h"
#include "kube/client.h"
#include "kube/object_key.h"
#include "kube/reflector.h"
#include "kube/time.h"
#include "pool/engine_load_tracker.h"
#include "telemetry/log.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace poolwarden::control {

// What a write's answer is decoded as (on a transport thread) before it reaches the loop.
enum class Expect : std::uint8_t {
  kText,
  kPod,
  kConfigMap,
  kService,
  kPool,
  kBudget,
  kSecret,
  kEndpointSlice
};

using Answer = std::variant<std::string, api::Pod, api::ConfigMap, api::Service, api::InferencePool,
                            api::DisruptionBudget, api::Secret, api::EndpointSlice>;

struct CallAnswered {
  std::uint64_t id = 0;
  kube::Result<Answer> answer;
};

// What an engine says of its load, or why it cannot be known.
struct LoadArrived {
  std::string pod_uid;
  kube::ObjectKey pool;
  std::optional<pool::Load> load;
  std::string problem;
  bool refused = false;           // nobody listens on any port of the pod that the pool knows
  std::uint64_t refused_key = 0;  // as engine::NoLoad has it
};

// Asks for a clean end: no new write, what is in flight finishes, the lease is given back.
struct StopRequested {};

using Input = WatchedKinds::Apply<std::variant, KindInput, CallAnswered, LoadArrived, StopRequested>;

// For the watch of the kind with that index in WatchedKinds.
struct WatchWork {
  std::size_t kind = 0;
  kube::ReflectorAction action;
};

struct Send {
  std::uint64_t id = 0;
  kube::Call call;
  Expect expect = Expect::kText;
  // The Lease was looked at for this long: by then the call is answered or given up. Not for the Lease's own.
  std::optional<kube::TimePoint> expires = {};
};

// Asks a pod's engine for its load; answered by one LoadArrived.
struct LoadRead {
  std::string pod_uid;
  kube::ObjectKey pool;
  engine::LoadRequest request;
  bool asks_all_ports = false;  // that the pod serves on; where it does not, a refusal proves nothing
};

struct LogLine {
  telemetry::Level level = telemetry::Level::kInfo;
  std::string message;
  std::vector<std::pair<std::string, std::string>> fields;
};

struct Exit {
  bool failed = false;  // the process should say so in its exit code
  std::string why;
};

struct Effects {
  std::vector<WatchWork> watches;
  std::vector<Send> sends;  // withdrawals first
  std::vector<LoadRead> load_reads;
  std::vector<LogLine> logs;
  std::optional<Exit> exit;

  bool empty() const {
    return watches.empty() && sends.empty() && load_reads.empty() && logs.empty() && !exit;
  }
};

}  // namespace poolwarden::control
