// A pod as Poolwarden keeps it: a few fields out of the two hundred on the wire.
//
// All pods of the cluster are kept, also those that no pool selects: a pool that selects them may come at any
// time. So a pod shares what it has in common with others, and pays little for what it has not. What pods
// cost is bounded by a test (pod_memory_test.cpp).
#pragma once

#include "api/meta.h"
#include "api/rare.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace poolwarden::api {

enum class PodPhase : std::uint8_t { kPending, kRunning, kSucceeded, kFailed, kUnknown };

// A pod's annotations that have to do with draining it (names.h), as they are on the wire.
struct DrainAnnotations {
  std::optional<std::string> started;
  std::optional<std::string> reason;
  std::optional<std::string> request;
  std::optional<std::string> saved_cost;
  std::optional<std::string> deletion_cost;

  bool operator==(const DrainAnnotations&) const = default;
};

struct Pod : Identity {
  // Without kServingLabel; never null after decoding. Unknown if they are longer than is kept.
  std::shared_ptr<const Labels> labels;
  std::shared_ptr<const std::string> node;  // never null; empty while unscheduled
  std::shared_ptr<const std::string>
      controller;  // UID of the owner that controls it; never null, may be empty
  std::shared_ptr<const DrainAnnotations> annotations;  // null when it has none, as nearly all
  Timestamp created{};
  std::string ip;                       // the primary one of status.podIPs; may be empty
  Rare<std::string> serving;            // kServingLabel's value
  Rare<std::string> ready_reason;       // of condition Ready when it is not True
  Rare<std::string> disruption_target;  // reason of condition DisruptionTarget=True
  Rare<std::string> unmet_gate;         // first readiness gate whose condition is not True
  Rare<std::string> status_reason;      // status.reason, "Evicted"
  Rare<Timestamp> deletion_timestamp;
  Rare<std::vector<std::int32_t>> active_ports;  // those it says it serves on, sorted; never empty
  std::int64_t deletion_grace_seconds = 0;
  std::int64_t termination_grace_seconds = 30;
  PodPhase phase = PodPhase::kUnknown;
  Tristate ready = Tristate::kAbsent;  // condition Ready
  Tristate containers_ready = Tristate::kAbsent;
  bool has_readiness_probe = false;  // any container
  bool has_pre_stop = false;         // every container, init containers aside
  std::int16_t group_size = 0;       // how many pods its group has; 0: it does not say

  const DrainAnnotations& drain_annotations() const;  // empty ones when it has none
};

const std::vector<std::int32_t>& active_ports_of(const Pod& pod);  // empty: it does not say

}  // namespace poolwarden::api
