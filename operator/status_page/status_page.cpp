#include "status_page/status_page.h"

#include "status_page/from_sight.h"
#include "status_page/render.h"
#include "telemetry/build_info.h"

namespace poolwarden::status_page {

std::string page(const control::Sight* sight, kube::TimePoint now) {
  return render(from_sight(sight, now, std::string(telemetry::build_info().version)));
}

}  // namespace poolwarden::status_page
