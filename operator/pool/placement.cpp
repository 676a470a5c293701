#include "pool/placement.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace poolwarden::pool {
namespace {

// A ConfigMap's values may have 1 MiB together; some is left for the revision and the shards to grow.
// https://kubernetes.io/docs/concepts/configuration/configmap/
constexpr std::size_t kMaxListBytes = std::size_t{1024} * 1024 - 1024;
// As few always fit, with every name as long as it may be, so their size need not be measured.
constexpr std::size_t kAlwaysFit = 400;

class Filling {
 public:
  Filling(const api::EndpointSet& wanted, std::size_t shards)
      : ns_(wanted.ns),
        pool_(wanted.pool),
        empty_bytes_(api::published_bytes({.ns = ns_, .pool = pool_, .revision = 0, .endpoints = {}})),
        measures_(wanted.endpoints.size() > kAlwaysFit) {
    while (shards_.size() < shards) add_shard();
  }

  void add_shard() {
    shards_.push_back({.ns = ns_,
                       .pool = pool_,
                       .revision = 0,
                       .endpoints = {},
                       .shard = static_cast<std::int32_t>(shards_.size()) + 1});
    used_.push_back(empty_bytes_);
  }
  // False, and the endpoint is as it was, if there is no room for it.
  bool put(std::size_t shard, api::Endpoint& endpoint) {
    const std::size_t bytes = measures_ ? api::published_bytes(endpoint) : 0;
    if (used_[shard] + bytes > kMaxListBytes) return false;
    used_[shard] += bytes;
    shards_[shard].endpoints.push_back(std::move(endpoint));
    return true;
  }
  std::size_t shards() const { return shards_.size(); }
  std::size_t endpoints(std::size_t shard) const { return shards_[shard].endpoints.size(); }
  std::vector<api::EndpointSet> take() { return std::move(shards_); }

 private:
  std::string ns_;
  std::string pool_;
  std::size_t empty_bytes_;
  bool measures_;
  std::vector<api::EndpointSet> shards_;
  std::vector<std::size_t> used_;  // bytes, of each
};

// On which shards an endpoint is: two, while it moves from one to the other.
struct Places {
  std::size_t first = 0;
  std::size_t second = 0;
};
using PlacesOf = std::unordered_map<std::string_view, Places>;

PlacesOf places_of(const std::vector<ShardBefore>& before, std::size_t shards) {
  PlacesOf out;
  const auto note = [&out](const std::string& uid, std::size_t shard) {
    const auto [found, is_new] = out.try_emplace(uid, Places{shard, shard});
    if (!is_new) found->second.second = shard;
  };
  for (std::size_t shard = 0; shard < shards; ++shard) {
    if (before[shard].set != nullptr) {
      for (const api::Endpoint& endpoint : before[shard].set->endpoints) note(endpoint.uid, shard);
    } else if (before[shard].remembered != nullptr) {
      for (const auto& [uid, pod] : *before[shard].remembered) note(uid, shard);
    }
  }
  return out;
}

bool is_unknown(const ShardBefore& shard) {
  return shard.set == nullptr && (shard.remembered == nullptr || shard.remembered->empty());
}

// Nothing, and the endpoint is as it was, if there is no room for it.
std::optional<std::size_t> put_newcomer(Filling& filling, api::Endpoint& endpoint,
                                        const std::vector<ShardBefore>& before, const ListLimits& limits) {
  const auto joins = [&](std::size_t shard) {
    if (shard < before.size() && before[shard].closed) return false;
    return filling.endpoints(shard) < limits.shard_endpoints && filling.put(shard, endpoint);
  };
  const std::size_t there = filling.shards();
  for (std::size_t shard = 0; shard < there; ++shard) {
    if (shard < before.size() && is_unknown(before[shard]) && joins(shard)) return shard;
  }
  for (std::size_t shard = 0; shard < static_cast<std::size_t>(limits.shards); ++shard) {
    if (shard == filling.shards()) filling.add_shard();
    if (joins(shard)) return shard;
  }
  return std::nullopt;
}

}  // namespace

Placement place(api::EndpointSet wanted, const std::vector<ShardBefore>& before, const ListLimits& limits) {
  const std::size_t there = std::min(before.size(), static_cast<std::size_t>(limits.shards));
  const PlacesOf places = places_of(before, there);
  Filling filling(wanted, std::max<std::size_t>(there, 1));
  std::vector<api::Endpoint*> newcomers;
  for (api::Endpoint& endpoint : wanted.endpoints) {
    const auto found = places.find(endpoint.uid);
    if (found == places.end() || !filling.put(found->second.first, endpoint)) newcomers.push_back(&endpoint);
  }
  Placement out;
  for (api::Endpoint* endpoint : newcomers) {
    std::string uid = endpoint->uid;
    const auto found = places.find(uid);
    const bool was_there = found != places.end();
    const bool half_moved = was_there && found->second.second != found->second.first;
    std::optional<std::size_t> to;
    if (half_moved && filling.put(found->second.second, *endpoint)) to = found->second.second;
    if (!to) to = put_newcomer(filling, *endpoint, before, limits);
    if (!to) {
      ++out.omitted;
    } else if (was_there) {
      out.moves.push_back({found->second.first, *to, std::move(uid)});
    }
  }
  out.shards = filling.take();
  if (!newcomers.empty()) std::for_each(out.shards.begin(), out.shards.end(), api::sort_canonically);
  return out;
}

void keep_until_moved(const std::vector<ShardBefore>& before, std::size_t counted, Placement& placed) {
  const auto has_arrived = [&](const Move& move) {
    if (move.to >= counted || before[move.to].set == nullptr) return false;
    const auto& endpoints = before[move.to].set->endpoints;
    return std::any_of(endpoints.begin(), endpoints.end(),
                       [&](const api::Endpoint& one) { return one.uid == move.uid; });
  };
  std::set<std::size_t> kept;
  for (const Move& move : placed.moves) {
    const bool is_settled = before[move.from].set == nullptr || kept.contains(move.from);
    if (!is_settled && !has_arrived(move)) kept.insert(move.from);
  }
  if (kept.empty()) return;
  std::unordered_map<std::string, api::EndpointState> states;
  for (const api::EndpointSet& set : placed.shards) {
    for (const api::Endpoint& endpoint : set.endpoints) states.emplace(endpoint.uid, endpoint.state);
  }
  for (const std::size_t shard : kept) {
    std::vector<api::Endpoint> endpoints = before[shard].set->endpoints;
    std::erase_if(endpoints, [&](const api::Endpoint& one) { return !states.contains(one.uid); });
    for (api::Endpoint& endpoint : endpoints) endpoint.state = states.at(endpoint.uid);
    placed.shards[shard].endpoints = std::move(endpoints);
  }
}

}  // namespace poolwarden::pool
