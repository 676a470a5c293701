#include "support/cluster/drain_gate.h"

#include "api/names.h"
#include "support/apiserver/json_util.h"
#include "support/cluster/delete_gate.h"
#include "support/cluster/pod_facts.h"
#include "support/cluster/writer.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace poolwarden::cluster {
namespace {

bool is_held_from(std::string_view user) {
  return user == kReplicaSetUser || user == kStatefulSetUser;
}

bool denies(const nlohmann::json& binding) {
  const auto* actions = apiserver::find_path(binding, {"spec", "validationActions"});
  return actions != nullptr && actions->is_array() &&
         std::find(actions->begin(), actions->end(), "Deny") != actions->end();
}

}  // namespace

bool held_by_serving_label(const nlohmann::json& pod) {
  const std::string phase = apiserver::text_at(pod, {"status", "phase"});
  if (phase == "Failed" || phase == "Succeeded") return false;
  const std::string serving = label(pod, "poolwarden.io/serving");
  return serving == "true" || serving == "draining" || serving == "finishing";
}

apiserver::Admission drain_gate(const apiserver::Model& model) {
  return [&model](const apiserver::AdmissionRequest& request) -> std::optional<std::string> {
    if (request.verb != "delete" || request.resource != "pods" || !request.subresource.empty() ||
        !is_held_from(request.user) || request.before == nullptr || !held_by_serving_label(*request.before)) {
      return std::nullopt;
    }
    const auto binding = model.find(kube::kValidatingAdmissionPolicyBindings, {}, api::kGateName);
    if (!binding || !denies(binding->body()) ||
        !model.find(kube::kValidatingAdmissionPolicies, {}, api::kGateName)) {
      return std::nullopt;
    }
    return "ValidatingAdmissionPolicy '" + std::string(api::kGateName) +
           "' denied request: Poolwarden holds this pod until no request is in flight there";
  };
}

}  // namespace poolwarden::cluster
