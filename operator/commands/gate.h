// Whether the drain gate holds deletes, from its two halves; judged as the operator does. Pure.
#pragma once

#include "api/objects.h"
#include "commands/lookup.h"

#include <string>

namespace poolwarden::commands {

struct GateView {
  bool stands = false;
  std::string difference;  // in what way it was edited, for a person; empty if it is as it should be
};

// Never absent: a gate that is not there does not stand.
Lookup<GateView> gate_of(const Lookup<api::GatePart>& policy, const Lookup<api::GatePart>& binding);

}  // namespace poolwarden::commands
