// What goes into the loop and what comes out of it: all of its contact with the world.
//
// Inputs are what transport threads decoded; effects are what the shell carries out, in order. Plain values:
// a test can feed the one and compare the other.
#pragma once

#include "api/codecs.h"
#include "engine/load_reader.h"
#include "kube/client.h"
#include "kube/informer.h"
#include "kube/object_key.h"
#include "kube/reflector.h"
#include "pool/load_book.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace poolwarden::control {

// The caches, in the order they are started.
enum class Feed : std::uint8_t {
  kPools,
  kConfigMaps,
  kPods,
  kDeployments,
  kReplicaSets,
  kServices,
  kNodes,
  kAutoscalers,
  kBudgets,
  kGatePolicies,
  kGateBindings,
};
inline constexpr std::size_t kFeedCount = 11;

// What a write's answer is decoded as (on a transport thread) before it reaches the loop.
enum class Expect : std::uint8_t { kText, kPod, kConfigMap, kService, kPool, kBudget };

using Answer = std::variant<std::string, api::Pod, api::ConfigMap, api::Service, api::InferencePool,
                            api::DisruptionBudget>;

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
};

// Asks for a clean end: no new write, what is in flight finishes, the lease is given back.
struct StopRequested {};

// Both halves of the gate are values of one type.
struct GatePolicyInput : kube::InformerInput<api::GatePart> {};
struct GateBindingInput : kube::InformerInput<api::GatePart> {};

using Input = std::variant<kube::InformerInput<api::InferencePool>, kube::InformerInput<api::ConfigMap>,
                           kube::InformerInput<api::Pod>, kube::InformerInput<api::Deployment>,
                           kube::InformerInput<api::Service>, kube::InformerInput<api::Node>,
                           kube::InformerInput<api::Autoscaler>, kube::InformerInput<api::ReplicaSet>,
                           kube::InformerInput<api::DisruptionBudget>, GatePolicyInput, GateBindingInput,
                           CallAnswered, LoadArrived, StopRequested>;

struct WatchWork {
  Feed feed = Feed::kPools;
  kube::ReflectorAction action;
};

struct Send {
  std::uint64_t id = 0;
  kube::Call call;
  Expect expect = Expect::kText;
};

// Asks a pod's engine for its load; answered by one LoadArrived.
struct LoadRead {
  std::string pod_uid;
  kube::ObjectKey pool;
  engine::LoadRequest request;
};

enum class Severity : std::uint8_t { kDebug, kInfo, kWarn, kError };

struct LogLine {
  Severity severity = Severity::kInfo;
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
