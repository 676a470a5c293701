// The kinds of objects that a pool may scale, in one table. Each has the subresource `scale`.
//
// What differs is who deletes a pod, and which. A ReplicaSet deletes the cheapest one, so that Poolwarden
// chooses. A StatefulSet deletes the one with the highest ordinal. Deployments and Rollouts have ReplicaSets;
// a LeaderWorkerSet has a StatefulSet of its leaders.
//
// Pure. The views are of static storage.
#pragma once

#include "api/inference_pool.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace poolwarden::api {

// Of kOther nothing is scaled.
enum class TargetKind : std::uint8_t { kNone, kDeployment, kStatefulSet, kLeaderWorkerSet, kRollout, kOther };

struct ScalableKind {
  TargetKind id = TargetKind::kOther;
  std::string_view group;
  std::string_view version;
  std::string_view plural;
  std::string_view kind;
  bool by_ordinal = false;  // its controller chooses who goes
};

inline constexpr std::array kScalableKinds{
    ScalableKind{TargetKind::kDeployment, "apps", "v1", "deployments", "Deployment", false},
    ScalableKind{TargetKind::kStatefulSet, "apps", "v1", "statefulsets", "StatefulSet", true},
    ScalableKind{TargetKind::kLeaderWorkerSet, "leaderworkerset.x-k8s.io", "v1", "leaderworkersets",
                 "LeaderWorkerSet", true},
    ScalableKind{TargetKind::kRollout, "argoproj.io", "v1alpha1", "rollouts", "Rollout", false},
};

// What the pool's spec.scaleTargetRef names.
TargetKind target_kind(const InferencePool& pool);
// Null for kNone and kOther.
const ScalableKind* scalable(TargetKind kind);
// "a Deployment of apps/v1, a StatefulSet of apps/v1, ...": all of them, for a person.
std::string scalable_kinds();

}  // namespace poolwarden::api
