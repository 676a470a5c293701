// What Envoy's file of endpoints is to hold, given the published list, the file as it is, and what Envoy
// itself reports. Pure; any thread.
//
// An endpoint's life in the file:
//   absent -> HEALTHY -> DRAINING -> absent
//   DRAINING -> HEALTHY   the endpoint came back
// Envoy sends a DRAINING host nothing new, and it finishes what the host has. A host is left out once Envoy
// has no request of it and the list does not have it as draining either.
//
// Both sides count. The file may be ahead of Envoy, which takes it up a moment later. So a host is agreed on
// only if the file and Envoy say the same of it: else Envoy could still take up, later, what the list no
// longer wants.
#pragma once

#include "gateway/envoy_answers.h"
#include "gateway/gateway.h"

#include <string>
#include <vector>

namespace poolwarden::gateway {

struct EnvoySnapshot {
  std::vector<EnvoyHost> file;  // empty: there is none that can be read
  std::vector<EnvoyHost> held;  // by Envoy; the file's where Envoy is not asked
};

// What the file says and what Envoy does, in one: sorted, each address once. A host of which they say
// different things is kOther.
std::vector<EnvoyHost> agreed(const EnvoySnapshot& snapshot);

// Withdrawals first. One write carries all of the plan out, so nothing of it holds the withdrawals up.
Plan make_envoy_plan(const std::vector<WantedServer>& wanted, const EnvoySnapshot& snapshot,
                     const std::string& cluster);

// The hosts of the file once the commands are carried out.
std::vector<EnvoyHost> with_commands(std::vector<EnvoyHost> hosts, const std::vector<Command>& commands);

// Whether Envoy does as it was told.
bool is_carried_out(const Command& command, const std::vector<EnvoyHost>& held);

}  // namespace poolwarden::gateway
