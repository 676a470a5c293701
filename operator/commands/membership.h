// Whose pod it is: a pool's own selector decides, or else its target's. Pure.
#pragma once

#include "commands/fact.h"
#include "commands/view.h"

#include <optional>
#include <string>
#include <vector>

namespace poolwarden::commands {

// A pool with the selector that says which pods are its own; nothing where that cannot be told.
struct SelectingPool {
  PoolView pool;
  Fact<api::LabelSelector> selector;
};

std::vector<const SelectingPool*> pools_of(const PodView& pod, const std::vector<SelectingPool>& pools);

// For a person whose pod is in none of them: which there are and what they select.
std::string why_in_no_pool(const PodView& pod, const std::vector<SelectingPool>& pools);

// Whether Kubernetes would let the pod go without cutting a request that we know of: it is drained, or was
// never on a list and is not ready.
enum class Hold { kServing, kDraining, kReleased };
Hold hold_of(const PodView& pod);

}  // namespace poolwarden::commands
