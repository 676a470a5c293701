#include "gateway/gateway_metrics.h"

#include "telemetry/watch_families.h"

#include <chrono>
#include <string>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

namespace poolwarden::gateway {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;

Gauge& gauge(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({});
}
Counter& counter(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add({});
}
double seconds(kube::Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

struct GatewayMetrics::Impl {
  std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  prometheus::Registry& r = *registry;
  const Histogram::BucketBoundaries buckets{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                            0.1,    0.25,  0.5,    1,     2.5,  5};

  Family<Histogram>& apply =
      prometheus::BuildHistogram()
          .Name("poolwarden_gateway_apply_seconds")
          .Help("From the event of the list or of a pod, decoded, to the gateway's acknowledgement.")
          .Register(r);
  Histogram& withdraw = apply.Add({{"change", "withdraw"}}, buckets);
  Histogram& admit = apply.Add({{"change", "admit"}}, buckets);
  Gauge& revision =
      gauge(r, "poolwarden_gateway_revision", "Revision of the list that the gateway was last brought to.");
  Family<Gauge>& servers = prometheus::BuildGauge()
                               .Name("poolwarden_gateway_servers")
                               .Help("The gateway's servers that the gateway feed owns, by state.")
                               .Register(r);
  Gauge& ready = servers.Add({{"state", "ready"}});
  Gauge& draining = servers.Add({{"state", "draining"}});
  Gauge& free = servers.Add({{"state", "free"}});
  Gauge& unplaced = gauge(r, "poolwarden_gateway_unplaced_endpoints",
                          "Ready endpoints without a server: server-template in haproxy.cfg has too few.");
  Gauge& fallen = gauge(r, "poolwarden_gateway_fallen_endpoints",
                        "Endpoints of the list that are sent nothing, by their pods' own events.");
  Gauge& refused = gauge(r, "poolwarden_gateway_refused_addresses",
                         "Addresses of the list that nothing is sent to: no pod has such an address.");
  Gauge& up = gauge(r, "poolwarden_gateway_up", "1 if the gateway's last answer was one.");
  Counter& restarts =
      counter(r, "poolwarden_gateway_restarts_total", "Times the gateway was seen to be a new process.");
  Counter& failures = counter(r, "poolwarden_gateway_failures_total",
                              "Times the gateway did not answer, or refused a command.");
  Gauge& impaired =
      gauge(r, "poolwarden_gateway_impaired",
            "1 while the list is held and something beside it cannot be done; the log says what.");
  Counter& unreadable =
      counter(r, "poolwarden_gateway_unreadable_lists_total",
              "Versions of the ConfigMap that were ignored because they could not be read.");
  telemetry::WatchFamilies watches{r};

  Counter& restarted(std::string_view resource, kube::RestartReason reason) {
    return watches.restarts.Add(
        {{"resource", std::string(resource)}, {"reason", std::string(kube::to_string(reason))}});
  }
};

GatewayMetrics::GatewayMetrics() : impl_(std::make_unique<Impl>()) {
  using enum kube::RestartReason;
  for (const auto reason : {kClosed, kShort, kExpired, kFailed, kForbidden, kStale, kLost})
    for (const auto* resource : {"configmaps", "pods"}) impl_->restarted(resource, reason);
}
GatewayMetrics::~GatewayMetrics() = default;

void GatewayMetrics::withdrawn(kube::Duration latency) {
  impl_->withdraw.Observe(seconds(latency));
}
void GatewayMetrics::admitted(kube::Duration latency) {
  impl_->admit.Observe(seconds(latency));
}

void GatewayMetrics::settled(std::int64_t revision, std::size_t ready, std::size_t draining,
                             std::size_t places, std::size_t unplaced) {
  impl_->revision.Set(static_cast<double>(revision));
  impl_->ready.Set(static_cast<double>(ready));
  impl_->draining.Set(static_cast<double>(draining));
  impl_->free.Set(static_cast<double>(places - ready - draining));
  impl_->unplaced.Set(static_cast<double>(unplaced));
}

void GatewayMetrics::gateway_found() {
  impl_->up.Set(1);
}
void GatewayMetrics::gateway_restarted() {
  impl_->restarts.Increment();
}
void GatewayMetrics::gateway_failed() {
  impl_->up.Set(0);
  impl_->failures.Increment();
}
void GatewayMetrics::list_unreadable() {
  impl_->unreadable.Increment();
}
void GatewayMetrics::set_complaint(bool any) {
  impl_->impaired.Set(any ? 1 : 0);
}
void GatewayMetrics::watch_restarted(std::string_view resource, kube::RestartReason reason) {
  impl_->restarted(resource, reason).Increment();
}
void GatewayMetrics::set_refused(std::size_t addresses) {
  impl_->refused.Set(static_cast<double>(addresses));
}
void GatewayMetrics::set_fallen(std::size_t pods) {
  impl_->fallen.Set(static_cast<double>(pods));
}
void GatewayMetrics::set_watch_silence(std::string_view resource, kube::Duration since_last_byte) {
  impl_->watches.last_byte_age.Add({{"resource", std::string(resource)}}).Set(seconds(since_last_byte));
}

std::shared_ptr<prometheus::Collectable> GatewayMetrics::collectable() const {
  return impl_->registry;
}

}  // namespace poolwarden::gateway
