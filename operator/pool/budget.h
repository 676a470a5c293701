// The pool's PodDisruptionBudget: it holds evictions (kubectl drain, autoscalers of nodes) of pods that serve
// or drain, and lets go of those that are drained or serve nobody.
#pragma once

#include "pool/observation.h"

#include <string>

namespace poolwarden::pool {

// Fills in the plan's budget.
void keep_budget(const Observation& seen, Plan& plan);

std::string budget_name(const api::InferencePool& pool);
// True if the budget there is the pool's own.
bool is_ours(const api::InferencePool& pool, const api::DisruptionBudget& budget);

}  // namespace poolwarden::pool
