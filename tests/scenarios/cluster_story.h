// One seed's story of a cluster: real controllers' rules on a virtual clock, people who scale, delete and
// relabel at random moments, operators that come and go, and a reader of the list. No faults of the network
// here.
#pragma once

#include "support/sim/sim_world.h"

#include <cstdint>
#include <string>

namespace poolwarden::scenarios {

sim::WorldOptions cluster_story_world(std::uint64_t seed);
// Nothing if all went well.
std::string run_cluster_story(std::uint64_t seed);

}  // namespace poolwarden::scenarios
