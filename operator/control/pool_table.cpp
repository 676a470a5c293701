#include "control/pool_table.h"

#include "pool/observation.h"

#include <algorithm>
#include <utility>

namespace poolwarden::control {
namespace {

std::optional<api::LabelSelector> effective_selector(const api::InferencePool& pool,
                                                     const api::Deployment* target) {
  const api::LabelSelector* selector = pool::selector_in_force(pool, target);
  if (selector == nullptr || selector->problem()) return std::nullopt;
  return *selector;
}

}  // namespace

bool PoolTable::upsert(const api::InferencePool& pool, const api::Deployment* target) {
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
  record.target = pool.scale_target ? pool.scale_target->name : std::string();
  record.config_map = pool.publish.config_map_name;
  record.service = pool.publish.service_name;
  record.selector = std::move(selector);
  if (selects_differently) invalidate();
  return selects_differently;
}

bool PoolTable::remove(const kube::ObjectKey& key) {
  invalidate();
  return records_.erase(key) > 0;
}

PoolRecord* PoolTable::find(const kube::ObjectKey& key) {
  const auto found = records_.find(key);
  return found == records_.end() ? nullptr : &found->second;
}

void PoolTable::trim() {
  if (matches_.size() > kMaxCachedLabelSets) invalidate();
}

const std::vector<PoolRecord*>& PoolTable::matching(const api::Pod& pod) {
  // Most namespaces have no pools: no answers are kept for their pods.
  static const std::vector<PoolRecord*> kNone;
  const auto first = records_.lower_bound({pod.ns, {}});
  if (first == records_.end() || first->first.ns != pod.ns) return kNone;
  auto [entry, fresh] = matches_.try_emplace(LabelSet{pod.ns, pod.labels});
  if (fresh) {
    entry->second = in_namespace(pod.ns, [&pod](const PoolRecord& record) {
      return !record.deleting && record.selector && record.selector->matches(*pod.labels);
    });
  }
  return entry->second;
}

}  // namespace poolwarden::control
