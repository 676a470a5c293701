// What `poolwarden operator` answers at / of its metrics port, for people.
//
// page() is called on a thread of the server, and reads nothing but its arguments. See control/sight.h for
// what it costs the loop, and telemetry/rationed_page.h for how often it is made.
#pragma once

#include "control/sight.h"

#include <string>

namespace poolwarden::status_page {

// `sight` may be null: the loop has not looked yet.
std::string page(const control::Sight* sight, kube::TimePoint now);

}  // namespace poolwarden::status_page
