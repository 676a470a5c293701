// The drain of one pod, as a state machine, and what of it is written on the pod.
//
// A drain lives in the cluster: its state is the pod's label and annotations, so whoever comes next carries
// on. What is new here is only which step comes next. docs/drain.md has the picture.
//
//   NotDraining --cause-----------------------------> Draining      kStarted
//   NotDraining --finishes--------------------------> Finishing     kNone
//   Finishing   --cause-----------------------------> Draining      kStarted, began when it turned unfit
//   Finishing   --idle, or time is up, or finishes
//                 no more---------------------------> NotDraining   kNone
//   Draining    --no cause, finishes----------------> Finishing     kCancelled
//   Draining    --no cause--------------------------> NotDraining   kCancelled
//   Draining    --cause, began in the future--------> Draining      kNone, began now
//   Draining    --cause, withdrawn, idle------------> Drained       kCompleted
//   Draining    --cause, time is up (and withdrawn,
//                 or that has failed for a while)---> Drained       kTimedOut
//   Drained     --no cause--------------------------> NotDraining   kCancelled
//   any other: stays as it is                                        kNone
//
// Released means Drained: the gate lets its ReplicaSet, and its budget lets an eviction, take the pod.
//
// Finishing is nobody's wish: the pod was an endpoint and is none now, because it misses its probe, say. A
// server that is saturated does, with all that it answers. So the pod is held as one that drains.
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
struct Finishing {
  api::Timestamp since{};  // when it turned unfit
  bool operator==(const Finishing&) const = default;
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
using DrainState = std::variant<NotDraining, Finishing, Draining, Drained>;

// It is on its way out, be it released already.
inline bool drains(const DrainState& state) {
  return std::holds_alternative<Draining>(state) || std::holds_alternative<Drained>(state);
}
// Since when it drains, or finishes.
api::Timestamp started(const DrainState& state);
// Whether the gate and the budget hold a pod of that label, of which it may have none.
bool is_held(const std::optional<std::string>& serving);
// Or would, had nobody else changed its label.
bool is_held(const api::Pod& pod);

struct DrainInput {
  std::optional<DrainReason> cause;   // nothing: it should stay
  bool finishes = false;              // it is no endpoint for what it is, and may have something in flight
  bool withdrawn = false;             // no list that we publish tells anyone to send requests to it
  bool idle = false;                  // it has had nothing in flight for long enough since
  std::chrono::seconds so_far{0};     // for how long it has been draining, or finishing
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

// How long that is by the wall clock, never negative: clocks of two operators may differ.
std::chrono::seconds elapsed(api::Timestamp started, api::Timestamp now);

// What a pod's label and annotations say. A label set by hand, without the annotations that come with it, is
// no drain of ours. `serving`: the label's value, or what is being written.
DrainState drain_state(const std::optional<std::string>& serving, const api::DrainAnnotations& annotations);
DrainState drain_state(const api::Pod& pod);

}  // namespace poolwarden::pool
