// A trivial stand-in for the scheduler, and the Nodes it places pods on.
//
// A pod goes to the node with the fewest active pods that is schedulable, ready and matches its nodeSelector;
// ties go to the first by name. No resources, no affinity, no taints, no preemption.
#pragma once

#include "support/cluster/writer.h"

#include <string>
#include <vector>

namespace poolwarden::cluster {

// Creates nodes "node-1" ... that are ready, spread over `zones` (label topology.kubernetes.io/zone).
void create_nodes(Model& model, int count, const std::vector<std::string>& zones, Timestamp now);

class Scheduler {
 public:
  void step(Model& model, Timestamp now);
};

}  // namespace poolwarden::cluster
