// The label that tells each pod's state to Services, to the gate and to people, and the annotations of its
// drain.
//
// A pod gets its first label when it becomes an endpoint. Until then there is nothing to tell, and a pod that
// never starts costs no write. The label goes when no pool selects the pod any more; for pools that are gone
// the loop does that (orphans.h). A finalizer on the pool would make sure of it. But then a pool could not be
// deleted once the operator, or its permission, is gone. Deleting an installation, with its definition and
// its permissions at once, would never end.
#pragma once

#include "pool/observation.h"

namespace poolwarden::pool {

// Fills in the plan's pod_labels and drain_notes.
void label_pods(const Observation& seen, Plan& plan, api::Now now);

// Whether a pod has anything of ours.
bool is_marked(const api::Pod& pod);
// Takes all of it off, and puts back the deletion cost it had.
api::PodLabelWrite take_off(const api::Pod& pod);
// Lets its ReplicaSet take it, before others.
api::PodLabelWrite release(const api::Pod& pod);

}  // namespace poolwarden::pool
