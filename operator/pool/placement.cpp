#include "pool/placement.h"

#include <algorithm>
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

bool put_newcomer(Filling& filling, api::Endpoint& endpoint, const ListLimits& limits) {
  for (std::size_t shard = 0; shard < static_cast<std::size_t>(limits.shards); ++shard) {
    if (shard == filling.shards()) filling.add_shard();
    if (filling.endpoints(shard) < limits.shard_endpoints && filling.put(shard, endpoint)) return true;
  }
  return false;
}

}  // namespace

Placement place(api::EndpointSet wanted, const std::vector<const api::EndpointSet*>& before,
                const ListLimits& limits) {
  const std::size_t there = std::min(before.size(), static_cast<std::size_t>(limits.shards));
  std::unordered_map<std::string_view, std::size_t> shard_of;
  for (std::size_t shard = 0; shard < there; ++shard) {
    if (before[shard] == nullptr) continue;
    for (const api::Endpoint& endpoint : before[shard]->endpoints) shard_of.try_emplace(endpoint.uid, shard);
  }
  Filling filling(wanted, std::max<std::size_t>(there, 1));
  std::vector<api::Endpoint*> newcomers;
  for (api::Endpoint& endpoint : wanted.endpoints) {
    const auto found = shard_of.find(endpoint.uid);
    if (found == shard_of.end() || !filling.put(found->second, endpoint)) newcomers.push_back(&endpoint);
  }
  Placement out;
  for (api::Endpoint* endpoint : newcomers) {
    if (!put_newcomer(filling, *endpoint, limits)) ++out.omitted;
  }
  out.shards = filling.take();
  if (!newcomers.empty()) std::for_each(out.shards.begin(), out.shards.end(), api::sort_canonically);
  return out;
}

}  // namespace poolwarden::pool
