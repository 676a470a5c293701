// The published list: what it should say, whether its ConfigMaps say so, and what changes if they do not.
//
// A large list has several, its shards; which endpoint is on which, pool/placement.h says. The first shard
// says how many count. Another counts once it is there and names no endpoint that this pass withdraws:
// readers never wait for one that cannot be made, and never find old endpoints on one.
#pragma once

#include "pool/list_document.h"
#include "pool/observation.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace poolwarden::pool {

enum class Publication : std::uint8_t {
  kCurrent,           // the ConfigMaps say what they should
  kDue,               // the plan has the write
  kHeld,              // nobody joins it: seen.hold says why
  kNameTaken,         // a ConfigMap of such a name is not this pool's
  kAwaitsCollection,  // it is a former namesake's: gone soon
};

struct PublishedList {
  Publication state = Publication::kHeld;
  std::int64_t revision = 0;  // of the list that readers have, or will have once the plan is carried out
  std::int32_t ready = 0;     // how many ready endpoints that list has
  std::int32_t omitted = 0;   // ready endpoints that do not fit into its ConfigMaps any more
  std::string holder;         // kNameTaken: whose it is
  std::int32_t shard = 1;     // kNameTaken, kAwaitsCollection: which one
  std::int32_t shards = 1;    // how many count
  // A shard that somebody deleted and that a finalizer holds; 0: none. It is written until it is gone.
  std::int32_t in_deletion = 0;
};

// Fills in plan.publish and plan.publish_shards when the list is due.
PublishedList publish_endpoints(const Observation& seen, Plan& plan);

}  // namespace poolwarden::pool
