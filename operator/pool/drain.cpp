#include "pool/drain.h"

#include "api/names.h"
#include "api/quiet_reads.h"

#include <algorithm>
#include <array>
#include <utility>

namespace poolwarden::pool {
namespace {

using std::chrono::seconds;

// The list cannot be written, but a pod whose time is up must not stay for ever for that.
constexpr seconds kUnpublishedLimit{30};
// How far the clock of whoever began the drain may be ahead of ours. What is further ahead is nobody's clock,
// and a drain that has yet to begin would never be over.
constexpr seconds kClockSkew{60};

constexpr std::array kReasons{
    std::pair{DrainReason::kScaleDown, std::string_view{"ScaleDown"}},
    std::pair{DrainReason::kRollout, std::string_view{"Rollout"}},
    std::pair{DrainReason::kRequested, std::string_view{"Requested"}},
    std::pair{DrainReason::kNodeCordoned, std::string_view{"NodeCordoned"}},
    std::pair{DrainReason::kNodeTaint, std::string_view{"NodeTaint"}},
};

bool is_over(const DrainInput& input) {
  return input.so_far >= input.timeout &&
         (input.withdrawn || input.so_far >= input.timeout + kUnpublishedLimit);
}

DrainStep step(const NotDraining& state, const DrainInput& input) {
  const auto now = std::chrono::floor<seconds>(input.now);
  if (input.cause) return {Draining{*input.cause, now}, DrainResult::kStarted};
  if (input.finishes) return {Finishing{now}, DrainResult::kNone};
  return {state, DrainResult::kNone};
}

DrainStep step(const Finishing& state, const DrainInput& input) {
  const auto now = std::chrono::floor<seconds>(input.now);
  const api::Timestamp since = state.since > now + kClockSkew ? now : state.since;
  if (input.cause) return {Draining{*input.cause, since}, DrainResult::kStarted};
  const bool ended = (input.withdrawn && input.idle) || is_over(input);
  if (!input.finishes || ended) return {NotDraining{}, DrainResult::kNone};
  return {Finishing{since}, DrainResult::kNone};
}

DrainStep step(const Draining& state, const DrainInput& input) {
  if (!input.cause && input.finishes) return {Finishing{state.started}, DrainResult::kCancelled};
  if (!input.cause) return {NotDraining{}, DrainResult::kCancelled};
  const auto now = std::chrono::floor<seconds>(input.now);
  if (state.started > now + kClockSkew) return {Draining{state.reason, now}, DrainResult::kNone};
  const Drained drained{state.reason, state.started};
  if (input.withdrawn && input.idle) return {drained, DrainResult::kCompleted};
  if (is_over(input)) return {drained, DrainResult::kTimedOut};
  return {state, DrainResult::kNone};
}

DrainStep step(const Drained& state, const DrainInput& input) {
  if (!input.cause) return {NotDraining{}, DrainResult::kCancelled};
  return {state, DrainResult::kNone};
}

}  // namespace

std::string_view to_string(DrainReason reason) {
  for (const auto& [value, name] : kReasons) {
    if (value == reason) return name;
  }
  return {};
}

std::optional<DrainReason> drain_reason(std::string_view text) {
  for (const auto& [value, name] : kReasons) {
    if (name == text) return value;
  }
  return std::nullopt;
}

std::string_view to_string(DrainResult result) {
  switch (result) {
    case DrainResult::kCompleted:
      return "completed";
    case DrainResult::kTimedOut:
      return "timed_out";
    case DrainResult::kCancelled:
      return "cancelled";
    case DrainResult::kNone:
    case DrainResult::kStarted:
      break;
  }
  return {};
}

DrainStep next(const DrainState& state, const DrainInput& input) {
  return std::visit([&input](const auto& now) { return step(now, input); }, state);
}

api::DrainSpec longer(const api::DrainSpec& a, const api::DrainSpec& b) {
  // As long as either asks for, at the rarer readings.
  const seconds poll = std::max(a.poll, b.poll);
  const seconds idle = std::max(api::idle_for(a.quiet_reads, a.poll), api::idle_for(b.quiet_reads, b.poll));
  return {.timeout = std::max(a.timeout, b.timeout),
          .quiet_reads = api::quiet_reads_for(idle, poll),
          .poll = poll,
          .settle = std::max(a.settle, b.settle),
          .settle_is_set = a.settle_is_set || b.settle_is_set,
          .on_timeout = std::max(a.on_timeout, b.on_timeout)};
}

seconds elapsed(api::Timestamp started, api::Timestamp now) {
  // In seconds before they are subtracted: a start is what anyone wrote, and three centuries of nanoseconds
  // overflow.
  return std::max(seconds{0}, std::chrono::floor<seconds>(now) - std::chrono::floor<seconds>(started));
}

api::Timestamp started(const DrainState& state) {
  if (const auto* finishing = std::get_if<Finishing>(&state)) return finishing->since;
  if (const auto* draining = std::get_if<Draining>(&state)) return draining->started;
  if (const auto* drained = std::get_if<Drained>(&state)) return drained->started;
  return {};
}

bool is_held(const std::optional<std::string>& serving) {
  return serving == api::serving::kTrue || serving == api::serving::kDraining ||
         serving == api::serving::kFinishing;
}

bool is_held(const api::Pod& pod) {
  if (is_held(pod.serving)) return true;
  // "drained" is written together with the cost that is saved, and what began is taken away together with the
  // label. So somebody else changed the label of a pod that finishes, drains, or serves.
  const api::DrainAnnotations& annotations = pod.drain_annotations();
  const bool marked = pod.serving == api::serving::kDrained || annotations.started;
  return marked && !annotations.saved_cost;
}

DrainState drain_state(const std::optional<std::string>& serving, const api::DrainAnnotations& annotations) {
  const bool finishes = serving == api::serving::kFinishing;
  if (!finishes && serving != api::serving::kDraining && serving != api::serving::kDrained)
    return NotDraining{};
  const auto started = api::parse_rfc3339(annotations.started.value_or(std::string{}));
  if (!started) return NotDraining{};
  if (finishes) return Finishing{*started};
  const auto reason =
      drain_reason(annotations.reason.value_or(std::string{})).value_or(DrainReason::kScaleDown);
  if (serving == api::serving::kDraining) return Draining{reason, *started};
  // Both are written with one patch: without the other, a person changed the label of a pod that drains.
  if (!annotations.saved_cost) return Draining{reason, *started};
  return Drained{reason, *started};
}

DrainState drain_state(const api::Pod& pod) {
  return drain_state(pod.serving, pod.drain_annotations());
}

}  // namespace poolwarden::pool
