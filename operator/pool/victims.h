// Which of several pods costs least to lose, and why, in words.
//
// In this order, the first difference decides:
//   - it serves nobody any more (its node or a gate has withdrawn it)
//   - lower deletion cost, where someone has set one: that is what the annotation is for
//   - fewer requests in flight; how many are unknown counts as the most. Those of an engine that stands still
//   count
//     as none, but an engine that has none goes first: it is released sooner
//   - colder cache: less of the engine's KV cache in use; unknown counts as the warmest
//   - it is on a node that is being emptied
//   - younger
//   - by name, so that the same facts always give the same answer
#pragma once

#include "api/pod.h"
#include "pool/engine_load_tracker.h"

#include <cstdint>
#include <string>
#include <vector>

namespace poolwarden::pool {

struct Candidate {
  const api::Pod* pod = nullptr;
  bool serves = true;
  bool node_is_emptied = false;
  const PodLoad* load = nullptr;  // null: it has said nothing lately
};

// First to go first.
void rank(std::vector<Candidate>& candidates);

// Why `ranked[0]` goes rather than the next: "it has the fewest requests in flight, 2 of 2, 5 and 7".
std::string explain(const std::vector<Candidate>& ranked);

// The annotation's value as Kubernetes reads it: absent or malformed is 0.
// https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#pod-deletion-cost
std::int32_t deletion_cost(const api::Pod& pod);

}  // namespace poolwarden::pool
