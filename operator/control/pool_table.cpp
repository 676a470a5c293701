#include "control/pool_table.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

namespace poolwarden::control {
namespace {

std::optional<api::LabelSelector> effective_selector(const api::InferencePool& pool,
                                                     const api::Workload* target) {
  auto selector = pool::selector_in_force(pool, target);
  if (selector && selector->problem()) selector.reset();
  return selector;
}

}  // namespace

bool PoolTable::upsert(const api::InferencePool& pool, const api::Workload* target) {
  const kube::ObjectKey key{pool.ns, pool.name};
  PoolRecord& record = records_[key];
  // Same name is not the same pool: a recreated one starts with no memory of its namesake.
  const bool fresh = record.uid != pool.uid;
  if (fresh) record = PoolRecord{};
  auto selector = effective_selector(pool, target);
  record.selector_known = selector.has_value();
  const bool decides = record.selector_known && api::problems(pool).empty();
  if (!selector) selector = record.selector;
  const bool selects_differently =
      fresh || record.deleting != pool.deleting || record.selector != selector || record.decides != decides;
  record.key = key;
  record.uid = pool.uid;
  record.deleting = pool.deleting;
  record.decides = decides;
  record.may_panic = pool.publish.panic_threshold > 0;
  record.target = pool.scale_target ? pool.scale_target->name : std::string();
  record.target_kind = api::target_kind(pool);
  record.config_map = pool.publish.config_map_name;
  record.service = pool.publish.service_name;
  record.selector = std::move(selector);
  if (selects_differently) invalidate(key.ns);
  return selects_differently;
}

bool PoolTable::remove(const kube::ObjectKey& key) {
  const bool was_there = records_.erase(key) > 0;
  invalidate(key.ns);
  return was_there;
}

void PoolTable::invalidate(const std::string& ns) {
  std::erase_if(matches_, [&ns](const auto& item) { return item.first.ns == ns; });
  auto unsure = in_namespace(ns, [](const PoolRecord& r) { return !r.deleting && !r.selector; });
  if (unsure.empty()) {
    unsure_.erase(ns);
  } else {
    unsure_.insert_or_assign(ns, std::move(unsure));
  }
}

std::vector<const PoolRecord*> PoolTable::first(std::size_t most, std::size_t most_of_namespace) const {
  std::vector<const PoolRecord*> found;
  std::size_t of_namespace = 0;
  for (auto at = records_.begin(); at != records_.end() && found.size() < most;) {
    const std::string& ns = at->first.ns;
    of_namespace = !found.empty() && found.back()->key.ns == ns ? of_namespace + 1 : 1;
    found.push_back(&at->second);
    // No name of a namespace holds a NUL, so this is the next one's.
    at = of_namespace < most_of_namespace ? std::next(at) : records_.lower_bound({ns + '\0', ""});
  }
  return found;
}

const std::vector<PoolRecord*>& PoolTable::unsure(const std::string& ns) const {
  static const std::vector<PoolRecord*> kNone;
  const auto found = unsure_.find(ns);
  return found == unsure_.end() ? kNone : found->second;
}

PoolRecord* PoolTable::find(const kube::ObjectKey& key) {
  const auto found = records_.find(key);
  return found == records_.end() ? nullptr : &found->second;
}

bool PoolTable::publishes(const std::string& ns, const std::string& config_map) {
  return !in_namespace(ns, [&](const PoolRecord& r) {
            return api::shard_number(r.config_map, config_map).has_value();
          }).empty();
}

void PoolTable::trim() {
  if (matches_.size() <= kMaxCachedLabelSets) return;
  // Those of the namespace that has the most: others keep theirs.
  std::unordered_map<std::string_view, std::size_t> counts;
  for (const auto& [set, selecting] : matches_) ++counts[set.ns];
  const auto most = std::max_element(counts.begin(), counts.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  std::erase_if(matches_, [ns = std::string(most->first)](const auto& item) { return item.first.ns == ns; });
}

bool PoolTable::is_selected_by(const api::Pod& pod, const PoolRecord& record) {
  const auto& pools = matching(pod);
  const auto found =
      std::lower_bound(pools.begin(), pools.end(), record.key,
                       [](const PoolRecord* pool, const kube::ObjectKey& key) { return pool->key < key; });
  return found != pools.end() && *found == &record;
}

const PoolTable::Selecting& PoolTable::selecting(const api::Pod& pod) {
  // Most namespaces have no pools: no answers are kept for their pods.
  static const Selecting kNone;
  const auto first = records_.lower_bound({pod.ns, {}});
  if (first == records_.end() || first->first.ns != pod.ns) return kNone;
  auto [entry, fresh] = matches_.try_emplace(LabelSet{pod.ns, pod.labels});
  if (fresh) {
    auto& pools = entry->second.pools;
    pools = in_namespace(pod.ns, [&pod](const PoolRecord& record) {
      return !record.deleting && record.selector && record.selector->matches(*pod.labels);
    });
    const auto leader =
        std::find_if(pools.begin(), pools.end(), [](const PoolRecord* pool) { return pool->decides; });
    entry->second.leader = leader == pools.end() ? nullptr : *leader;
  }
  return entry->second;
}

}  // namespace poolwarden::control
