#include "commands/gate.h"

#include "api/codecs.h"
#include "commands/view.h"

namespace poolwarden::commands {
namespace {

bool is_missing(const Lookup<api::GatePart>& part) {
  return part.is_absent() || (part.value && part.value->deleting);
}

}  // namespace

Lookup<GateView> gate_of(const Lookup<api::GatePart>& policy, const Lookup<api::GatePart>& binding) {
  if (is_missing(policy) || is_missing(binding)) return {.value = GateView{}, .problem = {}};
  if (!policy.value) return {.value = {}, .problem = policy.problem};
  if (!binding.value) return {.value = {}, .problem = binding.problem};
  const std::string& difference = api::gate_difference(*policy.value, *binding.value);
  return {.value = GateView{.stands = true, .difference = shortened(difference)}, .problem = {}};
}

}  // namespace poolwarden::commands
