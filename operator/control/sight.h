// What this replica sees, for the status page: pointers into the caches, and little besides.
//
// The loop takes one, so it costs the loop no more than what is shown of it, however much there is. Whoever
// has it reads it at leisure on a thread of their own: the objects are shared and immutable. No namespace
// takes the places of all others by the number of its pools.
//
// take_sight() is called on the loop's thread; a Sight is a value.
#pragma once

#include "api/inference_pool.h"
#include "api/time.h"
#include "control/feed_table.h"
#include "control/leadership.h"
#include "control/pool_table.h"

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace poolwarden::control {

struct SeenPod {
  std::string name;
  const api::EndpointStatus* status = nullptr;  // as SeenPool::pool has it; null: it is plainly ready
  PodPtr pod;                                   // null: there is none of that name any more
  bool listed = false;                          // as a ready endpoint
};

struct SeenPool {
  std::shared_ptr<const api::InferencePool> pool;
  std::size_t listed = 0;     // ready endpoints of its list
  std::vector<SeenPod> pods;  // those that drain first, then the others that status names, then the listed
  std::size_t more_pods = 0;
};

struct Sight {
  api::Now at{};
  std::vector<SeenPool> pools;  // by namespace and name
  std::size_t more_pools = 0;
  bool elects = false;
  bool leads = false;
  std::string identity;  // of this replica; empty where nobody is elected
  std::string holder;    // of the Lease, where that is somebody else; empty: nobody is seen to hold it
  std::array<FeedHealth, WatchedKinds::kSize> feeds;
};

struct SightLimits {
  std::size_t pools = 200;
  std::size_t pools_of_namespace = 50;
  // Pods of all pools together; each pool has its share, within these two.
  std::size_t pods = 1000;
  std::size_t least_pods = 5;
  std::size_t most_pods = 100;
};

Sight take_sight(const FeedTable& feeds, const PoolTable& table, const Leadership& leadership, api::Now now,
                 const SightLimits& limits = {});

}  // namespace poolwarden::control
