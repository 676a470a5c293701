#include "control/prometheus_controller_metrics.h"

#include "control/watched_kinds.h"

namespace poolwarden::control {

PrometheusControllerMetrics::PrometheusControllerMetrics(telemetry::Metrics& metrics)
    : metrics_(metrics), queue_(metrics.queue("pools")) {
  for (const std::string_view kind : WatchedKinds::kNames) {
    metrics_.declare_watch(kind, {"closed", "short", "expired", "failed", "forbidden", "stale", "lost"});
  }
  for (const char* kind :
       {"ConfigMap", "Service", "Pod", "Scale", "InferencePool", "PodDisruptionBudget", "Event"}) {
    metrics_.declare_write(kind, {"success", "conflict", "forbidden", "retry", "terminal"});
  }
  PrometheusControllerMetrics::events({});
}

void PrometheusControllerMetrics::call_took(kube::Verb verb, std::string_view result,
                                            kube::Duration latency) {
  metrics_.observe_api_call(kube::to_string(verb), result, latency);
}

void PrometheusControllerMetrics::events(const kube::EventStats& stats) {
  metrics_.set_dropped_events("full", stats.dropped_full);
  metrics_.set_dropped_events("limited", stats.dropped_limited);
  metrics_.set_dropped_events("failed", stats.dropped_failed);
}

}  // namespace poolwarden::control
