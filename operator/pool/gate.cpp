#include "pool/gate.h"

#include "api/codecs.h"

namespace poolwarden::pool {

GateState gate_state(const api::GatePart* policy, const api::GatePart* binding) {
  if (policy == nullptr || binding == nullptr || policy->deleting || binding->deleting)
    return {Gate::kMissing, {}};
  std::string difference = api::gate_difference(*policy, *binding);
  const Gate gate = difference.empty() ? Gate::kPresent : Gate::kEdited;
  return {gate, std::move(difference)};
}

std::string_view to_string(Gate gate) {
  switch (gate) {
    case Gate::kMissing:
      return "missing";
    case Gate::kEdited:
      return "edited";
    case Gate::kUnseen:
      return "unknown";
    case Gate::kPresent:
      break;
  }
  return "present";
}

}  // namespace poolwarden::pool
