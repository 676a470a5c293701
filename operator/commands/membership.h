// Whose pod it is: a pool's own selector decides, or else its target's. Pure.
#pragma once

#include "commands/lookup.h"
#include "commands/view.h"

#include <optional>
#include <string>
#include <vector>

namespace poolwarden::commands {

// A pool with the selector that says which pods are its own; nothing where that cannot be told.
struct SelectingPool {
  PoolView pool;
  Lookup<api::LabelSelector> selector;
};

// Where a selector cannot be told, the pods that the pool's status names are known to be its own.
std::vector<const SelectingPool*> pools_of(const PodView& pod, const std::vector<SelectingPool>& pools);

// For a person whose pod is in none of them, as far as can be told.
struct NoPool {
  bool certain = true;
  std::string words;  // "its labels match none of sglang (app=sglang)"
};
NoPool why_in_no_pool(const PodView& pod, const std::vector<SelectingPool>& pools);

// Of a LeaderWorkerSet, and not a leader: it is sent nothing, and computes for its leader.
bool is_worker(const PodView& pod);

// Whether the pod may go without cutting a request that we know of. Released: the operator has drained it, or
// it is not fit (not ready, say, or its node is not) and has finished what it had. Finishing: it is not fit,
// and is on no list, but may still answer.
enum class Hold { kServing, kDraining, kFinishing, kReleased };
Hold hold_of(const PodView& pod, api::Timestamp now);

// The operator's own judgement of the pod's label and annotations (pool::drain_state).
bool is_drained(const PodView& pod);

}  // namespace poolwarden::commands
