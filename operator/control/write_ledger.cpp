#include "control/write_ledger.h"

#include <algorithm>
#include <chrono>

namespace poolwarden::control {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

kube::Duration doubled(milliseconds base, std::uint32_t failures, milliseconds cap) {
  const std::uint32_t doublings = std::min(failures - 1, 20U);
  return std::min<milliseconds>(base * (std::int64_t{1} << doublings), cap);
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
      return "Scale";
    case Written::kPool:
      return "InferencePool";
  }
  return "?";
}

std::optional<kube::TimePoint> WriteLedger::blocked_until(const WrittenObject& object,
                                                          kube::TimePoint now) const {
  const auto found = entries_.find(object);
  if (found == entries_.end()) return std::nullopt;
  if (found->second.in_flight) return kube::TimePoint::max();
  if (now >= found->second.not_before) return std::nullopt;
  return found->second.not_before;
}

void WriteLedger::sent(const WrittenObject& object) {
  Entry& entry = entries_[object];
  if (!entry.in_flight) ++in_flight_;
  entry.in_flight = true;
  entry.waits_for_change = false;
}

void WriteLedger::succeeded(const WrittenObject& object) {
  const auto found = entries_.find(object);
  if (found == entries_.end()) return;
  if (found->second.in_flight) --in_flight_;
  entries_.erase(found);
}

void WriteLedger::failed(const WrittenObject& object, const kube::Error& error, kube::TimePoint now) {
  Entry& entry = entries_[object];
  if (entry.in_flight) --in_flight_;
  entry.in_flight = false;
  ++entry.failures;
  entry.waits_for_change = error.cls == kube::ErrorClass::kConflict || error.is_not_found();
  entry.not_before = now + delay_after(error, entry.failures);
}

void WriteLedger::changed(const WrittenObject& object) {
  const auto found = entries_.find(object);
  if (found == entries_.end() || found->second.in_flight || !found->second.waits_for_change) return;
  entries_.erase(found);
}

std::uint32_t WriteLedger::failures(const WrittenObject& object) const {
  const auto found = entries_.find(object);
  return found == entries_.end() ? 0 : found->second.failures;
}

void WriteLedger::sweep(kube::TimePoint now) {
  std::erase_if(entries_, [now](const auto& item) {
    return !item.second.in_flight && now > item.second.not_before + std::chrono::minutes(5);
  });
}

}  // namespace poolwarden::control
