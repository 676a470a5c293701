// Which shard of its list an endpoint is on.
//
// An endpoint stays on its shard, and a new one goes to the first shard with room; nothing is moved to even
// shards out. So an endpoint that comes or goes changes one shard. A shard that is empty is kept: it is the
// first with room when the pool grows again.
//
// Pure.
#pragma once

#include "pool/plan.h"

#include <cstdint>
#include <vector>

namespace poolwarden::pool {

struct Placement {
  std::vector<api::EndpointSet> shards;  // without a revision; at least one, and as many as there are already
  std::int32_t omitted = 0;              // ready endpoints for whom there is no room
};

// `before`: what each shard says now, null where that is not known. Of those who have no room the ones that
// are on a shard already go first, so that the list does not change without need.
Placement place(api::EndpointSet wanted, const std::vector<const api::EndpointSet*>& before,
                const ListLimits& limits);

}  // namespace poolwarden::pool
