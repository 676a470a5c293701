#include "commands/membership.h"

#include "api/names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace poolwarden::commands {

std::vector<const SelectingPool*> pools_of(const PodView& pod, const std::vector<SelectingPool>& pools) {
  std::vector<const SelectingPool*> out;
  for (const SelectingPool& each : pools) {
    if (each.pool.ns == pod.ns && each.selector.value && each.selector.value->matches(pod.labels))
      out.push_back(&each);
  }
  return out;
}

std::string why_in_no_pool(const PodView& pod, const std::vector<SelectingPool>& pools) {
  std::vector<std::string> known;
  for (const SelectingPool& each : pools) {
    if (each.pool.ns != pod.ns) continue;
    std::string selects = "a selector that cannot be told";
    if (each.selector.value) selects = each.selector.value->to_string();
    if (!each.selector.problem.empty()) selects += ": " + each.selector.problem;
    known.push_back(fmt::format("{} ({})", each.pool.name, selects));
  }
  if (known.empty())
    return fmt::format("pod {}/{} is in no pool: there is no inferencepools.poolwarden.io in namespace {}",
                       pod.ns, pod.name, pod.ns);
  return fmt::format("pod {}/{} is in no pool: its labels match none of {}", pod.ns, pod.name,
                     fmt::join(known, ", "));
}

Hold hold_of(const PodView& pod) {
  const std::string serving = pod.serving();
  if (serving == api::serving::kDraining) return Hold::kDraining;
  if (serving == api::serving::kDrained) return Hold::kReleased;
  // Ready, but not labelled: the operator has not come to it yet.
  if (serving == api::serving::kTrue || pod.ready()) return Hold::kServing;
  return Hold::kReleased;
}

}  // namespace poolwarden::commands
