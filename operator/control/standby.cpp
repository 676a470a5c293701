#include "control/standby.h"

#include "kube/resource_version.h"
#include "publish/calls.h"

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace poolwarden::control {

void Standby::step(bool wanted, api::Now now, Effects& out) {
  const bool may = wanted && feeds_.settled() && feeds_.hears<Pools>() && feeds_.hears<ConfigMaps>() &&
                   feeds_.hears<Pods>();
  if (may && !acts_) router_.mark_all(now);
  // What was seen before a watch broke may be otherwise by now: the hedge begins anew when it is back.
  if (!may) withdrawals_.forget_all();
  acts_ = may;
  if (!may) return;
  look_at_marked(now);
  for (const ListKey& key : withdrawals_.due(now.mono)) write(key, now, out);
}

void Standby::look_at_marked(api::Now now) {
  std::size_t looked = 0;
  while (looked < step_endpoints_) {
    const auto key = queue_.get(now.mono);
    if (!key) break;
    look(*key, now);
    queue_.done(*key, now.mono);
    const PoolRecord* record = table_.find(*key);
    looked += 1 + (record == nullptr ? 0 : record->list.ready_count());
  }
}

std::vector<pool::UnfitEndpoint> Standby::unfit(PoolRecord& record, std::int32_t shard,
                                                const api::InferencePool& pool,
                                                const api::ConfigMap* map) const {
  record.list.read(pool, shard, map);
  pool::StandbyView seen;
  seen.pool = &pool;
  seen.config_map = map;
  seen.pods_behind =
      map == nullptr || !(kube::compare_versions(feeds_.pods_version(), map->pods_version) >= 0);
  seen.listed = &record.list.ready(shard);
  seen.pod = [this, ns = record.key.ns](std::string_view name) {
    return feeds_.store<Pods>().find(ns, name).get();
  };
  seen.node = router_.node_lookup();
  return pool::unfit_in_standby(seen);
}

void Standby::look(const kube::ObjectKey& key, api::Now now) {
  PoolRecord* record = table_.find(key);
  const auto pool = feeds_.store<Pools>().find(key);
  if (record == nullptr || !pool) return withdrawals_.forget(key);
  for (std::int32_t shard = 1; shard <= api::kMaxShards; ++shard) {
    const std::string name = api::shard_name(record->config_map, shard);
    const bool known = shard <= std::max(record->list.shards(), record->list.counted());
    if (!known && !feeds_.store<ConfigMaps>().find(key.ns, name)) return;
    look_at(shard, *record, *pool, now);
  }
}

void Standby::look_at(std::int32_t shard, PoolRecord& record, const api::InferencePool& pool, api::Now now) {
  const WrittenObject object{Written::kConfigMap, {record.key.ns, api::shard_name(record.config_map, shard)}};
  if (writes_.in_flight(object)) return;  // its answer marks the pool
  const auto map = feeds_.store<ConfigMaps>().find(object.key);
  std::set<std::string> uids;
  for (pool::UnfitEndpoint& one : unfit(record, shard, pool, map.get())) uids.insert(std::move(one.uid));
  withdrawals_.saw({record.key, shard}, map ? map->resource_version : std::string(), uids, now.mono);
}

void Standby::write(const ListKey& key, api::Now now, Effects& out) {
  PoolRecord* record = table_.find(key.pool);
  const auto pool = feeds_.store<Pools>().find(key.pool);
  if (record == nullptr || !pool) return withdrawals_.forget(key.pool);
  const WrittenObject object{Written::kConfigMap,
                             {key.pool.ns, api::shard_name(record->config_map, key.shard)}};
  if (const auto until = writes_.waits_until(object, now.mono)) {
    const bool in_flight = *until == kube::TimePoint::max();
    return withdrawals_.put_off(key, in_flight ? now.mono + StandbyWithdrawals::kHedge : *until);
  }
  const auto map = feeds_.store<ConfigMaps>().find(object.key);
  const auto unfit = this->unfit(*record, key.shard, *pool, map.get());
  if (unfit.empty()) return withdrawals_.leave(key);
  auto what = record->list.withdraw(*pool, key.shard, *map, feeds_.pods_version(), unfit);
  if (!what) return withdrawals_.leave(key);
  kube::TimePoint first = now.mono;
  std::vector<kube::TimePoint> began;
  for (const pool::EndpointChange& change : what->changes) {
    began.push_back(withdrawals_.first_seen(key, change.uid).value_or(now.mono));
    first = std::min(first, began.back());
  }
  const auto trigger = now.wall - std::chrono::duration_cast<api::Timestamp::duration>(now.mono - first);
  kube::Call call = publish::config_map(*pool, what->write, trigger);
  const auto result = writes_.send(
      {.purpose = PublishWrite{.what = *std::move(what), .began = std::move(began), .for_leader = true},
       .lane = WriteLane::kList,
       .object = object,
       .pool = {record->key, record->uid},
       .call = std::move(call),
       .expect = Expect::kConfigMap},
      now.mono, out);
  if (result.sent()) withdrawals_.sent(key, now.mono);
}

void Standby::answered(const PendingCall& call, const kube::Result<Answer>& answer, kube::TimePoint now) {
  using Outcome = StandbyWithdrawals::Outcome;
  const auto* list = std::get_if<PublishWrite>(&call.purpose);
  if (list == nullptr || !list->for_leader) return;
  const ListKey key{call.pool.key, list->what.write.set.shard};
  if (answer) return withdrawals_.answered(key, Outcome::kDone, now);
  const kube::Error& error = answer.error();
  const bool old = error.cls == kube::ErrorClass::kConflict || error.is_not_found();
  withdrawals_.answered(key, old ? Outcome::kConflict : Outcome::kFailed, now);
}

std::optional<kube::TimePoint> Standby::next_deadline() const {
  if (!acts_) return std::nullopt;
  if (queue_.size() > 0) return kube::TimePoint::min();  // more than one step looks at
  return withdrawals_.next_deadline();
}

void Standby::sweep() {
  for (const kube::ObjectKey& key : withdrawals_.pools()) {
    if (table_.find(key) == nullptr) withdrawals_.forget(key);
  }
}

}  // namespace poolwarden::control
