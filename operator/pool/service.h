// The Service that selects the pool's serving pods, and the labels that tell its health.
#pragma once

#include "pool/observation.h"

#include <string>

namespace poolwarden::pool {

// Fills in plan.service. Returns what a person should know about it; empty when there is nothing to say.
std::string keep_service(const Observation& seen, Plan& plan);

}  // namespace poolwarden::pool
