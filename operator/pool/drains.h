// Which of the pool's pods should go, whoever wants it, and the next step of each drain.
//
// A pod has to go (DrainReason) if its ReplicaSet wants fewer than it has, or its StatefulSet is about to
// delete it, and the gate holds them. It has to go, too, if a person asked for it, or if its node is being
// emptied. How many of a ReplicaSet: as many as it has too many, less those that serve nobody and that its
// controller takes first anyway.
#pragma once

#include "pool/observation.h"

namespace poolwarden::pool {

// Fills in the members' drains, and the plan's readings, oldest_drain and look_again. Members that drain have
// the reason kDraining from then on.
void decide_drains(Observation& seen, Plan& plan, api::Now now);

}  // namespace poolwarden::pool
