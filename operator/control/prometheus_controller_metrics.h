// The controller's metrics, bound to Prometheus. Declares every series whose labels are known, so that they
// are there at 0 before anything happens.
#pragma once

#include "control/controller_metrics.h"
#include "telemetry/metrics.h"

namespace poolwarden::control {

class PrometheusControllerMetrics final : public ControllerMetrics {
 public:
  explicit PrometheusControllerMetrics(telemetry::Metrics& metrics);

  void depth(std::size_t keys) override { queue_.set_depth(keys); }
  void added() override { queue_.added(); }
  void queue_duration(kube::Duration waited) override {
    queue_.waited(waited);
    queue_.started();  // said of a key when it is handed out
  }
  void work_duration(kube::Duration worked) override { queue_.worked(worked); }
  void retried() override { queue_.retried(); }

  void withdrawal(kube::Duration latency) override { metrics_.observe_withdrawal(latency); }
  void standby_withdrawal() override { metrics_.count_standby_withdrawal(); }
  void endpoints(std::string_view ns, std::string_view pool, EndpointCounts counts) override {
    metrics_.set_endpoints(ns, pool, counts.ready, counts.draining, counts.withdrawn);
  }
  void wanted_replicas(std::string_view ns, std::string_view pool,
                       std::optional<std::int32_t> replicas) override {
    metrics_.set_wanted_replicas(ns, pool, replicas);
  }
  void oldest_drain(std::string_view ns, std::string_view pool, kube::Duration age) override {
    metrics_.set_oldest_drain(ns, pool, age);
  }
  void drained(std::string_view result, kube::Duration took) override {
    metrics_.observe_drain(result, took);
  }
  void drain_gate(std::string_view state) override { metrics_.set_drain_gate(state); }
  void consumers(std::string_view ns, std::string_view pool, std::optional<ConsumerCounts> counts) override {
    const auto told = counts.value_or(ConsumerCounts{});
    metrics_.set_consumers(ns, pool, told.live, told.silent, told.behind);
  }
  void consumer_confirmed(std::string_view ns, std::string_view pool, kube::Duration took) override {
    metrics_.observe_confirmation(ns, pool, took);
  }
  void pool_gone(std::string_view ns, std::string_view pool) override { metrics_.remove_pool(ns, pool); }
  void watch_restarted(std::string_view resource, std::string_view reason) override {
    metrics_.watch_restarted(resource, reason);
  }
  void unreadable(std::string_view resource, std::uint64_t count) override {
    metrics_.set_unreadable(resource, count);
  }
  void last_byte(std::string_view resource, kube::TimePoint when) override {
    metrics_.set_last_byte(resource, when);
  }
  void wrote(std::string_view kind, std::string_view result) override { metrics_.wrote(kind, result); }
  void call_took(kube::Verb verb, std::string_view result, kube::Duration latency) override;
  void leading(bool yes) override { metrics_.set_leader(yes); }
  void events(const kube::EventStats& stats) override;
  void step_took(kube::Duration waited) override { metrics_.observe_loop_lag(waited); }

 private:
  telemetry::Metrics& metrics_;
  telemetry::QueueSeries queue_;
};

}  // namespace poolwarden::control
