// A Deployment's status and conditions, from its ReplicaSets. Pure.
// https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status
#pragma once

#include "api/time.h"
#include "support/cluster/deployment_sets.h"

#include <optional>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::cluster {

struct DeploymentStatus {
  nlohmann::json value;
  bool complete = false;                   // every replica is of the new template, and available
  std::optional<api::Timestamp> deadline;  // when a rollout without progress counts as failed
};

DeploymentStatus deployment_status(const nlohmann::json& deployment, const DeploymentSets& sets,
                                   api::Timestamp now);

}  // namespace poolwarden::cluster
