// Taking endpoints off a list, and nothing else: the shortest way from a pod's event to the list without it.
//
// It needs the list as it is and what became of the pods on it. No other pod, no drain and no count of
// replicas has a say. So it costs what has changed, whatever the size of the pool. decide() comes to the same
// list afterwards: both judge an endpoint by judge_endpoint().
//
// Pure.
#pragma once

#include "pool/membership.h"
#include "pool/plan.h"

#include <string>
#include <vector>

namespace poolwarden::pool {

// Whether the pod of an endpoint may go on being listed. `pod`: null when it is gone. `selector`: of the
// pool; null while it is not known, and then no pod is off the list for its labels. Where many nodes are
// unseen, the caller has trust_its_kubelet() to ask.
PodVerdict judge_endpoint(const api::Pod* pod, const api::LabelSelector* selector, const NodeLookup& node);

// An endpoint that has to go.
struct UnfitEndpoint {
  std::string uid;
  Withdrawal reason = Withdrawal::kNone;
  std::string detail;
  bool only_by_its_node = false;  // as PodVerdict's
};

// Takes them out of `list` and gives it that revision. What led to it, of those that were ready, in the order
// of the list; those that drained had been withdrawn before. UIDs that are not on the list are passed over.
std::vector<EndpointChange> withdraw(api::EndpointSet& list, const std::vector<UnfitEndpoint>& unfit,
                                     std::int64_t revision);

}  // namespace poolwarden::pool
