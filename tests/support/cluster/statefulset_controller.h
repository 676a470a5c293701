// A stand-in for Kubernetes' StatefulSet controller, on the in-memory API server.
//
// Level-triggered and without memory between steps: a step reads the pods, adopts and releases by label and
// name, makes missing ordinals, deletes those that are out of range or outdated, and writes the status.
// Earlier templates are kept as ControllerRevisions. Deterministic. It deletes as the service account of the
// real controller, so an admission rule can refuse it. As with the real one, the first refusal ends a step:
// what would come after it waits. It is tried again whenever the model changes, and after a while.
//
// Modelled is the controller that knows maxUnavailable (on by default since Kubernetes 1.35). Not here:
// claims of volumes, the limit of the history of revisions, events.
#pragma once

#include "support/cluster/delete_gate.h"
#include "support/cluster/writer.h"

#include <optional>

namespace poolwarden::cluster {

class StatefulSetController {
 public:
  explicit StatefulSetController(DeleteGate gate = {}) : gate_(std::move(gate)) {}

  void step(Model& model, Timestamp now);

  // When a step has work to do although nothing changed: minReadySeconds, or a delete that was refused. Valid
  // after a step.
  std::optional<Timestamp> next_deadline() const { return next_deadline_; }

 private:
  DeleteGate gate_;
  std::optional<Timestamp> next_deadline_;
};

}  // namespace poolwarden::cluster
