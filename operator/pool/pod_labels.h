// The label that tells each pod's state to Services and people, and the finalizer that takes it off again.
//
// A pod gets its first label when it becomes an endpoint: until then there is nothing to tell, and a pod that
// never starts costs no write. The finalizer comes before the first label and goes with the last.
#pragma once

#include "pool/observation.h"

namespace poolwarden::pool {

// Fills in the plan's pod_labels, finalizer and events.
void label_pods(const Observation& seen, Plan& plan);

}  // namespace poolwarden::pool
