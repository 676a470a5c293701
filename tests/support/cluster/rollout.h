// The arithmetic of a Deployment's rollout: from the sizes of its ReplicaSets to the sizes they should have.
//
// Pure. It follows Kubernetes' pkg/controller/deployment (rolling.go, sync.go, util/deployment_util.go):
// https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#strategy
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::cluster {

struct SetSize {
  std::int64_t replicas = 0;   // spec
  std::int64_t available = 0;  // status
  // The Deployment's size with surge when this set was last scaled; unknown for a set never scaled by us.
  std::optional<std::int64_t> max_replicas;
};

struct RolloutLimits {
  std::int64_t replicas = 0;  // the Deployment's
  std::int64_t surge = 0;
  std::int64_t unavailable = 0;
};

// maxSurge rounds up and maxUnavailable down; if both come to 0 one pod may be unavailable. Each may be a
// number or a percentage; 25% by default.
RolloutLimits rollout_limits(const nlohmann::json& deployment);

// The size of the new set: as many as maxSurge leaves room for.
std::int64_t new_set_size(const RolloutLimits& limits, const SetSize& new_set,
                          const std::vector<SetSize>& old_sets);

// The sizes of the old sets (oldest first): unhealthy pods go first, then as many as maxUnavailable allows.
std::vector<std::int64_t> old_set_sizes(const RolloutLimits& limits, const SetSize& new_set,
                                        const std::vector<SetSize>& old_sets);

// A change of the Deployment's replicas in the middle of a rollout is spread over the sets in proportion to
// their sizes; what rounding leaves goes to the first. `sets` are those with pods, in the order of scaling:
// the largest first, ties newest first when growing and oldest first when shrinking.
std::vector<std::int64_t> proportional_sizes(const RolloutLimits& limits, const std::vector<SetSize>& sets,
                                             std::int64_t deployment_status_replicas);

}  // namespace poolwarden::cluster
