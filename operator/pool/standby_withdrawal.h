// What a replica that does not lead may do for a pool: take endpoints off its list. A leader that has just
// died is found out only when its Lease ends, and a pod that goes meanwhile cannot wait for that.
//
// Promises: only ready endpoints are named, and only for what the API server says of the pod itself. What
// follows from a node or from a selector is left to the leader. The list says which version of the pods it
// was made from, and of nothing else. So a standby whose pods are older than the list knows that, and names
// nobody. A standby whose nodes or pools are older would not know, and would fight the leader. Nor does it
// act where a node cannot be seen: its pods are then told to be not ready, and may well be.
//
// The list is written with the newer version of the pods: whoever leads and knows older ones puts nobody back
// (Snapshot::pods_behind).
//
// Pure. Borrows from its arguments.
#pragma once

#include "pool/membership.h"
#include "pool/withdrawal.h"

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::pool {

// judge_endpoint() for whoever does not lead: what is said of the pod only because its node cannot be seen
// does not count. `pod`: null when it is gone.
PodVerdict judge_in_standby(const api::Pod* pod, const NodeLookup& node);

struct StandbyView {
  const api::InferencePool* pool = nullptr;    // never null
  const api::ConfigMap* config_map = nullptr;  // of the name the pool publishes under; null: there is none
  // Older than what the list was made from, or of an order that cannot be told.
  bool pods_behind = true;
  // The list's ready endpoints: UID -> name of the pod. Never null.
  const std::map<std::string, std::string>* listed = nullptr;
  std::function<const api::Pod*(std::string_view name)> pod;  // of the pool's namespace; null: it is gone
  NodeLookup node;                                            // null while nodes cannot be read
};

// Who must not be on the list any more. None if too little is known to say so, or if the list may not be
// touched.
std::vector<UnfitEndpoint> unfit_in_standby(const StandbyView& seen);

}  // namespace poolwarden::pool
