// What an engine said of its load, in words for a person.
#pragma once

#include "pool/engine_load_tracker.h"

#include <string>

namespace poolwarden::pool {

// What there is to know of it besides its figure; empty if nothing.
std::string remark_on(const PodLoad& load);

// "with 3 in flight", and what there is to know besides. Null: nothing was ever heard.
std::string in_flight_words(const PodLoad* load);

}  // namespace poolwarden::pool
