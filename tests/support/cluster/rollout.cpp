#include "support/cluster/rollout.h"

#include "support/apiserver/json_util.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <string>

#include <nlohmann/json.hpp>

namespace poolwarden::cluster {
namespace {

using apiserver::find_path;
using apiserver::int_at;
using nlohmann::json;

std::int64_t total_replicas(const std::vector<SetSize>& sets) {
  return std::accumulate(sets.begin(), sets.end(), std::int64_t{0},
                         [](std::int64_t sum, const SetSize& set) { return sum + set.replicas; });
}

enum class Round { kUp, kDown };

// intstr.GetScaledValueFromIntOrPercent.
std::int64_t scaled(const json* value, std::int64_t of, Round round) {
  if (value != nullptr && value->is_number_integer())
    return std::max<std::int64_t>(value->get<std::int64_t>(), 0);
  std::int64_t percent = 25;
  if (value != nullptr && value->is_string()) {
    const std::string& text = value->get_ref<const std::string&>();
    std::from_chars(text.data(), text.data() + text.size(), percent);
  }
  percent = std::clamp<std::int64_t>(percent, 0, 100'000);
  return (of * percent + (round == Round::kUp ? 99 : 0)) / 100;
}

}  // namespace

RolloutLimits rollout_limits(const json& deployment) {
  RolloutLimits limits;
  limits.replicas = int_at(deployment, {"spec", "replicas"}, 1);
  const json* surge = find_path(deployment, {"spec", "strategy", "rollingUpdate", "maxSurge"});
  const json* unavailable = find_path(deployment, {"spec", "strategy", "rollingUpdate", "maxUnavailable"});
  limits.surge = scaled(surge, limits.replicas, Round::kUp);
  limits.unavailable = std::min(scaled(unavailable, limits.replicas, Round::kDown), limits.replicas);
  if (limits.surge == 0 && limits.unavailable == 0) limits.unavailable = 1;
  return limits;
}

std::int64_t new_set_size(const RolloutLimits& limits, const SetSize& new_set,
                          const std::vector<SetSize>& old_sets) {
  if (new_set.replicas >= limits.replicas) return limits.replicas;
  const std::int64_t room = limits.replicas + limits.surge - total_replicas(old_sets) - new_set.replicas;
  if (room <= 0) return new_set.replicas;
  return new_set.replicas + std::min(room, limits.replicas - new_set.replicas);
}

std::vector<std::int64_t> old_set_sizes(const RolloutLimits& limits, const SetSize& new_set,
                                        const std::vector<SetSize>& old_sets) {
  std::vector<std::int64_t> sizes;
  for (const SetSize& set : old_sets) sizes.push_back(set.replicas);
  const std::int64_t min_available = limits.replicas - limits.unavailable;
  const std::int64_t new_unavailable = new_set.replicas - new_set.available;
  const std::int64_t may_go = total_replicas(old_sets) + new_set.replicas - min_available - new_unavailable;
  if (may_go <= 0) return sizes;
  std::int64_t gone = 0;
  for (std::size_t i = 0; i < sizes.size() && gone < may_go; ++i) {
    const std::int64_t unhealthy = std::max<std::int64_t>(sizes[i] - old_sets[i].available, 0);
    const std::int64_t down = std::min(may_go - gone, unhealthy);
    sizes[i] -= down;
    gone += down;
  }
  std::int64_t available = new_set.available;
  for (const SetSize& set : old_sets) available += set.available;
  std::int64_t surplus = available - min_available;
  for (std::int64_t& size : sizes) {
    if (surplus <= 0) break;
    const std::int64_t down = std::min(size, surplus);
    size -= down;
    surplus -= down;
  }
  return sizes;
}

std::vector<std::int64_t> proportional_sizes(const RolloutLimits& limits, const std::vector<SetSize>& sets,
                                             std::int64_t deployment_status_replicas) {
  const std::int64_t allowed = limits.replicas > 0 ? limits.replicas + limits.surge : 0;
  const std::int64_t to_add = allowed - total_replicas(sets);
  std::int64_t added = 0;
  std::vector<std::int64_t> sizes;
  for (const SetSize& set : sets) {
    std::int64_t share = 0;
    if (limits.replicas == 0) {
      share = -set.replicas;
    } else if (set.replicas != 0 && to_add != added) {
      const std::int64_t before =
          std::max<std::int64_t>(set.max_replicas.value_or(deployment_status_replicas), 1);
      const double target = static_cast<double>(set.replicas) *
                            static_cast<double>(limits.replicas + limits.surge) / static_cast<double>(before);
      share = static_cast<std::int64_t>(std::llround(target)) - set.replicas;
    }
    const std::int64_t left = to_add - added;
    share = to_add > 0 ? std::min(share, left) : std::max(share, left);
    added += share;
    sizes.push_back(set.replicas + share);
  }
  if (!sizes.empty()) sizes.front() = std::max<std::int64_t>(sizes.front() + to_add - added, 0);
  return sizes;
}

}  // namespace poolwarden::cluster
