// The kinds of objects that the operator watches: one line each.
//
// A line says how its objects are read, where the API server has them, and which of them are watched. It also
// says whether a pool's conditions should tell that they cannot be watched. The order is that in which the
// watches are started. What a change of one means is the business of ChangeRouter, which has one function for
// each kind.
#pragma once

#include "api/codecs.h"
#include "api/names.h"
#include "api/target_kind.h"
#include "kube/informer.h"
#include "kube/informer_runner.h"
#include "kube/resource.h"
#include "publish/calls.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace poolwarden::control {

enum class WatchedObjects : std::uint8_t {
  kAll,        // of the operator's namespace, or of all namespaces
  kOurs,       // of those the ones with our label
  kTheGate,    // the one that has the gate's name
  kSlices,     // of those the ones of Services whose slices are ours, or on their way to or from it
  kConsumers,  // of those the ones by which consumers of a list confirm
};

// Whether work goes on without it. A kind that is not needed may be out of reach (RBAC).
// What is never awaited may besides be unread for a while, and work goes on as if there were none.
enum class Need : std::uint8_t { kNeeded, kOptional, kNeverAwaited };
// Since when it is watched. Few clusters have the kinds of other projects: what no pool names is not asked
// for.
enum class Watched : std::uint8_t { kAlways, kOncePoolNamesIt };
// Whether a pool's conditions say that objects of this kind cannot be read.
enum class Reported : std::uint8_t { kInConditions, kElsewhere };

template <class CodecType, const kube::ResourceType& kType, WatchedObjects kObjects, Need kNeed,
          Reported kReported, Watched kWatched = Watched::kAlways>
struct WatchedKind {
  using Codec = CodecType;
  using Object = typename Codec::Object;
  static constexpr const kube::ResourceType& type() { return kType; }
  static constexpr std::string_view name() { return kType.plural; }  // "pods", as the API names it
  static constexpr WatchedObjects objects() { return kObjects; }
  static constexpr bool optional() { return kNeed != Need::kNeeded; }
  static constexpr bool awaited() { return kNeed != Need::kNeverAwaited; }
  static constexpr bool always() { return kWatched == Watched::kAlways; }
  static constexpr bool reported_in_conditions() { return kReported == Reported::kInConditions; }
};

using Pools = WatchedKind<api::PoolCodec, publish::kInferencePools, WatchedObjects::kAll, Need::kNeeded,
                          Reported::kElsewhere>;
using ConfigMaps = WatchedKind<api::ConfigMapCodec, kube::kConfigMaps, WatchedObjects::kOurs, Need::kNeeded,
                               Reported::kInConditions>;
using Pods =
    WatchedKind<api::PodCodec, kube::kPods, WatchedObjects::kAll, Need::kNeeded, Reported::kInConditions>;
using Deployments = WatchedKind<api::DeploymentCodec, kube::kDeployments, WatchedObjects::kAll, Need::kNeeded,
                                Reported::kInConditions>;
// Not needed: a cluster that grants no right to read them has Deployments alone behind its pools.
using StatefulSets = WatchedKind<api::StatefulSetCodec, kube::kStatefulSets, WatchedObjects::kAll,
                                 Need::kOptional, Reported::kElsewhere>;
using LeaderWorkerSets = WatchedKind<api::LeaderWorkerSetCodec, kube::kLeaderWorkerSets, WatchedObjects::kAll,
                                     Need::kNeverAwaited, Reported::kElsewhere, Watched::kOncePoolNamesIt>;
using Rollouts = WatchedKind<api::RolloutCodec, kube::kRollouts, WatchedObjects::kAll, Need::kNeverAwaited,
                             Reported::kElsewhere, Watched::kOncePoolNamesIt>;
using ReplicaSets = WatchedKind<api::ReplicaSetCodec, kube::kReplicaSets, WatchedObjects::kAll, Need::kNeeded,
                                Reported::kInConditions>;
using Services = WatchedKind<api::ServiceCodec, kube::kServices, WatchedObjects::kAll, Need::kNeeded,
                             Reported::kInConditions>;
using Nodes =
    WatchedKind<api::NodeCodec, kube::kNodes, WatchedObjects::kAll, Need::kOptional, Reported::kInConditions>;
