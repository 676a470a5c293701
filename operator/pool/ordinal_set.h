// Which pods a StatefulSet's controller is about to delete. It goes by ordinals, so that can be known before
// it asks: of a ReplicaSet's pods the pool chooses one, of these it only lets go.
//
// In the order in which the controller goes about it:
//   - pods whose ordinals are beyond those that the set is to have
//   - once there are none of those: pods of an older template, the highest ordinals first, as many as may be
//     unavailable at once, and none below the partition
// An ordered set waits with both until all pods that it is to have are available.
//
// https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#deployment-and-scaling-guarantees
//
// Pure.
#pragma once

#include "api/objects.h"
#include "api/pod.h"
#include "pool/drain.h"

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace poolwarden::pool {

// "vllm-3" of the set vllm is 3. Nothing: it is not named so, and its controller passes it over.
std::optional<std::int32_t> ordinal_of(const api::StatefulSet& set, std::string_view pod);

struct Leaver {
  const api::Pod* pod = nullptr;
  DrainReason reason = DrainReason::kScaleDown;
};

// Of all pods that the set controls, those that go next; the first to go first.
std::vector<Leaver> next_to_leave(const api::StatefulSet& set, const std::vector<const api::Pod*>& pods);

// How many may be unavailable while the set is updated: at least one.
std::int32_t max_unavailable(const api::StatefulSet& set);

}  // namespace poolwarden::pool
