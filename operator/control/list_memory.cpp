#include "control/list_memory.h"

#include "pool/endpoints.h"

#include <algorithm>
#include <utility>

namespace poolwarden::control {

void ListMemory::read(const api::InferencePool& pool, const api::ConfigMap* config_map) {
  if (config_map == nullptr || config_map->resource_version == version_) return;
  version_ = config_map->resource_version;
  document_ = pool::read_published(pool, *config_map);
  if (document_.set && document_.set->pool == pool.name) take(*document_.set);
}

const pool::PublishedDocument* ListMemory::document(const api::ConfigMap* config_map) const {
  const bool known = config_map != nullptr && !version_.empty() && config_map->resource_version == version_;
  return known ? &document_ : nullptr;
}

void ListMemory::take(const api::EndpointSet& set) {
  ready_.clear();
  for (const api::Endpoint& endpoint : set.endpoints) {
    if (endpoint.state == api::EndpointState::kReady) ready_.emplace(endpoint.uid, endpoint.pod);
    ever_listed_.insert(endpoint.uid);
  }
  last_revision_ = std::max(last_revision_, pool::sane_revision(set.revision));
  std::erase_if(unfit_, [this](const auto& item) { return !ready_.contains(item.first); });
}

bool ListMemory::may_withdraw(const api::ConfigMap& config_map) const {
  const pool::PublishedDocument* known = document(&config_map);
  return known != nullptr && known->set && known->edited.empty() && !config_map.deleting;
}

std::optional<pool::PublishEndpoints> ListMemory::withdraw(const api::InferencePool& pool,
                                                           const api::ConfigMap& config_map,
                                                           const std::string& pods_version) {
  if (!may_withdraw(config_map)) return std::nullopt;
  std::vector<pool::UnfitEndpoint> unfit;
  for (auto& [uid, one] : std::exchange(unfit_, {})) unfit.push_back(std::move(one));
  return withdraw(pool, config_map, pods_version, unfit);
}

std::optional<pool::PublishEndpoints> ListMemory::withdraw(const api::InferencePool& pool,
                                                           const api::ConfigMap& config_map,
                                                           const std::string& pods_version,
                                                           const std::vector<pool::UnfitEndpoint>& unfit) {
  if (!may_withdraw(config_map)) return std::nullopt;
  const std::int64_t revision =
      std::max(
          {document_.set->revision, pool::sane_revision(pool.status.endpoints_revision), last_revision_}) +
      1;
  pool::PublishEndpoints out;
  out.changes = pool::withdraw(*document_.set, unfit, revision);
  version_.clear();
  if (out.changes.empty()) return std::nullopt;
  out.write = {.create = false,
               .shared = config_map.shared,
               .resource_version = config_map.resource_version,
               .pods_version = pods_version,
               .set = std::move(*document_.set)};
  document_ = {};
  return out;
}

void ListMemory::written(pool::PublishEndpoints& what, std::string version) {
  // Someone else had changed the list: what we remember of it is not what this write began with.
  const bool known = !what.undo && !what.write.create;
  if (!known) take(what.write.set);
  for (const pool::EndpointChange& change : what.changes) {
    unfit_.erase(change.uid);
    if (change.reason != pool::Withdrawal::kNone) {
      ready_.erase(change.uid);
    } else {
      ready_.emplace(change.uid, change.pod);
      ever_listed_.insert(change.uid);
    }
  }
  last_revision_ = std::max(last_revision_, what.write.set.revision);
  document_.edited.clear();
  document_.set = std::move(what.write.set);
  version_ = std::move(version);
}

std::vector<kube::TimePoint> ListMemory::began(const std::vector<pool::EndpointChange>& changes,
                                               kube::TimePoint now) const {
  std::vector<kube::TimePoint> out;
  for (const pool::EndpointChange& change : changes) {
    const auto event = first_event_.find(change.uid);
    out.push_back(event == first_event_.end() ? now : event->second);
  }
  return out;
}

kube::TimePoint ListMemory::first_event(kube::TimePoint now) const {
  for (const auto& [uid, when] : first_event_) now = std::min(now, when);
  return now;
}

// Events that came while the write was under way are still to be published, so they keep their time.
void ListMemory::stop_watches_until(kube::TimePoint at) {
  std::erase_if(first_event_, [at](const auto& item) { return item.second <= at; });
}

bool ListMemory::has_outgrown() const {
  const std::size_t many = 2 * ready_.size() + 64;
  return ever_listed_.size() > many || first_event_.size() > many;
}

void ListMemory::keep_only(const std::set<std::string>& living) {
  std::erase_if(ever_listed_, [&](const std::string& uid) { return !living.contains(uid); });
  std::erase_if(first_event_,
                [&](const auto& item) { return !living.contains(item.first) && !lists(item.first); });
}

}  // namespace poolwarden::control