using Autoscalers = WatchedKind<api::AutoscalerCodec, kube::kHorizontalPodAutoscalers, WatchedObjects::kAll,
                                Need::kOptional, Reported::kInConditions>;
using Budgets = WatchedKind<api::DisruptionBudgetCodec, kube::kPodDisruptionBudgets, WatchedObjects::kAll,
                            Need::kOptional, Reported::kInConditions>;
// Their state is a condition of its own (DisruptionSafe), and so are not reported as unreadable.
using GatePolicies = WatchedKind<api::GatePolicyCodec, kube::kValidatingAdmissionPolicies,
                                 WatchedObjects::kTheGate, Need::kOptional, Reported::kElsewhere>;
using GateBindings = WatchedKind<api::GateBindingCodec, kube::kValidatingAdmissionPolicyBindings,
                                 WatchedObjects::kTheGate, Need::kOptional, Reported::kElsewhere>;
using ConsumerLeases = WatchedKind<api::ConsumerLeaseCodec, kube::kLeases, WatchedObjects::kConsumers,
                                   Need::kNeverAwaited, Reported::kElsewhere>;

using EndpointSlices = WatchedKind<api::EndpointSliceCodec, kube::kEndpointSlices, WatchedObjects::kSlices,
                                   Need::kNeverAwaited, Reported::kElsewhere>;

template <class... Kinds>
struct KindList {
  static constexpr std::size_t kSize = sizeof...(Kinds);
  static constexpr std::array<std::string_view, kSize> kNames{Kinds::name()...};
  static constexpr std::array<bool, kSize> kOptional{Kinds::optional()...};

  template <class Kind>
  static constexpr std::size_t index() {
    constexpr std::array<bool, kSize> kIs{std::is_same_v<Kind, Kinds>...};
    for (std::size_t i = 0; i < kSize; ++i) {
      if (kIs[i]) return i;
    }
    return kSize;
  }
  // Calls visit.operator()<Kind>() for each, in order.
  template <class Visit>
  static void for_each(Visit&& visit) {
    (visit.template operator()<Kinds>(), ...);
  }
  // `Wrapper<Kind>...` as the arguments of `Target`.
  template <template <class...> class Target, template <class> class Wrapper, class... More>
  using Apply = Target<Wrapper<Kinds>..., More...>;
};

using WatchedKinds = KindList<Pools, ConfigMaps, Pods, Deployments, StatefulSets, LeaderWorkerSets, Rollouts,
                              ReplicaSets, Services, Nodes, Autoscalers, Budgets, GatePolicies, GateBindings,
                              ConsumerLeases, EndpointSlices>;

// Calls visit.operator()<Kind>() for the watched kind of a pool's target. For none, if it cannot be scaled.
template <class Visit>
void visit_target(api::TargetKind target, Visit&& visit) {
  switch (target) {
    case api::TargetKind::kDeployment:
      return visit.template operator()<Deployments>();
    case api::TargetKind::kStatefulSet:
      return visit.template operator()<StatefulSets>();
    case api::TargetKind::kLeaderWorkerSet:
      return visit.template operator()<LeaderWorkerSets>();
    case api::TargetKind::kRollout:
      return visit.template operator()<Rollouts>();
    case api::TargetKind::kNone:
    case api::TargetKind::kOther:
      break;
  }
}

// What arrives of one kind. Two kinds may have values of one type; their inputs are different all the same.
template <class Kind>
struct KindInput {
  kube::InformerInput<typename Kind::Object> input;
};

template <class Kind>
kube::WatchScope scope_of(const std::string& ns) {
  switch (Kind::objects()) {
    case WatchedObjects::kOurs:
      return {ns, std::string(api::kManagedByLabel) + "=" + std::string(api::kManagedByValue), ""};
    case WatchedObjects::kTheGate:
      return {"", "", "metadata.name=" + std::string(api::kGateName)};
    case WatchedObjects::kSlices:
      return {ns, std::string(api::kPoolLabel) + "," + std::string(api::kSkipMirrorLabel), ""};
    case WatchedObjects::kConsumers:
      return {ns, std::string(api::kConsumerLabel), ""};
    case WatchedObjects::kAll:
      break;
  }
  return {Kind::type().namespaced ? ns : std::string(), "", ""};
}

}  // namespace poolwarden::control
