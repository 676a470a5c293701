// The pool and its target always agree on a number of replicas, and whoever scaled last wins.
//
// There is no clock in the objects that says who was last. What both agreed on before says who has moved:
//   - pool unset: the target's count is taken over, so that a new pool never resizes a model
//   - both equal: agreed
//   - nothing agreed yet: the pool's count goes to the target
//   - the pool moved, be it that both did: the pool's count goes to the target
//   - only the target moved: its count goes to the pool
//
// They agreed on it with one object, whatever its name. A Deployment that was deleted and made again has
// agreed on nothing yet, and neither has another Deployment that the pool is pointed at.
#pragma once

#include "pool/observation.h"

#include <cstdint>
#include <optional>

namespace poolwarden::pool {

enum class SyncDirection : std::uint8_t { kAgreed, kPoolToTarget, kTargetToPool };

SyncDirection direction(std::optional<std::int32_t> pool, std::int32_t target,
                        std::optional<std::int32_t> agreed_before);

// Of the target that is there now (there must be one). Status that does not tell with whom, as older
// releases wrote it, is taken to mean this one.
std::optional<std::int32_t> agreed_before(const Snapshot& snapshot);
// How many replicas it may have beyond the pool's, so that replacements come first.
std::int32_t granted_surge(const Snapshot& snapshot);

// One autoscaler scales the pool and another its target, each of its own mind. Carrying their counts back and
// forth would make each undo the other for ever. So nothing is carried until one of them goes.
bool autoscalers_compete(const Snapshot& snapshot);

// Fills in the plan's scale_target or adopt_replicas, or what both sides agree on.
void sync_replicas(const Observation& seen, Plan& plan);

}  // namespace poolwarden::pool
