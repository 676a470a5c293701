// Every label, annotation, condition, reason and event name that others may depend on, once.
#pragma once

#include <string_view>

namespace poolwarden::api {

inline constexpr std::string_view kGroup = "poolwarden.io";
inline constexpr std::string_view kVersion = "v1alpha1";
inline constexpr std::string_view kPlural = "inferencepools";
inline constexpr std::string_view kPoolKind = "InferencePool";
inline constexpr std::string_view kApiVersion = "poolwarden.io/v1alpha1";
inline constexpr std::string_view kEndpointSetKind = "EndpointSet";

inline constexpr std::string_view kPoolLabel = "poolwarden.io/pool";
inline constexpr std::string_view kShardLabel = "poolwarden.io/shard";  // of a list's other ConfigMaps
inline constexpr std::string_view kManagedByLabel = "app.kubernetes.io/managed-by";
inline constexpr std::string_view kManagedByValue = "poolwarden";
inline constexpr std::string_view kServingLabel = "poolwarden.io/serving";
inline constexpr std::string_view kReadyEndpointsLabel = "poolwarden.io/ready-endpoints";
inline constexpr std::string_view kHealthLabel = "poolwarden.io/health";
// On the Lease of a consumer of a list, which says by it what its gateway holds; the value is the kind of
// gateway.
inline constexpr std::string_view kConsumerLabel = "poolwarden.io/consumer";
inline constexpr std::string_view kAppliedRevisionsAnnotation = "poolwarden.io/applied-revisions";  // "11,10"
inline constexpr std::string_view kAppliedAtAnnotation = "poolwarden.io/applied-at";  // RFC 3339
inline constexpr std::string_view kZoneLabel = "topology.kubernetes.io/zone";

// Of EndpointSlices. https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#management
inline constexpr std::string_view kServiceNameLabel = "kubernetes.io/service-name";
inline constexpr std::string_view kSliceManagerLabel = "endpointslice.kubernetes.io/managed-by";
inline constexpr std::string_view kOurSliceManager = "operator.poolwarden.io";
inline constexpr std::string_view kKubernetesSliceManager = "endpointslice-controller.k8s.io";
// On the Service of a pool whose slices are ours. Kubernetes copies it to the Service's Endpoints: those are
// then not mirrored into slices when the selector goes. It also copies it to its own slices of the Service.
inline constexpr std::string_view kSkipMirrorLabel = "endpointslice.kubernetes.io/skip-mirror";

// On a pod that drains; see docs/drain.md.
inline constexpr std::string_view kDrainStartedAnnotation = "poolwarden.io/drain-started";  // RFC 3339
inline constexpr std::string_view kDrainReasonAnnotation = "poolwarden.io/drain-reason";
inline constexpr std::string_view kDrainRequestAnnotation = "poolwarden.io/drain";  // a person's; read only
inline constexpr std::string_view kSavedCostAnnotation = "poolwarden.io/saved-deletion-cost";
// https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#pod-deletion-cost
inline constexpr std::string_view kDeletionCostAnnotation = "controller.kubernetes.io/pod-deletion-cost";
inline constexpr std::string_view kLowestDeletionCost = "-2147483648";
// https://kubernetes.io/docs/concepts/workloads/controllers/deployment/
inline constexpr std::string_view kDeploymentRevisionAnnotation = "deployment.kubernetes.io/revision";
// On a pod of a StatefulSet: of which template it is.
// https://kubernetes.io/docs/reference/labels-annotations-taints/#controller-revision-hash
inline constexpr std::string_view kRevisionHashLabel = "controller-revision-hash";
// Of a StatefulSet: spec.podManagementPolicy and spec.updateStrategy.type.
inline constexpr std::string_view kParallelPolicy = "Parallel";
inline constexpr std::string_view kOnDeleteStrategy = "OnDelete";
// On a ReplicaSet: its Deployment's replicas when it was last sized.
inline constexpr std::string_view kDesiredReplicasAnnotation = "deployment.kubernetes.io/desired-replicas";
// The same two, of a ReplicaSet that belongs to an Argo Rollout; and what tells the pods of its templates
// apart. https://argo-rollouts.readthedocs.io/en/stable/
inline constexpr std::string_view kRolloutRevisionAnnotation = "rollout.argoproj.io/revision";
inline constexpr std::string_view kRolloutDesiredReplicasAnnotation = "rollout.argoproj.io/desired-replicas";
inline constexpr std::string_view kTemplateHashLabel = "rollouts-pod-template-hash";
// On each pod of a LeaderWorkerSet: whose it is, of which group, and which in that group. The leader is
// number 0. https://lws.sigs.k8s.io/docs/reference/labels-annotations-and-environment-variables/
inline constexpr std::string_view kGroupSetLabel = "leaderworkerset.sigs.k8s.io/name";
inline constexpr std::string_view kGroupIndexLabel = "leaderworkerset.sigs.k8s.io/group-index";
inline constexpr std::string_view kWorkerIndexLabel = "leaderworkerset.sigs.k8s.io/worker-index";
inline constexpr std::string_view kLeaderIndex = "0";
inline constexpr std::string_view kGroupSizeAnnotation = "leaderworkerset.sigs.k8s.io/size";
inline constexpr std::string_view kLeaderNameAnnotation = "leaderworkerset.sigs.k8s.io/leader-name";
// On a pod: the ports of the pool that it serves on, "8000,8001", where these are not all. Read only; the
// first counts. The second is that of https://llm-d.ai, for pods that are annotated for its router.
inline constexpr std::string_view kActivePortsAnnotation = "poolwarden.io/active-ports";
inline constexpr std::string_view kLlmdActivePortsAnnotation = "llm-d.ai/active-ports";
// Of the ValidatingAdmissionPolicy and of its binding.
inline constexpr std::string_view kGateName = "poolwarden-drain-gate";

// Of the pods that a list was made from: nobody whose own pods are older may overrule it.
inline constexpr std::string_view kPodsVersionAnnotation = "poolwarden.io/pods-resource-version";
inline constexpr std::string_view kRevisionAnnotation = "poolwarden.io/revision";
inline constexpr std::string_view kTriggerTimeAnnotation = "endpoints.kubernetes.io/last-change-trigger-time";

inline constexpr std::string_view kEndpointsJsonKey = "endpoints.json";
inline constexpr std::string_view kEndpointsTextKey = "endpoints.txt";

namespace serving {  // values of kServingLabel
inline constexpr std::string_view kTrue = "true";
inline constexpr std::string_view kDraining = "draining";
inline constexpr std::string_view kDrained = "drained";
inline constexpr std::string_view kFinishing = "finishing";
inline constexpr std::string_view kFalse = "false";
// Of a worker whose leader is held: it is sent nothing, and its eviction would cut what the leader answers.
inline constexpr std::string_view kMember = "member";
}  // namespace serving

namespace condition {
inline constexpr std::string_view kAvailable = "Available";
inline constexpr std::string_view kProgressing = "Progressing";
inline constexpr std::string_view kDegraded = "Degraded";
inline constexpr std::string_view kScaleTargetFound = "ScaleTargetFound";
inline constexpr std::string_view kEndpointsPublished = "EndpointsPublished";
inline constexpr std::string_view kDisruptionSafe = "DisruptionSafe";
inline constexpr std::string_view kNodesUnseen = "NodesUnseen";  // a reason of kDegraded
}  // namespace condition

// Why a write of ours failed, where a person must act; also reasons of conditions.
namespace failure {
inline constexpr std::string_view kNameTaken = "NameTaken";
inline constexpr std::string_view kForbidden = "Forbidden";
inline constexpr std::string_view kInvalid = "Invalid";
inline constexpr std::string_view kWriteFailed = "WriteFailed";
}  // namespace failure

namespace event {
inline constexpr std::string_view kWithdrawn = "Withdrawn";
inline constexpr std::string_view kReadmitted = "Readmitted";
inline constexpr std::string_view kScaledTarget = "ScaledTarget";
inline constexpr std::string_view kAdoptedReplicas = "AdoptedReplicas";
inline constexpr std::string_view kPublishFailed = "PublishFailed";
inline constexpr std::string_view kOverwriteUndone = "OverwriteUndone";
inline constexpr std::string_view kDegraded = "Degraded";
inline constexpr std::string_view kConsumerSilent = "ConsumerSilent";  // also a reason of DisruptionSafe
inline constexpr std::string_view kDrainStarted = "DrainStarted";
inline constexpr std::string_view kDrainCompleted = "DrainCompleted";
inline constexpr std::string_view kDrainTimedOut = "DrainTimedOut";
inline constexpr std::string_view kDrainCancelled = "DrainCancelled";
}  // namespace event

}  // namespace poolwarden::api
