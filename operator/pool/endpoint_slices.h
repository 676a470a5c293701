// The EndpointSlices of a pool's Service where the operator writes them itself:
// spec.publish.service.endpointSlices is Direct.
//
// A pod keeps its place: an endpoint that goes leaves the others where they are. A pod that is withdrawn
// stays as one that terminates, as Kubernetes has it, until it is gone.
//
// Between the two ways no ready endpoint is missing. To Direct: first our slices stand, then the Service
// loses its selector, then Kubernetes' slices go, which it leaves behind. Back: the selector first, then
// Kubernetes' slices have all ready endpoints, then ours go. Each step is decided by what is seen, and by
// nothing else.
//
// Pure.
#pragma once

#include "pool/membership.h"
#include "pool/observation.h"

#include <cstddef>
#include <functional>
#include <optional>

namespace poolwarden::pool {

// As many as Kubernetes' own controller puts into one.
inline constexpr std::size_t kSliceEndpoints = 100;

// How the Service's slices were seen to be, before what this pass writes.
struct SlicesFound {
  bool any_ours = false;
  bool ours_stand = false;    // each that should be is there and says what it should
  bool theirs_stand = false;  // Kubernetes' have each ready endpoint that they can have
  bool theirs_seen = false;   // there are some, which have seen the Service's mark
  bool mirrored = false;      // there are some that are made from the Service's old Endpoints
};

// Fills in plan.slices. Before keep_service(), which goes by the answer.
SlicesFound keep_slices(Observation& seen, Plan& plan);

// The slice without those as ready of whom `judge` says why they are not; nothing if that is nobody.
using JudgeSliceEndpoint = std::function<PodVerdict(const api::SliceEndpoint& endpoint)>;
std::optional<api::EndpointSliceWrite> withdraw_from(const api::EndpointSlice& slice,
                                                     const JudgeSliceEndpoint& judge);

bool is_ours(const api::InferencePool& pool, const api::EndpointSlice& slice);

}  // namespace poolwarden::pool
