#include "control/list_memory.h"

#include "pool/endpoints.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace poolwarden::control {

void ListMemory::read_all(const api::InferencePool& pool, const kube::Store<api::ConfigMap>& config_maps) {
  for (std::int32_t shard = 1; shard <= api::kMaxShards; ++shard) {
    const auto map = config_maps.find(pool.ns, api::shard_name(pool.publish.config_map_name, shard));
    if (map == nullptr && shard > counted_) return;
    read(pool, shard, map.get());
  }
}

void ListMemory::read(const api::InferencePool& pool, std::int32_t shard, const api::ConfigMap* config_map) {
  if (config_map == nullptr) return;
  Shard& known = at(shard);
  if (config_map->resource_version == known.version) return;
  known.version = config_map->resource_version;
  known.document = pool::read_published(pool, *config_map);
  if (!config_map->owners.empty() && !pool::is_owned_by(*config_map, pool.uid)) {
    known.ready.clear();
    return forget_unlisted();
  }
  const auto& set = known.document.set;
  if (set && set->pool == pool.name && set->shard == shard) take(*set);
}

ListMemory::Shard& ListMemory::at(std::int32_t shard) {
  const auto index = static_cast<std::size_t>(shard) - 1;
  if (index >= shards_.size()) shards_.resize(index + 1);
  return shards_[index];
}

const ListMemory::Shard* ListMemory::find(std::int32_t shard) const {
  return shard > shards() ? nullptr : &shards_[static_cast<std::size_t>(shard) - 1];
}

const pool::PublishedDocument* ListMemory::document(std::int32_t shard,
                                                    const api::ConfigMap* config_map) const {
  const Shard* known = find(shard);
  const bool is_it = known != nullptr && config_map != nullptr && !known->version.empty() &&
                     config_map->resource_version == known->version;
  return is_it ? &known->document : nullptr;
}

void ListMemory::disbelieve(const std::string& pods_version) {
  constexpr std::size_t kMany = 100;  // somebody makes them up
  if (disbelieved_.size() >= kMany) disbelieved_.clear();
  disbelieved_.insert(pods_version);
}

void ListMemory::note_edited(std::int32_t shard, std::string what) {
  if (shard > shards()) return;
  auto& edited = at(shard).document.edited;
  if (std::find(edited.begin(), edited.end(), what) == edited.end()) edited.push_back(std::move(what));
}

bool ListMemory::lists(const std::string& uid) const {
  return std::any_of(shards_.begin(), shards_.end(),
                     [&uid](const Shard& shard) { return shard.ready.contains(uid); });
}

const std::map<std::string, std::string>& ListMemory::ready(std::int32_t shard) const {
  static const std::map<std::string, std::string> kNobody;
  const Shard* known = find(shard);
  return known == nullptr ? kNobody : known->ready;
}

std::size_t ListMemory::ready_count() const {
  return std::accumulate(shards_.begin(), shards_.end(), std::size_t{0},
                         [](std::size_t sum, const Shard& shard) { return sum + shard.ready.size(); });
}

pool::ListRevisions ListMemory::revisions() const {
  pool::ListRevisions out{.by_shard = {}, .newest = last_revision_};
  for (std::int32_t shard = 1; shard <= std::min(counted_, shards()); ++shard)
    out.by_shard.push_back(find(shard)->revision);
  return out;
}

std::set<std::int32_t> ListMemory::shards_due() const {
  std::set<std::int32_t> out;
  for (std::int32_t shard = 1; shard <= shards(); ++shard) {
    const auto& listed = ready(shard);
    if (std::any_of(unfit_.begin(), unfit_.end(),
                    [&listed](const auto& one) { return listed.contains(one.first); }))
      out.insert(shard);
  }
  return out;
}

void ListMemory::take(const api::EndpointSet& set) {
  auto& listed = at(set.shard).ready;
  listed.clear();
  for (const api::Endpoint& endpoint : set.endpoints) {
    if (endpoint.state == api::EndpointState::kReady) listed.emplace(endpoint.uid, endpoint.pod);
    ever_listed_.insert(endpoint.uid);
  }
  count(set);
  forget_unlisted();
}

void ListMemory::forget_unlisted() {
  std::erase_if(unfit_, [this](const auto& item) { return !lists(item.first); });
}

