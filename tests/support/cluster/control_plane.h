// The stand-in controllers and scheduler together: everything a cluster does by itself but run pods.
#pragma once

#include "support/cluster/deployment_controller.h"
#include "support/cluster/replicaset_controller.h"
#include "support/cluster/scheduler.h"
#include "support/cluster/statefulset_controller.h"

#include <cstdint>
#include <optional>

namespace poolwarden::cluster {

class ControlPlane {
 public:
  explicit ControlPlane(DeleteGate gate = {}) : replicasets_(gate), statefulsets_(std::move(gate)) {}

  // Until nothing is left to do at this moment. Does nothing if nothing has changed since the last call,
  // except once a second: what was refused then (an admission rule, a fault) may not be refused now.
  void step(Model& model, Timestamp now);
  std::optional<Timestamp> next_deadline() const;

 private:
  DeploymentController deployments_;
  ReplicaSetController replicasets_;
  StatefulSetController statefulsets_;
  Scheduler scheduler_;
  std::uint64_t seen_ = 0;
  Timestamp stepped_;
};

}  // namespace poolwarden::cluster
