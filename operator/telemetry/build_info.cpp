#include "telemetry/build_info.h"

namespace poolwarden::telemetry {

BuildInfo build_info() {
  return {POOLWARDEN_VERSION, POOLWARDEN_COMMIT, POOLWARDEN_COMPILER};
}

}  // namespace poolwarden::telemetry
