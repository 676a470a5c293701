#include "telemetry/watch_families.h"

namespace poolwarden::telemetry {

WatchFamilies::WatchFamilies(prometheus::Registry& registry)
    : restarts(prometheus::BuildCounter()
                   .Name("poolwarden_watch_restarts_total")
                   .Help("Lists and watches that ended and were started again, by reason.")
                   .Register(registry)),
      last_byte_age(prometheus::BuildGauge()
                        .Name("poolwarden_watch_last_byte_age_seconds")
                        .Help("Time since a watch last brought anything.")
                        .Register(registry)) {}

}  // namespace poolwarden::telemetry
