// Whether the gate does what it should: a person may have edited it, and one that lets pods through must not
// be relied on. Compared is what decides; names, labels and messages are anyone's to change.
#include "api/codecs.h"
#include "api/json_read.h"
#include "api/names.h"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::api {
namespace {

using nlohmann::json;

// As manifests/gate has it, and manifests/overlays/shared-controller-user.
constexpr std::array<std::string_view, 2> kByTheController{
    "request.userInfo.username in ['system:serviceaccount:kube-system:replicaset-controller', "
    "'system:serviceaccount:kube-system:statefulset-controller']",
    "request.userInfo.username == 'system:kube-controller-manager' && "
    "!has(request.options.preconditions)"};
// What has ended answers nobody.
constexpr std::string_view kHasNotEnded =
    "!(oldObject.?status.?phase.orValue('') in ['Failed', 'Succeeded'])";

bool has(const json& array, std::string_view wanted) {
  return std::any_of(array.begin(), array.end(), [wanted](const json& value) {
    return value.is_string() &&
           (value.get_ref<const std::string&>() == wanted || value.get_ref<const std::string&>() == "*");
  });
}

bool is_nothing(const json& value) {
  return value.is_null() || value.empty();
}

bool covers_deletes(const json& constraints) {
  const json& rules = array_at(constraints, "resourceRules");
  return std::any_of(rules.begin(), rules.end(), [](const json& rule) {
    return has(array_at(rule, "apiGroups"), "") && has(array_at(rule, "apiVersions"), "v1") &&
           has(array_at(rule, "resources"), "pods") && has(array_at(rule, "operations"), "DELETE") &&
           string_at(rule, "scope") != "Cluster" && is_nothing(member(rule, "resourceNames"));
  });
}

bool covers_held_pods(const json& constraints) {
  const json& selector = member(constraints, "objectSelector");
  if (!is_nothing(member(selector, "matchLabels"))) return false;
  const LabelSelector read = read_selector(selector);
  // None selects every pod, released ones too, and those of no pool: nothing would ever go.
  if (read.match_expressions.size() != 1) return false;
  const SelectorRequirement& one = read.match_expressions.front();
  const std::set<std::string> values(one.values.begin(), one.values.end());
  return one.key == kServingLabel && one.op == "In" && values.contains(std::string{serving::kTrue}) &&
         values.contains(std::string{serving::kDraining}) &&
         values.contains(std::string{serving::kFinishing}) &&
         !values.contains(std::string{serving::kDrained});
}

bool says(const json& item, std::string_view expression) {
  return string_at(item, "expression") == expression;
}

std::string policy_difference(const json& spec) {
  const json& constraints = member(spec, "matchConstraints");
  if (!covers_deletes(constraints)) return "the policy's resourceRules do not cover DELETE of pods";
  if (!is_nothing(member(constraints, "excludeResourceRules")) ||
      !is_nothing(member(constraints, "namespaceSelector")))
    return "the policy leaves some pods out";
  if (!covers_held_pods(constraints))
    return fmt::format("the policy's objectSelector does not select {} In (true, draining, finishing)",
                       kServingLabel);
  const json& conditions = array_at(spec, "matchConditions");
  const bool by_a_controller =
      !conditions.empty() &&
      std::any_of(kByTheController.begin(), kByTheController.end(),
                  [&conditions](std::string_view known) { return says(conditions.front(), known); });
  if (!by_a_controller)
    return "the policy's matchConditions are not about the controllers of ReplicaSets and StatefulSets alone";
  if (conditions.size() != 2 || !says(conditions.back(), kHasNotEnded))
    return "the policy's matchConditions do not let go of pods that have ended, and of no others";
  // With parameters it is evaluated only where the binding names some.
  if (!is_nothing(member(spec, "paramKind"))) return "the policy has a paramKind";
  const json& validations = array_at(spec, "validations");
  if (validations.size() != 1 || !says(validations.front(), "false"))
    return "the policy's validations do not refuse";
  return {};
}

std::string binding_difference(const json& spec) {
  if (string_at(spec, "policyName") != kGateName) return "the binding names another policy";
  if (!has(array_at(spec, "validationActions"), "Deny")) return "the binding does not deny";
  const json& resources = member(spec, "matchResources");
  for (const char* narrower :
       {"namespaceSelector", "objectSelector", "resourceRules", "excludeResourceRules"}) {
    if (!is_nothing(member(resources, narrower)))
      return fmt::format("the binding leaves pods out by {}", narrower);
  }
  return {};
}

GatePart read_part(const json& object) {
  GatePart out;
  read_identity(object, out);
  out.deleting = member(member(object, "metadata"), "deletionTimestamp").is_string();
  return out;
}

}  // namespace

const std::string& gate_difference(const GatePart& policy, const GatePart& binding) {
  return policy.difference.empty() ? binding.difference : policy.difference;
}

GatePart GatePolicyCodec::from_json(const json& object) {
  GatePart out = read_part(object);
  out.difference = policy_difference(member(object, "spec"));
  return out;
}

GatePart GateBindingCodec::from_json(const json& object) {
  GatePart out = read_part(object);
  out.difference = binding_difference(member(object, "spec"));
  return out;
}

}  // namespace poolwarden::api
