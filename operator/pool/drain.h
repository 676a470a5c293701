// The drain of one pod, as a state machine, and what of it is written on the pod.
//
// A drain lives in the cluster: its state is the pod's label and annotations, so whoever comes next carries
// on. What is new here is only which step comes next. docs/drain.md has the picture.
//
//   NotDraining --cause-----------------------------> Draining      kStarted
//   Draining    --no cause--------------------------> NotDraining   kCancelled
//   Draining    --cause, began in the future--------> Draining      kNone, began now
//   Draining    --cause, withdrawn, idle------------> Drained       kCompleted
//   Draining    --cause, time is up (and withdrawn,
//                 or that has failed for a while)---> Drained       kTimedOut
//   Drained     --no cause--------------------------> NotDraining   kCancelled
//   any other: stays as it is                                        kNone
//
// Released means Drained: the gate lets its ReplicaSet, and its budget lets an eviction, take the pod.
#pragma once

#include "api/inference_pool.h"
#include "api/pod.h"
#include "api/time.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

namespace poolwarden::pool {

// Why a pod should go. The first that holds is told.
enum class DrainReason : std::uint8_t { kScaleDown, kRollout, kRequested, kNodeCordoned, kNodeTaint };
std::string_view to_string(DrainReason reason);  // "ScaleDown", as annotation, status and events show it
std::optional<DrainReason> drain_reason(std::string_view text);

struct NotDraining {
  bool operator==(const NotDraining&) const = default;
};
struct Draining {
  DrainReason reason = DrainReason::kScaleDown;
  api::Timestamp started{};
  bool operator==(const Draining&) const = default;
};
struct Drained {
  DrainReason reason = DrainReason::kScaleDown;
  api::Timestamp started{};
  bool operator==(const Drained&) const = default;
};
using DrainState = std::variant<NotDraining, Draining, Drained>;

// It is on its way out, be it released already.
inline bool drains(const DrainState& state) {
  return !std::holds_alternative<NotDraining>(state);
}

struct DrainInput {
  std::optional<DrainReason> cause;   // nothing: it should stay
  bool withdrawn = false;             // no list that we publish tells anyone to send requests to it
  bool idle = false;                  // it has had nothing in flight for long enough since
  std::chrono::seconds timeout{300};  // spec.drain.timeoutSeconds
  api::Timestamp now{};
};

enum class DrainResult : std::uint8_t { kNone, kStarted, kCompleted, kTimedOut, kCancelled };
std::string_view to_string(DrainResult result);  // "completed", as the metrics name it

struct DrainStep {
  DrainState next;
  DrainResult result = DrainResult::kNone;
};

DrainStep next(const DrainState& state, const DrainInput& input);

// How a pod drains that serves two pools: in all things as the pool that asks for the most.
api::DrainSpec longer(const api::DrainSpec& a, const api::DrainSpec& b);

// How long it has been draining, never negative: clocks of two operators may differ.
std::chrono::seconds elapsed(api::Timestamp started, api::Timestamp now);

// What a pod's label and annotations say. A label set by hand, without the annotations that come with it, is
// no drain of ours. `serving`: the label's value, or what is being written.
DrainState drain_state(const std::optional<std::string>& serving, const api::DrainAnnotations& annotations);

}  // namespace poolwarden::pool
