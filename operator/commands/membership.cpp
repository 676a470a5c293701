#include "commands/membership.h"

#include "api/names.h"
#include "pool/drain.h"
#include "pool/pod_group.h"

#include <chrono>
#include <variant>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace poolwarden::commands {
namespace {

// Longer than an operator that runs takes to label a pod that became ready.
constexpr std::chrono::seconds kToLabel{15};

pool::DrainState drain_of(const PodView& pod) {
  return pool::drain_state(pod.judged);
}

}  // namespace

std::vector<const SelectingPool*> pools_of(const PodView& pod, const std::vector<SelectingPool>& pools) {
  std::vector<const SelectingPool*> out;
  for (const SelectingPool& each : pools) {
    if (each.pool.ns != pod.ns) continue;
    const bool mine = each.selector.value ? each.selector.value->matches(pod.labels)
                                          : each.pool.endpoint(pod.name) != nullptr;
    if (mine) out.push_back(&each);
  }
  return out;
}

NoPool why_in_no_pool(const PodView& pod, const std::vector<SelectingPool>& pools) {
  std::vector<std::string> known;
  std::vector<std::string> unknown;
  for (const SelectingPool& each : pools) {
    if (each.pool.ns != pod.ns) continue;
    if (each.selector.value) {
      known.push_back(fmt::format("{} ({})", each.pool.name, each.selector.value->to_string()));
    } else {
      const std::string why = each.selector.is_absent() ? "its target is not there" : each.selector.problem;
      unknown.push_back(fmt::format("what pool {} selects cannot be told: {}", each.pool.name, why));
    }
  }
  if (!unknown.empty()) return {.certain = false, .words = fmt::format("{}", fmt::join(unknown, "; "))};
  if (known.empty()) return {.words = "there is no inferencepools.poolwarden.io in namespace " + pod.ns};
  return {.words = fmt::format("its labels match none of {}", fmt::join(known, ", "))};
}

bool is_worker(const PodView& pod) {
  return pool::is_worker(pod.labels);
}

bool is_drained(const PodView& pod) {
  return std::holds_alternative<pool::Drained>(drain_of(pod));
}

Hold hold_of(const PodView& pod, api::Timestamp now) {
  const pool::DrainState drain = drain_of(pod);
  if (std::holds_alternative<pool::Drained>(drain)) return Hold::kReleased;
  if (std::holds_alternative<pool::Draining>(drain)) return Hold::kDraining;
  if (std::holds_alternative<pool::Finishing>(drain)) return Hold::kFinishing;
  const std::string serving = pod.serving();
  // Set by hand, all but the first are no drain: the operator puts the pod back.
  if (pool::is_held(serving) || serving == api::serving::kDrained) return Hold::kServing;
  const api::Condition* ready = pod.condition("Ready");
  if (ready == nullptr || ready->status != "True") return Hold::kReleased;
  // Ready: the operator is about to label it; or it has long decided that something else speaks against it.
  return serving == api::serving::kFalse && now - ready->last_transition > kToLabel ? Hold::kReleased
                                                                                    : Hold::kServing;
}

}  // namespace poolwarden::commands
