// The stand-in controllers and scheduler together: everything a cluster does by itself but run pods.
#pragma once

#include "support/cluster/deployment_controller.h"
#include "support/cluster/replicaset_controller.h"
#include "support/cluster/scheduler.h"

#include <optional>

namespace poolwarden::cluster {

class ControlPlane {
 public:
  explicit ControlPlane(DeleteGate gate = {}) : replicasets_(std::move(gate)) {}

  // Until nothing is left to do at this moment.
  void step(Model& model, Timestamp now);
  std::optional<Timestamp> next_deadline() const;

 private:
  DeploymentController deployments_;
  ReplicaSetController replicasets_;
  Scheduler scheduler_;
};

}  // namespace poolwarden::cluster
