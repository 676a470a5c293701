// A pod as Poolwarden keeps it: about a dozen fields out of the two hundred on the wire.
#pragma once

#include "api/meta.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace poolwarden::api {

enum class PodPhase : std::uint8_t { kPending, kRunning, kSucceeded, kFailed, kUnknown };
enum class Tristate : std::uint8_t { kAbsent, kTrue, kFalse, kUnknown };  // a condition's status

struct Pod : Identity {
  std::shared_ptr<const LabelMap> labels;   // without kServingLabel; never null after decoding
  std::optional<std::string> serving;       // kServingLabel's value
  std::shared_ptr<const std::string> node;  // never null; empty while unscheduled
  std::vector<std::string> ips;             // status.podIPs, primary first
  PodPhase phase = PodPhase::kUnknown;
  Tristate ready = Tristate::kAbsent;  // condition Ready
  Tristate containers_ready = Tristate::kAbsent;
  std::string ready_reason;                      // of condition Ready when it is not True
  std::optional<Timestamp> ready_since;          // Ready's lastTransitionTime
  std::optional<std::string> disruption_target;  // reason of condition DisruptionTarget=True
  std::string unmet_gate;                        // first readiness gate whose condition is not True
  std::string status_reason;                     // status.reason, "Evicted"
  std::optional<Timestamp> deletion_timestamp;
  std::int64_t deletion_grace_seconds = 0;
  bool has_readiness_probe = false;  // any container
};

}  // namespace poolwarden::api
