// The pool's PodDisruptionBudget. It holds evictions (kubectl drain, autoscalers of nodes) of pods that
// serve, drain, or finish what they had when they turned unready. It lets pods go that are drained or serve
// nobody.
#pragma once

#include "pool/observation.h"

#include <string>

namespace poolwarden::pool {

// Fills in the plan's budget.
void keep_budget(const Observation& seen, Plan& plan);
// The pool has been on hold for so long that its budget holds nobody any more: it begins no drain, so what is
// evicted would be held for ever.
bool lets_go_on_hold(const Observation& seen);

std::string budget_name(const api::InferencePool& pool);
// True if the budget there is the pool's own.
bool is_ours(const api::InferencePool& pool, const api::DisruptionBudget& budget);

// Whether a budget, anybody's, selects pods with these labels. An empty selector selects every pod.
// https://kubernetes.io/docs/tasks/run-application/configure-pdb/
bool selects_pods_with(const api::DisruptionBudget& budget, const api::Labels& labels);

}  // namespace poolwarden::pool
