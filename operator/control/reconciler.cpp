#include "control/reconciler.h"

#include "api/names.h"
#include "control/write_content.h"
#include "pool/decide.h"
#include "pool/endpoint_slices.h"
#include "pool/observation.h"
#include "pool/pod_labels.h"
#include "pool/status.h"
#include "publish/calls.h"

#include <algorithm>
#include <set>
#include <string_view>

#include <fmt/format.h>

namespace poolwarden::control {
namespace {

// Between writes of a pool's status, whatever they say; and between those that tell how far drains are.
constexpr kube::Duration kStatusInterval = std::chrono::seconds(1);
constexpr kube::Duration kDrainFigures = std::chrono::seconds(3);
// While the API server drops fields of it: between writes that differ, and of the same one (the CRD may have
// been brought up to date by then).
constexpr kube::Duration kStatusIntervalInVain = std::chrono::seconds(10);
constexpr kube::Duration kStatusAskedAgain = std::chrono::minutes(9);
// Pods that are behind the list catch up within moments, on the watch or by a new list. Versions that never
// meet are of different clusters (a ConfigMap restored from a backup), and say nothing.
constexpr kube::Duration kBehindLimit = std::chrono::minutes(5);
constexpr kube::Duration kBehindRetry = std::chrono::seconds(1);
constexpr kube::Duration kLoanRetry = std::chrono::seconds(1);
// A pass waits for the answer to the pool's list for so long; then it goes on without.
constexpr kube::Duration kListPatience = std::chrono::seconds(1);
// A pool is looked at no more often than this for each of its pods: so a large one takes its share of the
// loop and no more, however much changes.
constexpr kube::Duration kPassInterval = std::chrono::microseconds(20);
// Anybody who may create pods may give thousands of them our label. A step looks at so many of them, and
// those of one namespace are looked at no more often than this for each, and have so many writes in flight:
// the lane is that of everybody's drains.
constexpr std::size_t kOrphansPerStep = 256;
constexpr std::size_t kOrphansInFlight = 8;
constexpr std::size_t kMembersPerLook = 256;
constexpr kube::Duration kMemberPeriod = std::chrono::seconds(10);
constexpr kube::Duration kOrphanInterval = std::chrono::microseconds(5);

// What drains and replicas wait for goes before labels that only say who is a member.
WriteLane lane_of(const api::PodLabelWrite& label, const pool::Plan& plan) {
  return plan.drain_notes.contains(label.uid) || !label.annotations.empty() ? WriteLane::kDrain
                                                                            : WriteLane::kRest;
}

PoolName name_of(const PoolRecord& record) {
  return {record.key, record.uid};
}

}  // namespace

bool Reconciler::send(WriteRequest request, api::Now now, Effects& out) {
  const kube::ObjectKey key = request.pool.key;
  const WriteDispatcher::Result result = writes_.send(std::move(request), now.mono, out);
  if (!result.sent() && result.until && !key.name.empty())
    queue_.add_after(key, *result.until - now.mono, now.mono);
  return result.sent();
}

bool Reconciler::withdraw(PoolRecord& record, const api::InferencePool& pool, api::Now now, Effects& out) {
  if (!record.list.withdrawal_due()) return false;
  if (snapshots_.misses_nodes(record)) record.list.trust_kubelets();
  for (const SnapshotBuilder::NewerShard& newer : snapshots_.newer_shards(record))
    if (!record.list.disbelieves(newer.pods_version)) record.list.trust_the_newer(newer.shard);
  if (!record.list.withdrawal_due() || record.deleting || !feeds_.synced<Pods>()) return false;
  withdraw_from_slices(record, pool, now, out);
  const std::set<std::int32_t> due = record.list.shards_due();
  bool sent = !due.empty();
  for (const std::int32_t shard : due) sent &= withdraw_from(shard, record, pool, now, out);
  return sent;
}

bool Reconciler::withdraw_from(std::int32_t shard, PoolRecord& record, const api::InferencePool& pool,
                               api::Now now, Effects& out) {
  const WrittenObject object{Written::kConfigMap, {pool.ns, api::shard_name(record.config_map, shard)}};
  const auto map = feeds_.store<ConfigMaps>().find(object.key);
  if (!map || writes_.waits_until(object, now.mono)) return false;
  record.list.read(pool, shard, map.get());
  auto what = record.list.withdraw(pool, shard, *map, snapshots_.pods_version_over(record, *map));
  if (!what) return false;
  publish(record, pool, std::move(*what), std::nullopt, now, out);  // takes away, and so undoes nothing
  return true;
}

// Those of a Service that are ours. They wait for no list.
void Reconciler::withdraw_from_slices(PoolRecord& record, const api::InferencePool& pool, api::Now now,
                                      Effects& out) {
  for (const auto& slice : feeds_.slices_of_pool(record.key.ns, record.key.name)) {
    if (!pool::is_ours(pool, *slice)) continue;
    std::shared_ptr<const api::Pod> pod;  // of the endpoint that was judged last
    const auto write = pool::withdraw_from(*slice, [&](const api::SliceEndpoint& endpoint) {
      pool::PodVerdict verdict;
      const pool::UnfitEndpoint* unfit = record.list.unfit_endpoint(endpoint.uid);
      if (unfit == nullptr) return verdict;
      pod = feeds_.store<Pods>().find(record.key.ns, endpoint.pod);
      if (pod && pod->uid == endpoint.uid) verdict.pod = pod.get();
      verdict.reason = unfit->reason;
      return verdict;
    });
    if (write) write_slice(record, *write, std::nullopt, false, now, out);
  }
}

void Reconciler::write_slices(PoolRecord& record, const pool::Plan& plan, api::Now now, Effects& out) {
  const bool failed = !record.errors.slices.empty();
  std::erase_if(record.errors.slices, [&plan](const auto& item) {
    return std::none_of(plan.slices.begin(), plan.slices.end(),
                        [&item](const auto& write) { return write.slice.name == item.first; });
  });
  if (failed && record.errors.slices.empty()) queue_.add(record.key, now.mono);
  for (const api::EndpointSliceWrite& write : plan.slices) {
    const bool goes = write.action == api::EndpointSliceWrite::Action::kDelete;
    write_slice(record, write, goes ? std::nullopt : std::optional{content_hash(write.slice)},
                plan.slices_switch, now, out);
  }
}

void Reconciler::write_slice(PoolRecord& record, const api::EndpointSliceWrite& slice,
                             std::optional<std::size_t> content, bool leads_on, api::Now now, Effects& out) {
  const auto trigger = now.wall - std::chrono::duration_cast<api::Timestamp::duration>(
                                      now.mono - record.list.first_event(now.mono));
  using Action = api::EndpointSliceWrite::Action;
  const bool goes = slice.action == Action::kDelete;
  // A withdrawal is nearly always a change of what is there. A large pool may begin with a thousand of them.
  const WriteLane lane = slice.action == Action::kReplace ? WriteLane::kList : WriteLane::kDrain;
  send({.purpose = EndpointSliceWrite{slice.slice.name, content, leads_on},
        .lane = lane,
        .object = {Written::kEndpointSlice, {record.key.ns, slice.slice.name}},
        .pool = name_of(record),
        .call = publish::endpoint_slice(slice, trigger),
        .expect = goes ? Expect::kText : Expect::kEndpointSlice,
        .content = content,
        .undoes = content.has_value()},
       now, out);
}

// While the list is being written, what follows from it is not known yet.
bool Reconciler::has_to_wait(PoolRecord& record, api::Now now) {
  kube::TimePoint until = record.next_pass;
  if (writes_.list_in_flight(record.key)) until = std::max(until, record.list_sent_at + kListPatience);
  if (until <= now.mono) return false;
  queue_.add_after(record.key, until - now.mono, now.mono);
  return true;
}

std::optional<pool::Plan> Reconciler::pass(PoolRecord& record, const api::InferencePool& pool, api::Now now,
                                           Effects& out) {
  if (has_to_wait(record, now)) return std::nullopt;
  std::erase_if(record.unlabelled, [&](const auto& item) { return now.mono >= item.second.until; });
  record.list.read_all(pool, feeds_.store<ConfigMaps>());
  const bool behind = is_behind(record, now.mono);
  if (record.decides) {
    record.on_hold_since.reset();
  } else if (!record.on_hold_since) {
    record.on_hold_since = now.mono;
  }
  const pool::Snapshot seen = snapshots_.build(record, pool, behind, now);
  pool::Plan plan = pool::decide(seen, now);
  std::size_t looked_at = seen.pods.size();
  if (!record.selector) looked_at += feeds_.pods_of_pool(orphan_index(record.key.ns)).size();
  record.next_pass = now.mono + kPassInterval * static_cast<std::int64_t>(looked_at);
  count_endpoints(record, seen, plan);
  if (plan.agreed) record.agreed = plan.agreed;
  want_loads(record, pool, plan, now);
  come_back(record, plan.look_again, now);
  // All events so far are accounted for: the list says what they lead to. Not so while it is left alone
  // because our pods are behind it: then they are yet to lead to something.
  const bool publishes = plan.publish || !plan.publish_shards.empty();
  if (!publishes && !record.behind_since) record.list.stop_watches();
  publish_list(record, pool, plan, now, out);
  write_slices(record, plan, now, out);
  return plan;
}

bool Reconciler::is_behind(PoolRecord& record, kube::TimePoint now) {
  const auto newer = snapshots_.newer_shards(record);
  const bool behind = std::any_of(newer.begin(), newer.end(), [&record](const auto& one) {
    return !record.list.disbelieves(one.pods_version);
  });
  // While nothing is heard of pods they cannot catch up: that time does not count.
  if (behind && (!record.behind_since || feeds_.is_stale<Pods>(now))) record.behind_since = now;
  if (behind && now - *record.behind_since < kBehindLimit) return true;
  record.behind_since.reset();
  for (const SnapshotBuilder::NewerShard& one : newer) {
    record.list.disbelieve(one.pods_version);
    // A pool that cannot decide writes nothing but withdrawals, and only over a list that nobody has edited.
    if (record.decides)
      record.list.note_edited(one.shard, fmt::format("annotation {}", api::kPodsVersionAnnotation));
  }
  return false;
}

void Reconciler::publish_list(PoolRecord& record, const api::InferencePool& pool, pool::Plan& plan,
                              api::Now now, Effects& out) {
  std::vector<pool::PublishEndpoints> writes = std::move(plan.publish_shards);
  if (plan.publish) writes.insert(writes.begin(), *std::move(plan.publish));
  std::set<std::string> names;
  for (const pool::PublishEndpoints& what : writes)
    names.insert(api::shard_name(record.config_map, what.write.set.shard));
  std::erase_if(record.errors.config_maps, [&](const auto& item) { return !names.contains(item.first); });
  for (pool::PublishEndpoints& what : writes) {
    const std::size_t content = content_hash(what.write.set);
    publish(record, pool, std::move(what), content, now, out);
  }
}

void Reconciler::publish(PoolRecord& record, const api::InferencePool& pool, pool::PublishEndpoints what,
                         std::optional<std::size_t> content, api::Now now, Effects& out) {
  // The write takes the times along: by the time of its answer, its own watch event may have had them
  // cleared.
  std::vector<kube::TimePoint> began = record.list.began(what.changes, now.mono);
  const auto trigger = now.wall - std::chrono::duration_cast<api::Timestamp::duration>(
                                      now.mono - record.list.first_event(now.mono));
  const std::string name = api::shard_name(record.config_map, what.write.set.shard);
  const WrittenObject object{Written::kConfigMap, {pool.ns, name}};
  const bool undoes = what.undo;
  const bool first = !writes_.list_in_flight(record.key);
  kube::Call call = publish::config_map(pool, what.write, trigger);
  if (send({.purpose = PublishWrite{std::move(what), std::move(began)},
            .lane = WriteLane::kList,
            .object = object,
            .pool = name_of(record),
            .call = std::move(call),
            .expect = Expect::kConfigMap,
            .content = content,
            .undoes = undoes},
           now, out) &&
      first)
    record.list_sent_at = now.mono;
}

void Reconciler::want_loads(const PoolRecord& record, const api::InferencePool& pool, const pool::Plan& plan,
                            api::Now now) {
  for (const pool::WantedReading& wanted : plan.readings) {
    const auto others = snapshots_.other_pools_of(pool, wanted.name, wanted.uid);
    if (const auto next = loads_.request(wanted, pool, others, now.mono))
      queue_.add_after(record.key, *next - now.mono, now.mono);
  }
}

// A key has one wait, and the earliest wins: so each pass names again whatever it still waits for (here and
// in send() and write_status()), and a wait that was cut short by another is not lost.
void Reconciler::come_back(PoolRecord& record, std::optional<kube::Duration> look_again, api::Now now) {
  const double spread = 0.9 + 0.2 * random_();
  queue_.add_after(record.key, std::chrono::duration_cast<kube::Duration>(resync_ * spread), now.mono);
  for (const auto& [name, unlabelled] : record.unlabelled)
    queue_.add_after(record.key, unlabelled.until - now.mono, now.mono);
  if (record.behind_since) queue_.add_after(record.key, kBehindRetry, now.mono);
  if (look_again) queue_.add_after(record.key, *look_again, now.mono);
}

void Reconciler::count_endpoints(const PoolRecord& record, const pool::Snapshot& seen,
                                 const pool::Plan& plan) {
  ControllerMetrics::EndpointCounts counts;
  counts.ready = record.list.ready_count();
  counts.draining =
      static_cast<std::size_t>(std::count_if(seen.pods.begin(), seen.pods.end(), [](const auto* pod) {
        return pod->serving == api::serving::kDraining || pod->serving == api::serving::kDrained;
      }));
  counts.withdrawn = seen.pods.size() - std::min(seen.pods.size(), counts.ready + counts.draining);
  metrics_.endpoints(record.key.ns, record.key.name, counts);
  const bool target_found = pool::target_state(seen) == pool::TargetState::kFound;
  metrics_.wanted_replicas(
      record.key.ns, record.key.name,
      target_found ? std::optional{std::max(seen.target->replicas, seen.pool->replicas.value_or(0))}
                   : std::nullopt);
  metrics_.oldest_drain(record.key.ns, record.key.name, plan.oldest_drain.value_or(std::chrono::seconds{0}));
  count_consumers(record, seen);
}

void Reconciler::count_consumers(const PoolRecord& record, const pool::Snapshot& seen) {
  std::optional<ControllerMetrics::ConsumerCounts> counts;
  if (!seen.consumers->empty()) {
    const auto slowest = seen.consumers->awaited(seen.list_revisions.by_shard, seen.list_revisions.newest);
    counts = {.live = seen.consumers->live(),
              .silent = seen.consumers->size() - seen.consumers->live(),
              .behind = slowest ? slowest->behind() : 0};
  }
  metrics_.consumers(record.key.ns, record.key.name, counts);
}

void Reconciler::write_rest(PoolRecord& record, const api::InferencePool& pool, pool::Plan& plan,
                            api::Now now, Effects& out) {
  write_replicas(record, pool, plan, now, out);
  forget_needless_errors(record, plan, now);
  // What a drain begins with is decided with the list, and goes with it.
  write_labels(record, plan, WriteLane::kDrain, now, out);
  if (writes_.list_in_flight(record.key)) return;
  write_service(record, pool, plan, now, out);
  write_budget(record, pool, plan, now, out);
  write_labels(record, plan, WriteLane::kRest, now, out);
  write_status(record, pool, plan, now, out);
}

// The pool itself takes one write at a time: its count before its status.
void Reconciler::write_replicas(PoolRecord& record, const api::InferencePool& pool, pool::Plan& plan,
                                api::Now now, Effects& out) {
  // What is lent to the target stands in status. A write of it that is under way may take that back, and then
  // the target's count would look like somebody's wish.
  const bool is_lent = plan.scale_target && plan.scale_target->to > plan.scale_target->agreed;
  if (is_lent && writes_.in_flight({Written::kPool, record.key})) {
    queue_.add_after(record.key, kLoanRetry, now.mono);
  } else if (plan.scale_target) {
    kube::Call call = publish::scale_target(pool, *plan.scale_target);
    const auto content = content_hash(*plan.scale_target);
    record.replicas_in_flight |=
        send({.purpose = ScaleTargetWrite{*plan.scale_target, std::move(plan.scale_event)},
              .lane = WriteLane::kDrain,
              .object = {written(record.target_kind), {pool.ns, record.target}},
              .pool = name_of(record),
              .call = std::move(call),
              .expect = Expect::kText,
              .content = content},
             now, out);
  }
  if (plan.adopt_replicas) {
    kube::Call call = publish::adopt_replicas(pool, *plan.adopt_replicas);
    record.replicas_in_flight |=
        send({.purpose = AdoptReplicasWrite{*plan.adopt_replicas, std::move(plan.adopt_event)},
              .lane = WriteLane::kDrain,
              .object = {Written::kPool, record.key},
              .pool = name_of(record),
              .call = std::move(call),
              .expect = Expect::kPool},
             now, out);
  }
}

void Reconciler::write_service(PoolRecord& record, const api::InferencePool& pool, pool::Plan& plan,
                               api::Now now, Effects& out) {
  if (!plan.service) return;
  if (plan.service->only_count && record.service_counts.next_token() > now.mono)
    return queue_.add_after(record.key, record.service_counts.next_token() - now.mono, now.mono);
  // Slices of Kubernetes that a Service without a selector leaves behind are to go.
  const bool leads_on = plan.service->drop_selector || plan.service->unmark;
  const bool sent = send({.purpose = ServiceWrite{std::move(plan.service_event), leads_on},
                          .lane = WriteLane::kRest,
                          .object = {Written::kService, {pool.ns, record.service}},
                          .pool = name_of(record),
                          .call = publish::service(pool, *plan.service),
                          .expect = Expect::kService,
                          .content = content_hash(*plan.service)},
                         now, out);
  if (sent && plan.service->only_count) record.service_counts.try_take(now.mono);
}

void Reconciler::write_budget(const PoolRecord& record, const api::InferencePool& pool,
                              const pool::Plan& plan, api::Now now, Effects& out) {
  if (!plan.budget) return;
  send({.purpose = BudgetWrite{},
        .lane = WriteLane::kRest,
        .object = {Written::kBudget, {pool.ns, plan.budget->name}},
        .pool = name_of(record),
        .call = publish::disruption_budget(pool, *plan.budget),
        .expect = Expect::kBudget,
        .content = content_hash(*plan.budget)},
       now, out);
}

// A write that failed and is not wanted any more will never succeed, and so never take its error back.
void Reconciler::forget_needless_errors(PoolRecord& record, const pool::Plan& plan, api::Now now) {
  bool forgot = false;
  const auto forget = [&forgot](bool wanted, std::string& error) {
    if (wanted || error.empty()) return;
    error.clear();
    forgot = true;
  };
  forget(plan.scale_target.has_value(), record.errors.scale);
  forget(plan.service.has_value(), record.errors.service);
  forget(plan.budget.has_value(), record.errors.budget);
  if (!record.errors.labels.empty()) {
    std::set<std::string_view> wanted;
    for (const api::PodLabelWrite& label : plan.pod_labels) wanted.insert(label.uid);
    forgot |= std::erase_if(record.errors.labels, [&](const auto& item) {
                return !wanted.contains(item.first) && !writes_.labels_under_way().contains(item.first);
              }) > 0;
  }
  if (forgot) queue_.add(record.key, now.mono);
}

void Reconciler::write_labels(const PoolRecord& record, const pool::Plan& plan, WriteLane lane, api::Now now,
                              Effects& out) {
  for (const api::PodLabelWrite& label : plan.pod_labels) {
    if (lane_of(label, plan) != lane) continue;
    if (!writes_.has_room(lane, now.mono)) return writes_.wait_for_room(lane, record.key);
    const auto note = plan.drain_notes.find(label.uid);
    send({.purpose = PodLabelWrite{label, note == plan.drain_notes.end() ? std::nullopt
                                                                         : std::optional{note->second}},
          .lane = lane,
          .object = {Written::kPod, {record.key.ns, label.name}},
          .pool = name_of(record),
          .call = publish::pod_label(record.key.ns, label),
          .expect = Expect::kPod,
          .content = content_hash(label)},
         now, out);
  }
}

void Reconciler::write_status(PoolRecord& record, const api::InferencePool& pool, pool::Plan& plan,
                              api::Now now, Effects& out) {
  if (!plan.status || plan.adopt_replicas || !may_write_status(record, pool, *plan.status, now)) return;
  const bool only_counts = !pool::is_news(pool.status, *plan.status);
  kube::Call call = publish::status(pool, *plan.status);
  const bool sent = send({.purpose = StatusWrite{std::move(*plan.status), pool.status},
                          .lane = WriteLane::kRest,
                          .object = {Written::kPool, record.key},
                          .pool = name_of(record),
                          .call = std::move(call),
                          .expect = Expect::kPool},
                         now, out);
  if (!sent) return;
  record.status.not_before =
      now.mono + (record.status.dropped_fields.empty() ? kStatusInterval : kStatusIntervalInVain);
  if (only_counts) record.status.counts.try_take(now.mono);
}

// News at once, at most one a second; counts and figures a few at once and then every ten seconds, those of a
// drain every three.
bool Reconciler::may_write_status(PoolRecord& record, const api::InferencePool& pool,
                                  const api::PoolStatus& wanted, api::Now now) {
  StatusMemory& status = record.status;
  const bool in_vain = !status.dropped_fields.empty() && wanted == status.wanted &&
                       pool.status == status.stored && now.mono < status.asked_at + kStatusAskedAgain;
  if (in_vain) return false;
  kube::TimePoint from = status.not_before;
  if (!pool::is_news(pool.status, wanted)) {
    kube::TimePoint counts = status.counts.next_token();
    if (wanted.draining_replicas > 0)
      counts = std::min(counts, status.not_before - kStatusInterval + kDrainFigures);
    from = std::max(from, counts);
  }
  if (now.mono >= from) return true;
  queue_.add_after(record.key, from - now.mono, now.mono);
  return false;
}

// Workers whose leaders are in no pool any more, a few at a time. Mostly there are none: a group goes as a
// whole.
void Reconciler::release_members(api::Now now, Effects& out) {
  if (now.mono < next_member_look_) return;
  next_member_look_ = now.mono + kMemberPeriod;
  const auto& members = feeds_.pods_of_pool(kMemberIndex);
  const std::size_t most = std::min(members.size(), kMembersPerLook);
  for (std::size_t looked = 0; looked < most; ++looked) {
    const api::Pod& pod = *members[next_member_++ % members.size()];
    if (!snapshots_.is_held_member(pod)) send_release(pod, pool::take_off(pod), now, out);
  }
}

void Reconciler::release_orphans(api::Now now, Effects& out) {
  orphans_due_.reset();
  release_members(now, out);
  if (feeds_.reindex_one()) look_at_orphans_by(now.mono);
  std::vector<std::string> namespaces = feeds_.orphan_namespaces();
  std::erase_if(orphanages_, [&](const auto& item) {
    return !std::binary_search(namespaces.begin(), namespaces.end(), item.first);
  });
  // They take turns.
  std::rotate(namespaces.begin(), std::upper_bound(namespaces.begin(), namespaces.end(), last_orphanage_),
              namespaces.end());
  std::size_t looked = 0;
  for (const std::string& ns : namespaces) {
    if (looked >= kOrphansPerStep) return look_at_orphans_by(now.mono);
    Orphanage& here = orphanages_[ns];
    if (now.mono < here.next_look) {
      look_at_orphans_by(here.next_look);
      continue;
    }
    looked += release_orphans_of(ns, here, now, out);
    last_orphanage_ = ns;
  }
}

void Reconciler::look_at_orphans_by(kube::TimePoint when) {
  orphans_due_ = std::min(when, orphans_due_.value_or(when));
}

// How many it has looked at.
std::size_t Reconciler::release_orphans_of(const std::string& ns, Orphanage& here, api::Now now,
                                           Effects& out) {
  std::vector<const api::Pod*> orphans;  // by name
  for (const PodPtr& pod : feeds_.pods_of_pool(orphan_index(ns))) orphans.push_back(pod.get());
  here.orphans.see(orphans, now.mono);
  if (const auto due = here.orphans.next_deadline(now.mono)) look_at_orphans_by(*due);
  const auto undecided = snapshots_.undecided_pools(ns);
  const std::size_t most = std::min(orphans.size(), kOrphansPerStep);
  here.next_look =
      now.mono + kOrphanInterval * static_cast<std::int64_t>(orphans.size() + most * undecided.size());
  auto next = std::upper_bound(orphans.begin(), orphans.end(), here.last,
                               [](const std::string& name, const api::Pod* pod) { return name < pod->name; });
  std::size_t looked = 0;
  for (; looked < most; ++looked) {
    // An answer makes room, and that is a step.
    if (writes_.orphans_in_flight(ns) >= kOrphansInFlight || !writes_.has_room(WriteLane::kDrain, now.mono))
      break;
    if (next == orphans.end()) next = orphans.begin();
    const api::Pod& pod = **next++;
    here.last = pod.name;
    if (!snapshots_.may_be_of(undecided, pod) && release(pod, here, now, out)) here.in_vain = 0;
  }
  here.in_vain += looked;
  if (most < orphans.size() && here.in_vain < orphans.size()) look_at_orphans_by(here.next_look);
  return std::max<std::size_t>(looked, 1);
}

// True if a write of it was sent.
bool Reconciler::release(const api::Pod& pod, const Orphanage& here, api::Now now, Effects& out) {
  const auto write = here.orphans.write_for(pod, now.mono);
  return write && send_release(pod, *write, now, out);
}

bool Reconciler::send_release(const api::Pod& pod, const api::PodLabelWrite& write, api::Now now,
                              Effects& out) {
  const WriteDispatcher::Result result = writes_.send({.purpose = PodLabelWrite{write, std::nullopt},
                                                       .lane = WriteLane::kDrain,
                                                       .object = {Written::kPod, {pod.ns, pod.name}},
                                                       .pool = {{pod.ns, ""}, ""},
                                                       .call = publish::pod_label(pod.ns, write),
                                                       .expect = Expect::kPod,
                                                       .content = content_hash(write)},
                                                      now.mono, out);
  if (result.until) look_at_orphans_by(*result.until);
  return result.sent();
}

}  // namespace poolwarden::control
