// The stories of drains that a seed stands for.
#pragma once

#include "scenarios/drain_script.h"

#include <cstdint>

namespace poolwarden::scenarios {

DrainScript draw_drain_script(std::uint64_t seed);
// Of a StatefulSet: half of them in order, and half in parallel.
DrainScript draw_stateful_drain_script(std::uint64_t seed);

}  // namespace poolwarden::scenarios
