// A stand-in for Kubernetes' ReplicaSet controller, on the in-memory API server.
//
// Level-triggered and without memory between steps: a step reads the pods, adopts and releases by label,
// creates or deletes the difference, and writes the status. Deterministic. It deletes as the service account
// of the real controller, so an admission rule can refuse it; what is refused is tried again in the next
// step. Not here: expectations (the model is never stale), slow start, events.
#pragma once

#include "support/cluster/delete_gate.h"
#include "support/cluster/writer.h"

#include <optional>

namespace poolwarden::cluster {

class ReplicaSetController {
 public:
  explicit ReplicaSetController(DeleteGate gate = {}) : gate_(std::move(gate)) {}

  void step(Model& model, Timestamp now);

  // When a step has work to do although nothing changed: minReadySeconds, or a delete that was refused. Valid
  // after a step.
  std::optional<Timestamp> next_deadline() const { return next_deadline_; }

 private:
  DeleteGate gate_;
  std::optional<Timestamp> next_deadline_;
};

}  // namespace poolwarden::cluster
