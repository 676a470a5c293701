// A pod as Poolwarden keeps it: a few fields out of the two hundred on the wire.
#pragma once

#include "api/meta.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace poolwarden::api {

enum class PodPhase : std::uint8_t { kPending, kRunning, kSucceeded, kFailed, kUnknown };

// A pod's annotations that have to do with draining it (names.h), as they are on the wire.
struct DrainMarks {
  std::optional<std::string> started;
  std::optional<std::string> reason;
  std::optional<std::string> request;
  std::optional<std::string> saved_cost;
  std::optional<std::string> deletion_cost;

  bool operator==(const DrainMarks&) const = default;
};

struct Pod : Identity {
  std::shared_ptr<const LabelMap> labels;   // without kServingLabel; never null after decoding
  std::optional<std::string> serving;       // kServingLabel's value
  std::shared_ptr<const std::string> node;  // never null; empty while unscheduled
  std::shared_ptr<const std::string>
      controller;                           // UID of the owner that controls it; never null, may be empty
  std::shared_ptr<const DrainMarks> marks;  // null when it has none, as nearly all
  Timestamp created{};
  std::vector<std::string> ips;  // status.podIPs, primary first
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
  std::int64_t termination_grace_seconds = 30;
  bool has_readiness_probe = false;  // any container
  bool has_pre_stop = false;         // every container, init containers aside

  const DrainMarks& drain_marks() const;  // empty ones when it has none
};

}  // namespace poolwarden::api
