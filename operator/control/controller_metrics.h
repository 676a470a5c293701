// What the loop tells about its work, as it happens. The operator binds it to Prometheus
// (prometheus_controller_metrics.h). Simulations and unit tests count with one of their own, or leave it as
// it is.
//
// Called on the loop's thread only; implementations must not block.
#pragma once

#include "kube/client.h"
#include "kube/event_recorder.h"
#include "kube/time.h"
#include "kube/work_queue.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace poolwarden::control {

class ControllerMetrics : public kube::WorkQueueMetrics {
 public:
  void depth(std::size_t) override {}
  void added() override {}
  void queue_duration(kube::Duration) override {}
  void work_duration(kube::Duration) override {}

  // A write failed, and what it was for is decided again.
  virtual void retried() {}
  // Watch event decoded -> ConfigMap write acknowledged, for one withdrawn pod.
  virtual void withdrawal(kube::Duration) {}
  // One of them that was written by a replica which does not lead.
  virtual void standby_withdrawal() {}
  struct EndpointCounts {
    std::size_t ready = 0;
    std::size_t draining = 0;
    std::size_t withdrawn = 0;
  };
  virtual void endpoints(std::string_view /*ns*/, std::string_view /*pool*/, EndpointCounts) {}
  // What the pool and its target ask for, the more of them; nothing while that is not known.
  virtual void wanted_replicas(std::string_view /*ns*/, std::string_view /*pool*/,
                               std::optional<std::int32_t>) {}
  // How long the oldest drain under way has taken so far; 0 without one.
  virtual void oldest_drain(std::string_view /*ns*/, std::string_view /*pool*/, kube::Duration) {}
  // One that ended: "completed", "timed_out", "cancelled", "lost".
  virtual void drained(std::string_view /*result*/, kube::Duration) {}
  // "present", "missing", "edited", "unknown".
  virtual void drain_gate(std::string_view /*state*/) {}
  // Consumers of a pool's list that confirm what they hold of it; nothing where there is none.
  struct ConsumerCounts {
    std::size_t live = 0;
    std::size_t silent = 0;
    std::int64_t behind = 0;  // revisions, of the slowest that is live
  };
  virtual void consumers(std::string_view /*ns*/, std::string_view /*pool*/, std::optional<ConsumerCounts>) {}
  // A write of the list answered -> a consumer's confirmation seen.
  virtual void consumer_confirmed(std::string_view /*ns*/, std::string_view /*pool*/, kube::Duration) {}
  virtual void pool_gone(std::string_view /*ns*/, std::string_view /*pool*/) {}
  virtual void watch_restarted(std::string_view /*resource*/, std::string_view /*reason*/) {}
  // Objects that came and could not be read, all since the start.
  virtual void unreadable(std::string_view /*resource*/, std::uint64_t /*count*/) {}
  // When the kind was last brought up to date; of one that the operator does without, last refused.
  virtual void last_byte(std::string_view /*resource*/, kube::TimePoint) {}
  // Kind as in to_string(Written) or "Event"; result "success" or the error's class.
  virtual void wrote(std::string_view /*kind*/, std::string_view /*result*/) {}
  virtual void call_took(kube::Verb, std::string_view /*result*/, kube::Duration) {}
  virtual void leading(bool) {}
  // Of Kubernetes Events, all since the start: what was written and what was dropped.
  virtual void events(const kube::EventStats&) {}
  // One turn of the loop: how long its oldest input had waited.
  virtual void step_took(kube::Duration /*waited*/) {}
};

}  // namespace poolwarden::control
