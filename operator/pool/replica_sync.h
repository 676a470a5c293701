// The pool and its target always agree on a number of replicas, and whoever scaled last wins.
//
// There is no clock in the objects that says who was last. What both agreed on before says who has moved:
//   pool unset                          -> the target's count is taken over (a new pool never resizes a
//   model) pool and target equal               -> agreed nothing agreed yet, or pool moved   -> the pool's
//   count goes to the target (it wins when both moved) only the target moved               -> the target's
//   count goes to the pool
#pragma once

#include "pool/observation.h"

#include <cstdint>
#include <optional>

namespace poolwarden::pool {

enum class SyncDirection : std::uint8_t { kAgreed, kPoolToTarget, kTargetToPool };

SyncDirection direction(std::optional<std::int32_t> pool, std::int32_t target,
                        std::optional<std::int32_t> agreed_before);

// One autoscaler at the pool and another at its target, each of its own mind: carrying their counts back and
// forth would make each undo the other for ever. So nothing is carried until one of them goes.
bool autoscalers_compete(const Snapshot& snapshot);

// Fills in the plan's scale_target or adopt_replicas, or what both sides agree on.
void sync_replicas(const Observation& seen, Plan& plan);

}  // namespace poolwarden::pool
