// What is running: for --version, the log's first line and poolwarden_build_info.
#pragma once

#include "telemetry/metrics.h"

namespace poolwarden::telemetry {

BuildInfo build_info();

}  // namespace poolwarden::telemetry
