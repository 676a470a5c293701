// Typed resource paths: which URL a kind of object lives under.
// https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris
#pragma once

#include <string>
#include <string_view>

namespace poolwarden::kube {

// A kind of resource. Constants of static storage duration only: the views are never owned.
struct ResourceType {
  std::string_view group;    // "" is the core group
  std::string_view version;  // "v1"
  std::string_view plural;   // "pods"
  std::string_view kind;     // "Pod"
  bool namespaced = true;

  bool operator==(const ResourceType&) const = default;
  std::string api_version() const;  // "apps/v1", "v1"
};

inline constexpr ResourceType kPods{"", "v1", "pods", "Pod"};
inline constexpr ResourceType kNodes{"", "v1", "nodes", "Node", false};
inline constexpr ResourceType kServices{"", "v1", "services", "Service"};
inline constexpr ResourceType kConfigMaps{"", "v1", "configmaps", "ConfigMap"};
inline constexpr ResourceType kSecrets{"", "v1", "secrets", "Secret"};
inline constexpr ResourceType kDeployments{"apps", "v1", "deployments", "Deployment"};
inline constexpr ResourceType kReplicaSets{"apps", "v1", "replicasets", "ReplicaSet"};
inline constexpr ResourceType kStatefulSets{"apps", "v1", "statefulsets", "StatefulSet"};
inline constexpr ResourceType kLeaderWorkerSets{"leaderworkerset.x-k8s.io", "v1", "leaderworkersets",
                                                "LeaderWorkerSet"};
inline constexpr ResourceType kRollouts{"argoproj.io", "v1alpha1", "rollouts", "Rollout"};
inline constexpr ResourceType kPodDisruptionBudgets{"policy", "v1", "poddisruptionbudgets",
                                                    "PodDisruptionBudget"};
inline constexpr ResourceType kValidatingAdmissionPolicies{
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", false};
inline constexpr ResourceType kValidatingAdmissionPolicyBindings{"admissionregistration.k8s.io", "v1",
                                                                 "validatingadmissionpolicybindings",
                                                                 "ValidatingAdmissionPolicyBinding", false};
inline constexpr ResourceType kHorizontalPodAutoscalers{"autoscaling", "v2", "horizontalpodautoscalers",
                                                        "HorizontalPodAutoscaler"};
inline constexpr ResourceType kLeases{"coordination.k8s.io", "v1", "leases", "Lease"};
inline constexpr ResourceType kEndpointSlices{"discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"};
inline constexpr ResourceType kEvents{"events.k8s.io", "v1", "events", "Event"};

// "/api/v1/namespaces/ns/pods/name/status". An empty `ns` of a namespaced type means all namespaces, an
// empty `name` the collection, an empty `subresource` the object itself. Segments are percent-encoded.
std::string resource_path(const ResourceType& type, std::string_view ns, std::string_view name = {},
                          std::string_view subresource = {});

// Everything but unreserved characters as %XX (RFC 3986), for path segments and query values.
void append_percent_encoded(std::string& out, std::string_view text);

}  // namespace poolwarden::kube
