// The metric families about watches, which every program of Poolwarden that watches has: one name and one
// help text, however many programs a Prometheus scrapes.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

namespace poolwarden::telemetry {

// Borrows from the registry, which must outlive it.
struct WatchFamilies {
  explicit WatchFamilies(prometheus::Registry& registry);

  prometheus::Family<prometheus::Counter>& restarts;     // labels: resource, reason
  prometheus::Family<prometheus::Gauge>& last_byte_age;  // label: resource
};

}  // namespace poolwarden::telemetry
