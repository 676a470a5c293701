// The decision: what should be true of one pool, given what is.
//
// Pure: no I/O, no clock, no memory of its own. The same snapshot and time always give the same plan. Plans
// carried out lead, in at most four passes, to a snapshot whose plan is empty: status tells of replicas only
// once both sides agree.
#pragma once

#include "api/time.h"
#include "pool/plan.h"

namespace poolwarden::pool {

Plan decide(const Snapshot& snapshot, api::Now now);

}  // namespace poolwarden::pool
