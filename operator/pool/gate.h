// Whether the API server holds deletes of serving pods: what the gate's two objects say.
//
// Pure.
#pragma once

#include "api/objects.h"
#include "pool/plan.h"

#include <string>
#include <string_view>

namespace poolwarden::pool {

struct GateState {
  Gate gate = Gate::kUnseen;
  std::string difference;  // kEdited: in which way it does not do what it should
};

// Of the policy and its binding as they are in caches that have synced; null for one that is not there.
GateState gate_state(const api::GatePart* policy, const api::GatePart* binding);

std::string_view to_string(Gate gate);  // "present", as the metric names it

}  // namespace poolwarden::pool
