// From the ConfigMaps an operator publishes to the list in them. Pure.
//
// Promises: the first list that is told is whole: it has every shard that the first one counts. From then on
// a shard that is missing or cannot be read stays as it was last read, and the others are followed: whoever
// leaves one of them is not held up. So what is told is the last whole list, less those that have left it
// since.
//
// That a shard is older than what was read before, its resourceVersion tells, and so it is the informer that
// keeps the newer one. The revision in the document is anybody's to edit: one that is too high must not make
// all that follow look old.
#pragma once

#include "api/endpoint_set.h"
#include "api/objects.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

namespace poolwarden::gateway {

// The error says what is wrong with it, for a person; the list that was read before stays in force then.
tl::expected<api::EndpointSet, std::string> read_list(const api::ConfigMap& config_map,
                                                      std::string_view pool);

// One thread's.
class PublishedList {
 public:
  PublishedList(std::string config_map, std::string pool)
      : config_map_(std::move(config_map)), pool_(std::move(pool)) {}

  // A ConfigMap as it now is: the list that follows from it; nothing where none does. The error is for a
  // person.
  tl::expected<std::optional<api::EndpointSet>, std::string> saw(const api::ConfigMap& config_map);
  void gone(std::string_view config_map);
  // Of each shard of the list that was told last, in order: its revision, and which version of the pods it
  // was made from (empty: it does not say).
  const std::vector<std::int64_t>& revisions() const { return revisions_; }
  const std::vector<std::string>& pods_versions() const { return pods_versions_; }
  // How many ConfigMaps the list has, as the first one says.
  std::int32_t shards() const { return shards_; }
  // Names of those that were never read.
  std::vector<std::string> missing() const;

 private:
  struct Shard {
    api::EndpointSet set;
    std::string pods_version;
    bool gone = false;
  };

  const std::string config_map_;
  const std::string pool_;
  std::map<std::int32_t, Shard> read_;
  std::vector<std::int64_t> revisions_;
  std::vector<std::string> pods_versions_;
  std::int32_t shards_ = 1;
  bool whole_once_ = false;
};

}  // namespace poolwarden::gateway
