#include "gateway/published_list.h"

#include "api/names.h"

#include <utility>

#include <fmt/format.h>

namespace poolwarden::gateway {

tl::expected<api::EndpointSet, std::string> read_list(const api::ConfigMap& config_map,
                                                      std::string_view pool) {
  if (config_map.endpoints_json.empty()) {
    return tl::unexpected(
        fmt::format("ConfigMap {}/{} has no data key {}: is it the one Poolwarden publishes?", config_map.ns,
                    config_map.name, api::kEndpointsJsonKey));
  }
  std::string problem;
  auto list = api::parse_endpoint_set(config_map.endpoints_json, &problem);
  if (!list) {
    return tl::unexpected(fmt::format("ConfigMap {}/{}: {} cannot be read: {}", config_map.ns,
                                      config_map.name, api::kEndpointsJsonKey, problem));
  }
  if (list->pool != pool) {
    return tl::unexpected(
        fmt::format("ConfigMap {}/{} is the list of pool '{}', not of '{}': correct --pool or "
                    "--config-map",
                    config_map.ns, config_map.name, list->pool, pool));
  }
  return std::move(*list);
}

tl::expected<std::optional<api::EndpointSet>, std::string> PublishedList::saw(
    const api::ConfigMap& config_map) {
  const auto number = api::shard_number(config_map_, config_map.name);
  if (!number) return std::nullopt;
  auto set = read_list(config_map, pool_);
  if (!set) return tl::unexpected(std::move(set.error()));
  if (set->shard != *number) {
    return tl::unexpected(fmt::format("ConfigMap {}/{} says that it is shard {} of the list, not {}",
                                      config_map.ns, config_map.name, set->shard, *number));
  }
  if (*number == 1) shards_ = set->shards;
  read_.insert_or_assign(*number, Shard{std::move(*set), config_map.pods_version, false});
  // One that counts no more and is not there is no part of what may count later.
  std::erase_if(read_, [this](const auto& shard) { return shard.first > shards_ && shard.second.gone; });
  if (*number > shards_) return std::nullopt;
  const bool whole = missing().empty();
  if (!whole && !whole_once_) return std::nullopt;
  whole_once_ = true;
  std::vector<const api::EndpointSet*>
      counted;  // the first is one: it has been read, and what counts is kept
  revisions_.clear();
  pods_versions_.clear();
  for (const auto& [shard, read] : read_) {
    if (shard > shards_) continue;
    counted.push_back(&read.set);
    revisions_.push_back(read.set.revision);
    pods_versions_.push_back(read.pods_version);
  }
  return api::join(counted);
}

void PublishedList::gone(std::string_view config_map) {
  const auto number = api::shard_number(config_map_, config_map);
  const auto found = number ? read_.find(*number) : read_.end();
  if (found == read_.end()) return;
  if (*number > shards_) {
    read_.erase(found);
  } else {
    found->second.gone = true;
  }
}

std::vector<std::string> PublishedList::missing() const {
  std::vector<std::string> names;
  for (std::int32_t shard = 1; shard <= shards_; ++shard) {
    if (!read_.contains(shard)) names.push_back(api::shard_name(config_map_, shard));
  }
  return names;
}

}  // namespace poolwarden::gateway
