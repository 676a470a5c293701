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
//   - fewer other pods of pools stay on its node: that is empty the sooner
//   - younger
//   - by name, so that the same facts always give the same answer
// With Prefer::kEmptyNode both questions about its node come before the requests in flight.
#pragma once

#include "api/inference_pool.h"
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
  std::int32_t neighbours = 0;    // other pods of pools that stay on its node
};

// Somebody else on its node is not a neighbour any more: the pod goes as well.
void leaves(std::vector<Candidate>& candidates, const api::Pod& pod);
// First to go first.
void rank(std::vector<Candidate>& candidates, api::Prefer prefer);
// Takes out `ranked[0]`. Those on its node have one neighbour less, and so move forward.
void take_first(std::vector<Candidate>& ranked, api::Prefer prefer);

// Why `ranked[0]` goes rather than the next: "it has the fewest requests in flight, 2 of 2, 5 and 7".
std::string explain(const std::vector<Candidate>& ranked, api::Prefer prefer);

// The annotation's value as Kubernetes reads it: absent or malformed is 0.
// https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#pod-deletion-cost
std::int32_t deletion_cost(const api::Pod& pod);

}  // namespace poolwarden::pool
