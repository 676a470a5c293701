// A stand-in for Kubernetes' Deployment controller, on the in-memory API server.
//
// RollingUpdate and Recreate, scaling (proportional in the middle of a rollout), pausing, revisions (so
// `kubectl rollout undo`, `history`, `restart` and `status` work), the history limit, and the status with its
// conditions. Level-triggered and without memory between steps; deterministic. ReplicaSets are named after a
// hash of their pod template, which is not the real controller's hash.
#pragma once

#include "support/cluster/writer.h"

#include <optional>

namespace poolwarden::cluster {

class DeploymentController {
 public:
  void step(Model& model, Timestamp now);

  // When a step has work to do although nothing changed (progressDeadlineSeconds). Valid after a step.
  std::optional<Timestamp> next_deadline() const { return next_deadline_; }

 private:
  std::optional<Timestamp> next_deadline_;
};

}  // namespace poolwarden::cluster
