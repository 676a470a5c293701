// One seed's story of two or three operators, each with a clock of its own: killed, paused and started again
// at any moment, their watches cut or silent, while pods come and go and kubelets, one or all of them, are
// not heard of. No two ever undo each other.
//
// What is checked of the lists is judged from the API server's state alone. Besides sim/invariants.h:
//   - nobody is withdrawn whom a fresh look would keep, but for what changed within the watch's delay: so
//     nobody is because most nodes are not heard of
//   - the list is written about as often as what it should say changes: nobody fights
//   - at rest it is the truth, there is one leader, and nothing is written
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace poolwarden::scenarios {

struct ReplicaOutcome {
  std::string wrong;  // nothing if all went well
  std::size_t standby_withdrawals = 0;
};

ReplicaOutcome run_replica_story(std::uint64_t seed);

}  // namespace poolwarden::scenarios