// A shard that counts no more is read again if it is still there.
void ListMemory::count(const api::EndpointSet& set) {
  at(set.shard).revision = pool::sane_revision(set.revision);
  last_revision_ = std::max(last_revision_, at(set.shard).revision);
  if (set.shard != 1) return;
  const bool fewer = set.shards < std::exchange(counted_, set.shards);
  if (!fewer || set.shards >= shards()) return;
  shards_.resize(static_cast<std::size_t>(set.shards));
  forget_unlisted();
}

void ListMemory::trust_the_newer(std::int32_t shard) {
  const auto& listed = ready(shard);
  std::erase_if(unfit_, [&listed](const auto& item) {
    return pool::may_pass(item.second.reason) && listed.contains(item.first);
  });
}

bool ListMemory::may_withdraw(std::int32_t shard, const api::ConfigMap& config_map) const {
  const pool::PublishedDocument* known = document(shard, &config_map);
  return known != nullptr && known->set && known->edited.empty();
}

std::optional<pool::PublishEndpoints> ListMemory::withdraw(const api::InferencePool& pool, std::int32_t shard,
                                                           const api::ConfigMap& config_map,
                                                           const std::string& pods_version) {
  if (!may_withdraw(shard, config_map)) return std::nullopt;
  const auto& listed = ready(shard);
  const auto is_elsewhere = [&](const std::string& uid) {
    return std::any_of(shards_.begin(), shards_.end(), [&](const Shard& other) {
      return &other.ready != &listed && other.ready.contains(uid);
    });
  };
  std::vector<pool::UnfitEndpoint> unfit;
  std::erase_if(unfit_, [&](const auto& item) {
    if (!listed.contains(item.first)) return false;
    unfit.push_back(item.second);
    return !is_elsewhere(item.first);
  });
  if (unfit.empty()) return std::nullopt;
  return withdraw(pool, shard, config_map, pods_version, unfit);
}

std::optional<pool::PublishEndpoints> ListMemory::withdraw(const api::InferencePool& pool, std::int32_t shard,
                                                           const api::ConfigMap& config_map,
                                                           const std::string& pods_version,
                                                           const std::vector<pool::UnfitEndpoint>& unfit) {
  if (!may_withdraw(shard, config_map)) return std::nullopt;
  Shard& known = at(shard);
  const std::int64_t revision =
      std::max({known.document.set->revision, pool::sane_revision(pool.status.endpoints_revision),
                last_revision_, sent_revision_}) +
      1;
  pool::PublishEndpoints out;
  out.changes = pool::withdraw(*known.document.set, unfit, revision);
  known.version.clear();
  if (out.changes.empty()) return std::nullopt;
  sent_revision_ = revision;
  out.write = {.create = false,
               .shared = config_map.shared,
               .resource_version = config_map.resource_version,
               .pods_version = pods_version,
               .set = std::move(*known.document.set)};
  known.document = {};
  return out;
}

void ListMemory::written(pool::PublishEndpoints& what, std::string version) {
  const api::EndpointSet& set = what.write.set;
  // Someone else had changed the list: what we remember of it is not what this write began with.
  const bool known = !what.undo && !what.write.create;
  if (!known) take(set);
  auto& listed = at(set.shard).ready;
  for (const pool::EndpointChange& change : what.changes) {
    unfit_.erase(change.uid);
    if (change.reason != pool::Withdrawal::kNone) {
      listed.erase(change.uid);
    } else {
      listed.emplace(change.uid, change.pod);
      ever_listed_.insert(change.uid);
    }
  }
  // An endpoint that has moved to another shard, or from one, is no change of the list.
  std::size_t ready = 0;
  const bool all_known = std::all_of(set.endpoints.begin(), set.endpoints.end(), [&](const auto& endpoint) {
    if (endpoint.state != api::EndpointState::kReady) return true;
    ++ready;
    return listed.contains(endpoint.uid);
  });
  if (!all_known || ready != listed.size()) take(set);
  count(set);
  Shard& shard = at(set.shard);
  shard.document.edited.clear();
  shard.document.set = std::move(what.write.set);
  shard.version = std::move(version);
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
  std::erase_if(first_event_,
                [&](const auto& item) { return item.second <= at && !unfit_.contains(item.first); });
}

bool ListMemory::has_outgrown() const {
  const std::size_t many = 2 * ready_count() + 64;
  return ever_listed_.size() > many || first_event_.size() > many;
}

void ListMemory::keep_only(const std::set<std::string>& living) {
  std::erase_if(ever_listed_, [&](const std::string& uid) { return !living.contains(uid); });
  std::erase_if(first_event_,
                [&](const auto& item) { return !living.contains(item.first) && !lists(item.first); });
}

}  // namespace poolwarden::control
