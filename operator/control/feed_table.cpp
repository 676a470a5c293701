#include "control/feed_table.h"

#include "base/text.h"
#include "pool/pod_group.h"

#include <algorithm>

#include <fmt/format.h>

namespace poolwarden::control {
namespace {

std::string first_of(const std::vector<std::string>& wanted, const std::vector<std::string>& there) {
  const auto found = std::find_if(there.begin(), there.end(), [&wanted](const std::string& key) {
    return std::find(wanted.begin(), wanted.end(), key) != wanted.end();
  });
  return found == there.end() ? std::string() : *found;
}

std::string target_key(std::string_view ns, std::string_view group, std::string_view kind,
                       std::string_view name) {
  return fmt::format("{}/{}/{}/{}", ns, group, kind, name);
}

// A list of a thousand endpoints takes 200 KiB.
constexpr std::size_t kMostUnplacedBytes = std::size_t{64} << 20;

}  // namespace

FeedTable::FeedTable(FeedOptions options, const kube::RandomSource& random, ControllerMetrics& metrics,
                     PoolsOf pools_of, IsList is_list)
    : options_(std::move(options)),
      metrics_(metrics),
      is_list_(std::move(is_list)),
      caches_(options_.reflector, random) {
  caches_.get<Pods>().informer.set_transform([this](api::Pod& pod) { intern(pod); });
  caches_.get<ConfigMaps>().informer.set_transform([this](api::ConfigMap& map) { drop_documents(map); });
  caches_.get<Nodes>().informer.set_transform([this](api::Node& node) { classify(node); });
  add_indices(std::move(pools_of));
}

void FeedTable::intern(api::Pod& pod) {
  if (!pod.labels->known()) keep_last_labels(pod);
  pod.labels = label_sets_.intern(std::move(pod.labels));
  pod.node = node_names_.intern(std::move(pod.node));
  pod.controller = controllers_.intern(std::move(pod.controller));
}

void FeedTable::keep_last_labels(api::Pod& pod) {
  kube::Unreadable unreadable;
  unreadable.add(
      {pod.ns, pod.name},
      fmt::format("its labels have more than {} bytes together: they are taken to be as they last "
                  "were, or to be such as no selector matches. Move what no selector asks for into "
                  "annotations",
                  api::Labels::kMaxBytes));
  caches_.get<Pods>().informer.note(unreadable);
  const auto held = store<Pods>().find(pod.ns, pod.name);
  if (held && held->uid == pod.uid) pod.labels = held->labels;
}

// Before pools are known, any may be a list: they are kept while they are few. One beyond that is as if the
// watch did not show it, and is looked up when a pool has its name.
void FeedTable::drop_documents(api::ConfigMap& map) {
  if (!synced<Pools>()) {
    unplaced_bytes_ += map.endpoints_json.size() + map.endpoints_text.size();
    if (unplaced_bytes_ <= kMostUnplacedBytes) return;
  } else if (is_list_(map.ns, map.name)) {
    return;
  }
  std::string().swap(map.endpoints_json);
  std::string().swap(map.endpoints_text);
  map.without_documents = true;
}

void FeedTable::drop_documents() {
  caches_.get<ConfigMaps>().informer.revise([this](const api::ConfigMap& held) {
    std::optional<api::ConfigMap> out;
    if (!held.without_documents && !is_list_(held.ns, held.name)) drop_documents(out.emplace(held));
    return out;
  });
}

void FeedTable::list_named(const std::string& ns, const std::string& config_map) {
  for (std::int32_t shard = 1; shard <= api::kMaxShards; ++shard) {
    const std::string name = api::shard_name(config_map, shard);
    const auto held = store<ConfigMaps>().find(ns, name);
    if (held && held->without_documents) caches_.get<ConfigMaps>().informer.forget(ns, name);
  }
}

void FeedTable::classify(api::Node& node) const {
  node.withdraw_taint = first_of(options_.withdraw_taints, node.taints);
  node.drain_taint = first_of(options_.drain_taints, node.taints);
  node.deadline_taint = first_of(options_.drain_all_taints, node.taints);
  node.taints.clear();
}

void FeedTable::add_indices(PoolsOf pools_of) {
  auto& pods = caches_.get<Pods>().informer;
  pods_by_pool_ = pods.add_index(std::move(pools_of));
  pods_by_controller_ = pods.add_index(
      [](const api::Pod& pod, std::vector<std::string>& keys) {
        if (!pod.controller->empty()) keys.push_back(*pod.controller);
      },
      kube::IndexedBy::kObject);
  pods_by_node_ = pods.add_index(
      [](const api::Pod& pod, std::vector<std::string>& keys) {
        if (!pod.node->empty()) keys.push_back(*pod.node);
      },
      kube::IndexedBy::kObject);
  pods_by_group_ = pods.add_index(
      [](const api::Pod& pod, std::vector<std::string>& keys) {
        if (const auto group = pool::group_of(*pod.labels))
          keys.push_back(fmt::format("{}/{}", pod.ns, *group));
      },
      kube::IndexedBy::kObject);
  autoscalers_by_target_ = caches_.get<Autoscalers>().informer.add_index(
      [](const api::Autoscaler& one, std::vector<std::string>& keys) {
        keys.push_back(target_key(one.ns, one.target_group, one.target_kind, one.target_name));
      },
      kube::IndexedBy::kObject);
  slices_by_pool_ = caches_.get<EndpointSlices>().informer.add_index(
      [](const api::EndpointSlice& slice, std::vector<std::string>& keys) {
        keys.push_back(fmt::format("{}/{}", slice.ns, slice.pool));
      },
      kube::IndexedBy::kObject);
  stateful_sets_by_uid_ = caches_.get<StatefulSets>().informer.add_index(
      [](const api::StatefulSet& set, std::vector<std::string>& keys) { keys.push_back(set.uid); },
      kube::IndexedBy::kObject);
  auto& sets = caches_.get<ReplicaSets>().informer;
  sets_by_uid_ = sets.add_index(
      [](const api::ReplicaSet& set, std::vector<std::string>& keys) { keys.push_back(set.uid); },
      kube::IndexedBy::kObject);
  sets_by_controller_ = sets.add_index(
      [](const api::ReplicaSet& set, std::vector<std::string>& keys) {
        if (!set.controller.empty()) keys.push_back(set.controller);
      },
      kube::IndexedBy::kObject);
}

void FeedTable::start(kube::TimePoint now, Effects& out) {
  WatchedKinds::for_each([&]<class Kind>() {
    if (Kind::always()) start<Kind>(now, out);
  });
}

template <class Kind>
void FeedTable::start(kube::TimePoint now, Effects& out) {
  if (std::exchange(caches_.get<Kind>().started, true)) return;
  emit<Kind>(caches_.get<Kind>().informer.start(now), out);
}

// Kinds that are not there in most clusters are asked for when a pool names them, and from then on.
void FeedTable::start_named(const api::InferencePool& pool, kube::TimePoint now, Effects& out) {
  visit_target(api::target_kind(pool), [&]<class Kind>() { start<Kind>(now, out); });
}

void FeedTable::tick(kube::TimePoint now, Effects& out) {
  WatchedKinds::for_each([&]<class Kind>() {
    auto& informer = caches_.get<Kind>().informer;
    const auto due = informer.next_deadline();
    if (due && *due <= now) emit<Kind>(informer.tick(now), out);
  });
}

std::optional<kube::TimePoint> FeedTable::next_deadline() const {
  std::optional<kube::TimePoint> earliest;
  WatchedKinds::for_each(
      [&]<class Kind>() { kube::sooner(earliest, caches_.get<Kind>().informer.next_deadline()); });
  return earliest;
}

// Each kind waits by itself, up to half a minute; the first of all requests to be answered after an outage
// tells the others. No more often than the gap, so that a server which answers some and cuts others is not
// hammered.
void FeedTable::server_answered(kube::TimePoint now) {
  constexpr kube::Duration kOutage = std::chrono::seconds(5);
  if (now - std::exchange(heard_, now) < kOutage) return;
  WatchedKinds::for_each([&]<class Kind>() {
    if (caches_.get<Kind>().started) caches_.get<Kind>().informer.server_is_back(now);
  });
}

bool FeedTable::settled() const {
  bool all = synced<Pools>();
  WatchedKinds::for_each(
      [&]<class Kind>() { all = all && (!Kind::awaited() || synced<Kind>() || out_of_reach<Kind>()); });
  return all;
}

FeedTable::Problems FeedTable::problems() const {
  Problems out;
  WatchedKinds::for_each([&]<class Kind>() {
    if (!Kind::reported_in_conditions()) return;
    const auto error = caches_.get<Kind>().informer.last_error();
    if (!error) return;
    if (!synced<Kind>()) out.watch_errors.push_back(error->message);
    if (synced<Kind>() && error->is_out_of_reach()) out.stale.push_back(error->message);
  });
  return out;
}

std::array<FeedHealth, WatchedKinds::kSize> FeedTable::health() const {
  std::array<FeedHealth, WatchedKinds::kSize> out;
  WatchedKinds::for_each([&]<class Kind>() { out[WatchedKinds::index<Kind>()] = health<Kind>(); });
  return out;
}

std::shared_ptr<const api::ReplicaSet> FeedTable::replica_set(std::string_view uid) const {
  const auto& found = store<ReplicaSets>().by_index(sets_by_uid_, uid);
  return found.empty() ? nullptr : found.front();
}

std::shared_ptr<const api::StatefulSet> FeedTable::stateful_set(std::string_view uid) const {
  const auto& found = store<StatefulSets>().by_index(stateful_sets_by_uid_, uid);
  return found.empty() ? nullptr : found.front();
}

std::optional<std::int32_t> FeedTable::wanted_by(std::string_view uid) const {
  if (const auto set = replica_set(uid)) return set->deleting ? std::nullopt : std::optional{set->replicas};
  const auto set = stateful_set(uid);
  return !set || set->deleting ? std::nullopt : std::optional{set->replicas};
}

std::shared_ptr<const api::Workload> FeedTable::target_of(const api::InferencePool& pool) const {
  std::shared_ptr<const api::Workload> out;
  visit_target(api::target_kind(pool), [&]<class Kind>() {
    out = store<Kind>().find({pool.ns, pool.scale_target->name});
  });
  return out;
}

bool FeedTable::has_read(api::TargetKind kind) const {
  bool out = false;
  visit_target(kind, [&]<class Kind>() { out = synced<Kind>(); });
  return out;
}

bool FeedTable::is_awaited(api::TargetKind kind) const {
  bool out = false;
  visit_target(kind,
               [&]<class Kind>() { out = !Kind::always() && !synced<Kind>() && !out_of_reach<Kind>(); });
  return out;
}

std::span<const PodPtr> FeedTable::group_of(const api::Pod& pod) const {
  const auto group = pool::group_of(*pod.labels);
  if (!group) return {};
  const std::span<const PodPtr> all =
      store<Pods>().by_index(pods_by_group_, fmt::format("{}/{}", pod.ns, *group));
  return all.first(std::min(all.size(), pool::kMaxGroup));
}

void FeedTable::reindex_if_needed(const std::string& ns) {
  auto& pods = caches_.get<Pods>().informer;
  if (std::exchange(reindex_pods_, false)) {
    pods.reindex(pods_by_pool_);
    outdated_.clear();
  }
  if (outdated_.erase(ns) > 0) pods.reindex_in(pods_by_pool_, ns);
}

bool FeedTable::reindex_one() {
  if (reindex_pods_ || !outdated_.empty())
    reindex_if_needed(outdated_.empty() ? std::string() : std::string(*outdated_.begin()));
  return !outdated_.empty();
}

std::vector<std::string> FeedTable::orphan_namespaces() const {
  std::vector<std::string> out;
  store<Pods>().for_each_key(pods_by_pool_, kOrphanIndex, [&out](const std::string& key) {
    out.push_back(key.substr(kOrphanIndex.size()));
  });
  return out;
}

const std::vector<std::shared_ptr<const api::EndpointSlice>>& FeedTable::slices_of_pool(
    std::string_view ns, std::string_view pool) const {
  return store<EndpointSlices>().by_index(slices_by_pool_, fmt::format("{}/{}", ns, pool));
}

const std::vector<std::shared_ptr<const api::Autoscaler>>& FeedTable::autoscalers_of(
    std::string_view ns, std::string_view group, std::string_view kind, std::string_view name) const {
  return store<Autoscalers>().by_index(autoscalers_by_target_, target_key(ns, group, kind, name));
}

void FeedTable::sweep() {
  label_sets_.sweep();
  node_names_.sweep();
  controllers_.sweep();
}

}  // namespace poolwarden::control
