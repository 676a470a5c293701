// Whether one pod may be sent requests, from the facts of the pod and its node alone. The answer is the same
// for every pool that selects it, so two pools never disagree about its label.
#pragma once

#include "api/objects.h"
#include "api/pod.h"
#include "pool/plan.h"

namespace poolwarden::pool {

// The node of a pod that has one. Null: that node is gone. Where it is not known whether it is, a node of
// which nothing is said.
using NodeLookup = std::function<const api::Node*(const api::Pod& pod)>;

// `node` may be null: then no pod is withdrawn for its node.
PodVerdict judge(const api::Pod& pod, const NodeLookup& node);

// The node controller has set the pod's condition Ready to False, as it does once its node is not heard of or
// not ready. A kubelet never says so of a pod whose containers are ready and whose gates are met.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-readiness-status
bool is_unready_by_its_node(const api::Pod& pod);

// While so many nodes are unheard of that it says nothing of them: the last word of the pod's own kubelet
// counts, if that was that it is ready.
void trust_its_kubelet(PodVerdict& verdict);

// What a pod says of itself now and may say otherwise later. Whoever made a list from newer pods knew that it
// did.
bool may_pass(Withdrawal reason);

// It was an endpoint and is none now for what it is, though nothing ends it: what it had in flight it may
// still answer. Its label is one that is held, until it has finished.
bool may_have_to_finish(const PodVerdict& verdict);

// Neither terminating nor finished: what a ReplicaSet counts as its own.
bool is_active(const api::Pod& pod);

}  // namespace poolwarden::pool
