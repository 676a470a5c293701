// From what the loop saw to what the page says: bounded, shortened, and with trouble first. Pure.
#pragma once

#include "control/sight.h"
#include "status_page/model.h"

#include <string>

namespace poolwarden::status_page {

// `sight` may be null: the loop has not looked yet.
StatusPage from_sight(const control::Sight* sight, kube::TimePoint now, std::string version);

}  // namespace poolwarden::status_page
