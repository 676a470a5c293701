#include "control/write_throttle.h"

#include "base/backoff.h"

#include <algorithm>
#include <chrono>

namespace poolwarden::control {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// How long a write is remembered, and a failure after its wait is over. Longer than any wait.
constexpr kube::Duration kMemory = std::chrono::minutes(5);
constexpr std::uint32_t kPatience = 3;

// The first failure costs `base`.
kube::Duration doubled(kube::Duration base, std::uint32_t failures, kube::Duration cap) {
  return base::exponential_delay(base, failures - 1, cap);
}

kube::Duration delay_after(const kube::Error& error, std::uint32_t failures) {
  switch (error.cls) {
    case kube::ErrorClass::kConflict:
    case kube::ErrorClass::kNotFound:
    case kube::ErrorClass::kRelist:
      return seconds(1);
    case kube::ErrorClass::kForbidden:
    case kube::ErrorClass::kTerminal:
      return doubled(seconds(1), failures, seconds(60));
    case kube::ErrorClass::kRetry:
    case kube::ErrorClass::kShutdown:
      break;
  }
  const kube::Duration backoff = doubled(milliseconds(100), failures, seconds(30));
  // A server that asks for patience gets it, within the cap: an absurd Retry-After must not park an object.
  return error.retry_after ? std::clamp<kube::Duration>(*error.retry_after, backoff, seconds(60)) : backoff;
}

}  // namespace

std::string_view to_string(Written kind) {
  switch (kind) {
    case Written::kConfigMap:
      return "ConfigMap";
    case Written::kService:
      return "Service";
    case Written::kPod:
      return "Pod";
    case Written::kTarget:
    case Written::kStatefulTarget:
    case Written::kGroupTarget:
    case Written::kRolloutTarget:
      return "Scale";
    case Written::kPool:
      return "InferencePool";
    case Written::kBudget:
      return "PodDisruptionBudget";
    case Written::kEndpointSlice:
      return "EndpointSlice";
  }
  return "?";
}

Written written(api::TargetKind target) {
  switch (target) {
    case api::TargetKind::kStatefulSet:
      return Written::kStatefulTarget;
    case api::TargetKind::kLeaderWorkerSet:
      return Written::kGroupTarget;
    case api::TargetKind::kRollout:
      return Written::kRolloutTarget;
    case api::TargetKind::kDeployment:
    case api::TargetKind::kNone:
    case api::TargetKind::kOther:
      break;
  }
  return Written::kTarget;
}

std::optional<kube::TimePoint> WriteThrottle::blocked_until(const WrittenObject& object, kube::TimePoint now,
                                                            std::optional<std::size_t> content) const {
  const auto found = entries_.find(object);
  if (found == entries_.end()) return std::nullopt;
  const Entry& entry = found->second;
  if (entry.in_flight) return kube::TimePoint::max();
  kube::TimePoint until = entry.not_before;
  if (content && entry.written == content) until = std::max(until, entry.repeat_not_before);
  if (now >= until) return std::nullopt;
  return until;
}

void WriteThrottle::sent(const WrittenObject& object, std::optional<std::size_t> content, bool undoes) {
  Entry& entry = entries_[object];
  if (!entry.in_flight) ++in_flight_;
  entry.in_flight = true;
  entry.waits_for_change = false;
  entry.changed_meanwhile = false;
  entry.sending = content;
  entry.undoes = undoes;
}

void WriteThrottle::succeeded(const WrittenObject& object, kube::TimePoint now) {
  const auto found = entries_.find(object);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  if (entry.in_flight) --in_flight_;
  const bool again =
      entry.undoes && entry.sending && entry.written == entry.sending && now - entry.written_at < kMemory;
  const std::uint32_t repeats = again ? entry.repeats + 1 : 0;
  const auto content = entry.sending;
  entry = Entry{};
  entry.written = content;
  entry.repeats = repeats;
  entry.written_at = now;
  if (repeats >= kPatience)
    entry.repeat_not_before = now + doubled(seconds(1), repeats - kPatience + 1, seconds(60));
}

void WriteThrottle::failed(const WrittenObject& object, const kube::Error& error, kube::TimePoint now) {
  Entry& entry = entries_[object];
  if (entry.in_flight) --in_flight_;
  entry.in_flight = false;
  ++entry.failures;
  entry.waits_for_change = error.cls == kube::ErrorClass::kConflict || error.is_not_found();
  entry.not_before = now + delay_after(error, entry.failures);
}

bool WriteThrottle::is_in_flight(const WrittenObject& object) const {
  const auto found = entries_.find(object);
  return found != entries_.end() && found->second.in_flight;
}

bool WriteThrottle::changed_meanwhile(const WrittenObject& object) const {
  const auto found = entries_.find(object);
  return found != entries_.end() && found->second.changed_meanwhile;
}

void WriteThrottle::changed(const WrittenObject& object) {
  const auto found = entries_.find(object);
  if (found == entries_.end()) return;
  found->second.changed_meanwhile |= found->second.in_flight;
  if (found->second.in_flight || !found->second.waits_for_change) return;
  found->second.waits_for_change = false;
  found->second.failures = 0;
  found->second.not_before = {};
}

std::uint32_t WriteThrottle::failures(const WrittenObject& object) const {
  const auto found = entries_.find(object);
  return found == entries_.end() ? 0 : found->second.failures;
}

void WriteThrottle::sweep(kube::TimePoint now) {
  std::erase_if(entries_, [now](const auto& item) {
    const Entry& entry = item.second;
    return !entry.in_flight && now > std::max(entry.not_before, entry.written_at) + kMemory;
  });
}

}  // namespace poolwarden::control
