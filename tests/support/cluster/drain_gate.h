// Poolwarden's drain gate on the stand-in API server, which evaluates no CEL.
//
// Does what manifests/gate/drain_gate.yaml does on a real cluster, and only while its policy and its binding
// are there: refuses the ReplicaSet and StatefulSet controllers' deletes of pods labelled
// poolwarden.io/serving=true, draining or finishing. Deleting either object lets go of them, and so does a
// binding that does not deny.
#pragma once

#include "support/apiserver/model.h"

namespace poolwarden::cluster {

// The model must outlive it; it is for that model's set_admission().
apiserver::Admission drain_gate(const apiserver::Model& model);

}  // namespace poolwarden::cluster
