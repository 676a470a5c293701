// Whether one pod may be sent requests, from the facts of the pod and its node alone. The answer is the same
// for every pool that selects it, so two pools never disagree about its label.
#pragma once

#include "api/objects.h"
#include "api/pod.h"
#include "pool/plan.h"

namespace poolwarden::pool {

// The node of a pod that has one. Null: that node is gone. Where it is not known whether it is, a node of which
// nothing is said.
using NodeLookup = std::function<const api::Node*(const api::Pod& pod)>;

// `node` may be null: then no pod is withdrawn for its node.
PodVerdict judge(const api::Pod& pod, const NodeLookup& node);

// Neither terminating nor finished: what a ReplicaSet counts as its own.
bool is_active(const api::Pod& pod);

}  // namespace poolwarden::pool
