// What was seen to happen to a pool between passes, in words for its conditions.
#pragma once

#include "pool/plan.h"
#include "pool/replica_moves.h"
#include "pool/slipped_deletes.h"

#include <chrono>
#include <vector>

namespace poolwarden::pool {

// `snapshot`: with its target, autoscalers and gate. Each is told for a while only: look again within a
// minute.
std::vector<Remark> remarks_on_the_past(const Snapshot& snapshot, const SlippedDeletes& slipped,
                                        const ReplicaMoves& moves, std::chrono::steady_clock::time_point now);

}  // namespace poolwarden::pool
