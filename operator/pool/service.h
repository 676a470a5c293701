// The Service that selects the pool's serving pods, and the labels that tell its health.
#pragma once

#include "pool/endpoint_slices.h"
#include "pool/observation.h"

#include <string>

namespace poolwarden::pool {

// Fills in plan.service. Returns what a person should know about it; empty when there is nothing to say.
// It has a selector as long as its EndpointSlices are Kubernetes'; `slices` says how far those of ours are.
std::string keep_service(const Observation& seen, const SlicesFound& slices, Plan& plan);

// Whether the pool made it, or may take it back.
bool is_ours(const api::InferencePool& pool, const api::Service& service);
// Whether its selector is that of the pool's serving pods.
bool points_at_pool(const Observation& seen, const api::Service& service);

}  // namespace poolwarden::pool
