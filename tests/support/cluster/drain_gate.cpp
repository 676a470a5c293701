#include "support/cluster/drain_gate.h"

#include "api/names.h"
#include "support/cluster/replicaset_controller.h"

#include <optional>
#include <string>

namespace poolwarden::cluster {

apiserver::Admission drain_gate(const apiserver::Model& model) {
  return [&model](const apiserver::AdmissionRequest& request) -> std::optional<std::string> {
    if (request.verb != "delete" || request.resource != "pods" || !request.subresource.empty() ||
        request.user != kReplicaSetUser || request.before == nullptr ||
        !held_by_serving_label(*request.before)) {
      return std::nullopt;
    }
    const bool stands = model.find(kube::kValidatingAdmissionPolicies, {}, api::kGateName) &&
                        model.find(kube::kValidatingAdmissionPolicyBindings, {}, api::kGateName);
    if (!stands) return std::nullopt;
    return "ValidatingAdmissionPolicy '" + std::string(api::kGateName) +
           "' denied request: Poolwarden holds this pod until no request is in flight there";
  };
}

}  // namespace poolwarden::cluster
