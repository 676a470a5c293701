// Which shard of its list an endpoint is on.
//
// An endpoint stays on its shard, and a new one goes to the first shard with room; nothing is moved to even
// shards out. So an endpoint that comes or goes changes one shard. A shard that is empty is kept: it is the
// first with room when the pool grows again.
//
// Also of a shard that is missing or broken: readers keep what was on it. Where that is not known, who is on
// no other shard is taken to be on this one.
//
// Pure.
#pragma once

#include "pool/plan.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace poolwarden::pool {

struct ShardBefore {
  const api::EndpointSet* set = nullptr;  // what it says now; null: not known
  // Where that is not known: what it said before, uid -> pod. Null or empty: not known either.
  const std::map<std::string, std::string>* remembered = nullptr;
  bool closed = false;  // it cannot be written: nobody can join it
};

struct Move {
  std::size_t from = 0;
  std::size_t to = 0;
  std::string uid;
};

struct Placement {
  std::vector<api::EndpointSet> shards;  // without a revision; at least one, and as many as there are already
  std::int32_t omitted = 0;              // ready endpoints for whom there is no room
  std::vector<Move> moves;               // of endpoints that have outgrown their shard
};

// Of those who have no room the ones that are on a shard already go first, so that the list does not change
// without need.
Placement place(api::EndpointSet wanted, const std::vector<ShardBefore>& before, const ListLimits& limits);

// Who moves to another shard stays on the old one until readers have it from the new one, of those that
// count. Meanwhile the old one says what it says now, less those who leave the list: there is no room for
// more.
void keep_until_moved(const std::vector<ShardBefore>& before, std::size_t counted, Placement& placed);

}  // namespace poolwarden::pool
