// What each consumer is given, as the API calls that write it. Pure: a wanted state in, a kube::Call out.
//
// Every write names what it was decided on (resourceVersion, uid), so that a stale leader or a namesake
// gets a conflict. The ConfigMap is replaced as a whole: for a large list that costs the API server half of
// what a patch costs. One that others have put something into is patched, so that theirs stays.
#pragma once

#include "api/inference_pool.h"
#include "api/names.h"
#include "api/time.h"
#include "api/writes.h"
#include "kube/client.h"

namespace poolwarden::publish {

inline constexpr kube::ResourceType kInferencePools{api::kGroup, api::kVersion, api::kPlural, api::kPoolKind};

// `trigger`: when the change that is published was seen, for the last-change-trigger-time annotation, by
// which kube-proxy measures how long a change of a slice takes, too.
kube::Call config_map(const api::InferencePool& pool, const api::ConfigMapWrite& wanted,
                      api::Timestamp trigger);
kube::Call service(const api::InferencePool& pool, const api::ServiceWrite& wanted);
kube::Call endpoint_slice(const api::EndpointSliceWrite& wanted, api::Timestamp trigger);
kube::Call pod_label(const std::string& ns, const api::PodLabelWrite& wanted);
kube::Call disruption_budget(const api::InferencePool& pool, const api::BudgetWrite& wanted);
kube::Call scale_target(const api::InferencePool& pool, const api::ScaleWrite& wanted);
kube::Call adopt_replicas(const api::InferencePool& pool, const api::AdoptWrite& wanted);
kube::Call status(const api::InferencePool& pool, const api::PoolStatus& wanted);

}  // namespace poolwarden::publish
