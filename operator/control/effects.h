// What goes into the loop and what comes out of it: all of its contact with the world.
//
// Inputs are what transport threads decoded; effects are what the shell carries out, in order. Plain values:
// a test can feed the one and compare the other.
#pragma once

#include "api/codecs.h"
#include "kube/client.h"
#include "kube/informer.h"
#include "kube/reflector.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace poolwarden::control {

// The caches, in the order they are started.
enum class Feed : std::uint8_t { kPools, kConfigMaps, kPods, kDeployments, kServices, kNodes, kAutoscalers };
inline constexpr std::size_t kFeedCount = 7;

// What a write's answer is decoded as (on a transport thread) before it reaches the loop.
enum class Expect : std::uint8_t { kText, kPod, kConfigMap, kService, kPool };

using Answer = std::variant<std::string, api::Pod, api::ConfigMap, api::Service, api::InferencePool>;

struct CallAnswered {
  std::uint64_t id = 0;
  kube::Result<Answer> answer;
};

// Asks for a clean end: no new write, what is in flight finishes, the lease is given back.
struct StopRequested {};

using Input = std::variant<kube::InformerInput<api::InferencePool>, kube::InformerInput<api::ConfigMap>,
                           kube::InformerInput<api::Pod>, kube::InformerInput<api::Deployment>,
                           kube::InformerInput<api::Service>, kube::InformerInput<api::Node>,
                           kube::InformerInput<api::Autoscaler>, CallAnswered, StopRequested>;

struct WatchWork {
  Feed feed = Feed::kPools;
  kube::ReflectorAction action;
};

struct Send {
  std::uint64_t id = 0;
  kube::Call call;
  Expect expect = Expect::kText;
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
  std::vector<LogLine> logs;
  std::optional<Exit> exit;

  bool empty() const { return watches.empty() && sends.empty() && logs.empty() && !exit; }
};

}  // namespace poolwarden::control
