#include "commands/membership.h"

#include "api/names.h"

#include <chrono>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace poolwarden::commands {
namespace {

// Longer than an operator that runs takes to label a pod that became ready.
constexpr std::chrono::seconds kToLabel{15};

}  // namespace

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

bool is_drained(const PodView& pod) {
  return pod.serving() == api::serving::kDrained && pod.annotations.contains(api::kSavedCostAnnotation);
}

Hold hold_of(const PodView& pod, api::Timestamp now) {
  if (is_drained(pod)) return Hold::kReleased;
  const std::string serving = pod.serving();
  if (serving == api::serving::kDraining) return Hold::kDraining;
  if (serving == api::serving::kTrue || serving == api::serving::kDrained) return Hold::kServing;
  const api::Condition* ready = pod.condition("Ready");
  if (ready == nullptr || ready->status != "True") return Hold::kReleased;
  // Ready: the operator is about to label it; or it has long decided that something else speaks against it.
  return serving == api::serving::kFalse && now - ready->last_transition > kToLabel ? Hold::kReleased
                                                                                    : Hold::kServing;
}

}  // namespace poolwarden::commands
