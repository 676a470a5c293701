#include "pool/endpoints.h"

#include "api/names.h"
#include "pool/drain.h"
#include "pool/membership.h"
#include "pool/placement.h"
#include "pool/withdrawal.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace poolwarden::pool {
namespace {

// Whether the member is on the list, be it as draining.
bool is_listed(const PodVerdict& member) {
  return (member.reason == Withdrawal::kNone || member.reason == Withdrawal::kDraining) &&
         !member.pod->ip.empty();
}

api::EndpointState state_of(const PodVerdict& member) {
  return member.reason == Withdrawal::kDraining ? api::EndpointState::kDraining : api::EndpointState::kReady;
}

const std::string& zone_of(const PodVerdict& member) {
  static const std::string kUnknown;
  return member.node != nullptr ? member.node->zone : kUnknown;
}

api::EndpointSet wanted_set(const Observation& seen) {
  api::EndpointSet out{.ns = seen.pool().ns, .pool = seen.pool().name, .revision = 0, .endpoints = {}};
  out.endpoints.reserve(seen.members.size());
  for (const PodVerdict& member : seen.members) {
    if (!is_listed(member)) continue;
    const api::Pod& pod = *member.pod;
    out.endpoints.push_back({.pod = pod.name,
                             .uid = pod.uid,
                             .ip = pod.ip,
                             .ports = api::ports_in_use(seen.pool().target_ports, api::active_ports_of(pod)),
                             .node = *pod.node,
                             .zone = zone_of(member),
                             .state = state_of(member),
                             .unready = member.in_panic});
  }
  api::sort_canonically(out);
  return out;
}

// Whose the ConfigMap is: nothing when it is this pool's.
struct Foreign {
  Publication state = Publication::kNameTaken;
  std::string holder;
};

std::optional<Foreign> foreign_owner(const api::InferencePool& pool, const api::ConfigMap& map) {
  if (is_owned_by(map, pool.uid)) return std::nullopt;
  if (map.owners.empty()) return Foreign{.state = Publication::kNameTaken, .holder = "nobody"};
  const api::OwnerReference& owner = map.owners.front();
  // Owned by a pool of the same name that is no more: the garbage collector is about to delete it, and would
  // take our list with it. https://kubernetes.io/docs/concepts/architecture/garbage-collection/
  const bool namesake = owner.kind == api::kPoolKind && owner.name == pool.name &&
                        std::string_view{owner.api_version}.starts_with(api::kGroup);
  return Foreign{.state = namesake ? Publication::kAwaitsCollection : Publication::kNameTaken,
                 .holder = fmt::format("{} {}", owner.kind, owner.name)};
}

bool says_of(const Observation& seen, const api::Endpoint& endpoint, const PodVerdict& member) {
  const std::vector<api::EndpointPort>& ports = seen.pool().target_ports;
  const api::Pod& pod = *member.pod;
  return endpoint.uid == pod.uid && endpoint.pod == pod.name && endpoint.state == state_of(member) &&
         endpoint.unready == member.in_panic && endpoint.ip == pod.ip && endpoint.node == *pod.node &&
         endpoint.zone == zone_of(member) &&
         (pod.active_ports ? endpoint.ports == api::ports_in_use(ports, *pod.active_ports)
                           : endpoint.ports == ports);
}

// The answer of nearly every pass, and so without building the list: the members are sorted by name, and so
// are the endpoints of each shard.
bool list_just_the_members(const Observation& seen, const std::vector<const api::EndpointSet*>& shards) {
  std::vector<std::pair<const api::Endpoint*, const api::Endpoint*>> left;  // of each: the next, and the end
  for (const api::EndpointSet* set : shards)
    left.emplace_back(set->endpoints.data(), set->endpoints.data() + set->endpoints.size());
  for (const PodVerdict& member : seen.members) {
    if (!is_listed(member)) continue;
    const auto next = std::find_if(left.begin(), left.end(), [&](const auto& shard) {
      return shard.first != shard.second && says_of(seen, *shard.first, member);
    });
    if (next == left.end()) return false;
    ++next->first;
  }
  return std::all_of(left.begin(), left.end(), [](const auto& shard) { return shard.first == shard.second; });
}

// The pod was as it is here before the list was made, and the list has it. Of its node we may know more.
bool is_outdated(const Observation& seen, const PodVerdict& verdict) {
  const bool node_is_well = verdict.node == nullptr || verdict.node->ready == api::Tristate::kTrue ||
                            seen.snapshot->unseen_nodes.has_value();
  return may_pass(verdict.reason) && node_is_well;
}

enum class MadeFrom : std::uint8_t { kThesePods, kNewerPods };

// What is to be said of a pod that was on the list. The snapshot has all of them that there are.
PodVerdict judge_listed(const Observation& seen, const api::Endpoint& endpoint,
                        MadeFrom list = MadeFrom::kThesePods) {
  const api::Pod* pod = seen.pod(endpoint.pod);
  const bool unknown = pod == nullptr || pod->uid != endpoint.uid;
  if (unknown && seen.snapshot->pods_behind) return {};  // not there yet, for all we know
  const api::LabelSelector* selector = seen.hold == Hold::kNone && seen.selector ? &*seen.selector : nullptr;
  PodVerdict verdict = judge_endpoint(unknown ? nullptr : pod, selector, seen.snapshot->node);
  if (seen.snapshot->unseen_nodes) trust_its_kubelet(verdict);
  if (list == MadeFrom::kNewerPods && is_outdated(seen, verdict)) return {};
  // On hold nobody knows how many others are ready.
  const bool in_panic = seen.hold != Hold::kNone && endpoint.unready;
  if (in_panic && verdict.reason == Withdrawal::kNotReady) return {};
  return verdict;
}

EndpointChange withdrawn(const Observation& seen, const api::Endpoint& endpoint) {
  PodVerdict verdict = judge_listed(seen, endpoint);
  if (const PodVerdict* member = seen.member(endpoint.pod, endpoint.uid); member != nullptr && verdict.fit)
    verdict = *member;
  if (verdict.reason == Withdrawal::kNone && seen.hold != Hold::kNone) {
    verdict.reason = Withdrawal::kDraining;
    verdict.detail = "another pool that selects it drains it";
  } else if (verdict.reason == Withdrawal::kNone) {
    verdict.reason = Withdrawal::kListFull;
    verdict.detail = "the list has grown too large for its ConfigMaps";
  }
  return {.pod = endpoint.pod,
          .uid = endpoint.uid,
          .ip = endpoint.ip,
          .reason = verdict.reason,
          .detail = std::move(verdict.detail),
          .again = false};
}

using Uids = std::unordered_set<std::string_view>;

void add_ready(const api::EndpointSet& set, Uids& uids) {
  for (const api::Endpoint& endpoint : set.endpoints) {
    if (endpoint.state == api::EndpointState::kReady) uids.insert(endpoint.uid);
  }
}

// Of one shard. Who has moved from or to another neither comes nor goes: `stays` are the UIDs of all ready
// endpoints that the list is to have.
std::vector<EndpointChange> changes_between(const Observation& seen, const api::EndpointSet& before,
                                            const api::EndpointSet& after, const Uids& stays) {
  std::vector<EndpointChange> out;
  Uids uids_before;
  Uids uids_after;
  add_ready(before, uids_before);
  add_ready(after, uids_after);
  // One that drained was withdrawn before: that it leaves the list is no news.
  for (const api::Endpoint& endpoint : before.endpoints) {
    if (uids_before.contains(endpoint.uid) && !stays.contains(endpoint.uid))
      out.push_back(withdrawn(seen, endpoint));
  }
  for (const api::Endpoint& endpoint : after.endpoints) {
    if (uids_before.contains(endpoint.uid) || !uids_after.contains(endpoint.uid)) continue;
    if (seen.snapshot->is_listed(endpoint.uid)) continue;
    out.push_back({.pod = endpoint.pod,
                   .uid = endpoint.uid,
                   .ip = endpoint.ip,
                   .reason = Withdrawal::kNone,
                   .detail = {},
                   .again = seen.snapshot->once_published->contains(endpoint.uid)});
  }
  return out;
}

EventNote undone(const api::InferencePool& pool, std::int32_t shard, const std::string& what) {
  return {
      .reason = std::string{api::event::kOverwriteUndone},
      .warning = true,
      .message = fmt::format("ConfigMap {}: {} by someone else; put back. Poolwarden keeps it, so change the "
                             "pool or its pods instead",
                             api::shard_name(pool.publish.config_map_name, shard), what)};
}

// A shard of the list as the cluster has it.
class Shard {
 public:
  enum class Owner : std::uint8_t { kPool, kAnother };

  Shard(const api::InferencePool& pool, const ListShard& seen, Owner owner) : seen_(&seen), owner_(owner) {
    if (seen.config_map != nullptr && seen.published == nullptr && owner == Owner::kPool)
      read_ = read_published(pool, *seen.config_map);
  }

  bool exists() const { return seen_->config_map != nullptr; }
  // It cannot be written. One in deletion can: a finalizer holds it, and readers go on reading it.
  // https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/
  bool locked() const { return owner_ == Owner::kAnother; }
  const api::ConfigMap& map() const { return *seen_->config_map; }
  const std::string& pods_version() const { return seen_->pods_version; }
  // Null where there is none, or it cannot be read.
  const api::EndpointSet* set() const { return document().set ? &*document().set : nullptr; }
  const std::vector<std::string>& edited() const { return document().edited; }
  bool intact() const { return set() != nullptr && edited().empty(); }
  std::int64_t revision() const {
    return exists() && owner_ == Owner::kPool ? revision_of(map(), document().set) : 0;
  }
  ShardBefore before() const { return {set(), seen_->remembered, locked()}; }

 private:
  const PublishedDocument& document() const {
    return seen_->published != nullptr && owner_ == Owner::kPool ? *seen_->published : read_;
  }

  const ListShard* seen_;
  Owner owner_;
  PublishedDocument read_;
};

// The list as the cluster has it.
struct List {
  std::vector<Shard> shards;  // those that are the pool's or are not there, and the first in any case
  std::optional<Foreign> first_taken;  // the first is another's
  std::optional<Foreign> taken;        // the one after them is another's
  std::int32_t remembered = 1;         // how many there were when the first could last be read

  const Shard* find(std::size_t shard) const {
    return shard < shards.size() && shards[shard].exists() ? &shards[shard] : nullptr;
  }
  std::int64_t revision() const {
    std::int64_t newest = 0;
    for (const Shard& shard : shards) newest = std::max(newest, shard.revision());
    return newest;
  }
  // How many the first says there are, or said before it was deleted or broken.
  std::size_t said() const {
    return static_cast<std::size_t>(says() ? shards.front().set()->shards : remembered);
  }
  bool says() const { return shards.front().set() != nullptr; }
  std::size_t counted() const { return std::min(said(), shards.size()); }
  std::vector<const api::EndpointSet*> sets() const {
    std::vector<const api::EndpointSet*> out;
    for (const Shard& shard : shards) out.push_back(shard.set());
    return out;
  }
  std::vector<ShardBefore> before() const {
    std::vector<ShardBefore> out;
    for (const Shard& shard : shards) out.push_back(shard.before());
    return out;
  }
};

// It has our labels and nobody owns it: `kubectl delete --cascade=orphan`, or a backup that was restored
// without its owner. As a foreign one it would stay as it is for ever.
bool has_lost_its_owner(const api::InferencePool& pool, const api::ConfigMap& map) {
  return map.owners.empty() && has_our_labels(pool, map);
}

List read_list(const Observation& seen) {
  List out;
  out.remembered = seen.snapshot->list_counted;
  for (const ListShard& shard : seen.snapshot->list) {
    const api::ConfigMap* map = shard.config_map;
    std::optional<Foreign> foreign;
    if (map != nullptr && !has_lost_its_owner(seen.pool(), *map)) foreign = foreign_owner(seen.pool(), *map);
    const auto owner = foreign ? Shard::Owner::kAnother : Shard::Owner::kPool;
    if (foreign && !out.shards.empty()) {
      out.taken = std::move(foreign);
      break;
    }
    if (foreign) out.first_taken = std::move(foreign);
    out.shards.emplace_back(seen.pool(), shard, owner);
  }
  return out;
}

std::int64_t first_new_revision(const Observation& seen, std::int64_t published) {
  return std::max({published, sane_revision(seen.pool().status.endpoints_revision),
                   sane_revision(seen.snapshot->last_revision)}) +
         1;
}

PublishEndpoints create_shard(const Observation& seen, bool was_there, api::EndpointSet wanted,
                              const Uids& stays) {
  PublishEndpoints publish;
  // It was there and someone deleted it: its endpoints did not change.
  publish.undo = was_there;
  if (was_there) {
    publish.event = undone(seen.pool(), wanted.shard, "it was deleted");
  } else {
    publish.changes = changes_between(seen, {}, wanted, stays);
  }
  publish.write = {.create = true,
                   .shared = false,
                   .resource_version = {},
                   .pods_version = seen.snapshot->pods_version,
                   .set = std::move(wanted)};
  return publish;
}

PublishEndpoints rewrite_shard(const Observation& seen, const Shard& before, api::EndpointSet wanted,
                               const Uids& stays) {
  PublishEndpoints publish;
  if (before.set() != nullptr) publish.changes = changes_between(seen, *before.set(), wanted, stays);
  publish.undo = !before.edited().empty();
  if (publish.undo) {
    publish.event =
        undone(seen.pool(), wanted.shard, fmt::format("{} changed", fmt::join(before.edited(), ", ")));
  }
  // What was taken out by older pods stays the list of the newer ones.
  publish.write = {.create = false,
                   .shared = before.map().shared,
                   .resource_version = before.map().resource_version,
                   .pods_version = before.pods_version(),
                   .set = std::move(wanted)};
  return publish;
}

bool withdraws_anybody(const PublishEndpoints& publish) {
  return std::any_of(publish.changes.begin(), publish.changes.end(),
                     [](const EndpointChange& change) { return change.reason != Withdrawal::kNone; });
}

// The writes' revisions, and what readers have once they are carried out. While they keep failing, readers
// still have what is there.
PublishedList after(const Observation& seen, std::int64_t published, PublishedList now, PublishedList then,
                    Plan& plan) {
  if (!plan.publish && plan.publish_shards.empty()) return then;
  std::int64_t next = first_new_revision(seen, published);
  then.revision = next;
  if (plan.publish) plan.publish->write.set.revision = next++;
  for (PublishEndpoints& publish : plan.publish_shards) then.revision = publish.write.set.revision = next++;
  if (seen.snapshot->config_map_error.empty()) return then;
  now.state = then.state;
  now.omitted = then.omitted;
  return now;
}

// A pool that cannot decide leaves that to another that has the same pods, and waits for none of its own.
bool is_drained_by_another(const Observation& seen, const api::Endpoint& endpoint) {
  if (seen.hold != Hold::kNoSelector && seen.hold != Hold::kInvalidSpec) return false;
  const api::Pod* pod = seen.pod(endpoint.pod);
  return endpoint.state == api::EndpointState::kReady && pod != nullptr && pod->uid == endpoint.uid &&
         drains(drain_state(*pod));
}

// What a shard of a pool on hold should say: nobody can join it, but whoever is seen to be unfit leaves it at
// once. Nothing: what it says already.
std::optional<api::EndpointSet> without_unfit(const Observation& seen, const Shard& shard) {
  const api::EndpointSet& before = *shard.set();
  const bool newer = seen.snapshot->pods_behind && shard.pods_version() != seen.snapshot->pods_version;
  const MadeFrom made_from = newer ? MadeFrom::kNewerPods : MadeFrom::kThesePods;
  api::EndpointSet remaining = before;
  std::erase_if(remaining.endpoints, [&](const api::Endpoint& endpoint) {
    return judge_listed(seen, endpoint, made_from).reason != Withdrawal::kNone;
  });
  bool same = remaining.endpoints.size() == before.endpoints.size();
  for (api::Endpoint& endpoint : remaining.endpoints) {
    if (!is_drained_by_another(seen, endpoint)) continue;
    endpoint.state = api::EndpointState::kDraining;
    same = false;
  }
  return same ? std::nullopt : std::optional{std::move(remaining)};
}

// To its place in the plan.
void add(PublishEndpoints publish, Plan& plan) {
  if (publish.write.set.shard == 1) {
    plan.publish = std::move(publish);
  } else {
    plan.publish_shards.push_back(std::move(publish));
  }
}

PublishedList withdraw_only(const Observation& seen, const List& list, PublishedList now, Plan& plan) {
  if (seen.hold == Hold::kCannotRead) return now;
  PublishedList then = now;
  then.ready = 0;
  for (std::size_t i = 0; i < list.shards.size(); ++i) {
    const Shard& shard = list.shards[i];
    if (shard.set() == nullptr) continue;
    auto remaining = shard.intact() ? without_unfit(seen, shard) : std::nullopt;
    if (i < list.counted()) then.ready += count_ready(remaining ? *remaining : *shard.set());
    if (!remaining) continue;
    Uids stays;
    add_ready(*remaining, stays);
    add(rewrite_shard(seen, shard, std::move(*remaining), stays), plan);
  }
  return after(seen, list.revision(), std::move(now), std::move(then), plan);
}

// Nothing is to be written, moved or counted.
bool is_current(const Observation& seen, const List& list) {
  const bool all_counted = list.said() == list.shards.size();
  return all_counted &&
         std::all_of(list.shards.begin(), list.shards.end(),
                     [](const Shard& shard) { return shard.intact(); }) &&
         list_just_the_members(seen, list.sets());
}

// What has to be written of a shard, if anything: then `wanted` is taken. `counted`: how many count so far.
std::optional<PublishEndpoints> due(const Observation& seen, const List& list, std::size_t counted,
                                    api::EndpointSet& wanted, const Uids& stays) {
  const std::size_t index = static_cast<std::size_t>(wanted.shard) - 1;
  const Shard* before = list.find(index);
  if (before == nullptr) {
    // Of the first a revision is known where it was there; of another, that it counted.
    const bool was_there = index == 0
                               ? seen.snapshot->last_revision > 0 || seen.pool().status.endpoints_revision > 0
                               : index < counted;
    if (index > 0 && !was_there && wanted.endpoints.empty()) return std::nullopt;
    return create_shard(seen, was_there, std::move(wanted), stays);
  }
  if (before->locked()) return std::nullopt;
  if (before->intact() && wanted.endpoints == before->set()->endpoints &&
      wanted.shards == before->set()->shards)
    return std::nullopt;
  if (before->set() == nullptr && says_exactly(seen.pool(), before->map(), wanted)) return std::nullopt;
  return rewrite_shard(seen, *before, std::move(wanted), stays);
}

// Whether the shard may count: no reader finds an old endpoint on it.
bool may_count(const Shard* shard, const std::optional<PublishEndpoints>& due) {
  return shard != nullptr && shard->intact() && (!due || !withdraws_anybody(*due));
}

// Everybody is placed; from that, what is to be written, and how many shards count.
PublishedList plan_writes(const Observation& seen, const List& list, Placement placed, Plan& plan) {
  keep_until_moved(list.before(), list.counted(), placed);
  PublishedList out;
  Uids stays;
  std::vector<std::size_t> ready;  // on this shard and on none before it
  for (const api::EndpointSet& set : placed.shards) {
    const std::size_t before = stays.size();
    add_ready(set, stays);
    ready.push_back(stays.size() - before);
  }
  std::size_t counted = list.counted();
  // Those at the end that are not there and that nobody needs: whoever wrote their number made it up.
  while (counted > 1 && list.find(counted - 1) == nullptr && placed.shards[counted - 1].endpoints.empty())
    --counted;
  bool may_count_soon = false;
  for (std::size_t i = 1; i < placed.shards.size(); ++i) {
    const Shard* there = list.find(i);
    auto publish = due(seen, list, counted, placed.shards[i], stays);
    if (i == counted && may_count(there, publish)) ++counted;
    if (publish && there != nullptr && i >= counted) may_count_soon = true;
    if (publish) add(*std::move(publish), plan);
  }
  api::EndpointSet& first = placed.shards.front();
  first.shards = static_cast<std::int32_t>(counted);
  // Readers keep what the first said while it is missing or broken. Nobody knows how many counted: it says so
  // again when those that are there can count, or readers would lose them for a moment.
  const bool has_to_wait = may_count_soon && !list.says();
  if (!has_to_wait) {
    if (auto publish = due(seen, list, counted, first, stays)) add(*std::move(publish), plan);
  }
  out.shards = static_cast<std::int32_t>(counted);
  for (std::size_t i = 0; i < counted; ++i) out.ready += static_cast<std::int32_t>(ready[i]);
  return out;
}

// A shard that is not the pool's to write, if one is wanted.
void report_obstacle(const List& list, std::int32_t omitted, PublishedList& out) {
  if (!list.taken || (omitted == 0 && list.said() <= list.shards.size())) return;
  out.state = list.taken->state;
  out.holder = list.taken->holder;
  out.shard = static_cast<std::int32_t>(list.shards.size()) + 1;
}

// 0: none.
std::int32_t first_in_deletion(const List& list) {
  for (std::size_t i = 0; i < list.shards.size(); ++i) {
    if (list.shards[i].exists() && list.shards[i].map().deleting) return static_cast<std::int32_t>(i) + 1;
  }
  return 0;
}

// Readers follow the others also while the first cannot be written. No shard is added: none would count.
void write_others(const Observation& seen, const List& list, const PublishedList& now, Plan& plan) {
  if (list.shards.size() == 1) return;
  if (seen.hold != Hold::kNone) {
    withdraw_only(seen, list, now, plan);
    return;
  }
  ListLimits limits = seen.snapshot->list_limits;
  limits.shards = static_cast<std::int32_t>(list.shards.size());
  const PublishedList then = plan_writes(seen, list, place(wanted_set(seen), list.before(), limits), plan);
  after(seen, list.revision(), now, then, plan);
}

PublishedList as_it_is(const Observation& seen, const List& list) {
  PublishedList now;
  now.revision = sane_revision(seen.pool().status.endpoints_revision);
  if (list.first_taken) now.holder = list.first_taken->holder;
  if (list.first_taken || !list.shards.front().exists()) return now;
  now.revision = list.revision();
  now.shards = static_cast<std::int32_t>(list.counted());
  now.in_deletion = first_in_deletion(list);
  for (std::size_t i = 0; i < list.counted(); ++i) {
    if (list.shards[i].set() != nullptr) now.ready += count_ready(*list.shards[i].set());
  }
  return now;
}

}  // namespace

PublishedList publish_endpoints(const Observation& seen, Plan& plan) {
  const Snapshot& snapshot = *seen.snapshot;
  const bool held = seen.hold != Hold::kNone;
  const List list = read_list(seen);
  const Shard& first = list.shards.front();
  PublishedList now = as_it_is(seen, list);
  if (first.locked()) {
    write_others(seen, list, now, plan);
    now.state = held ? Publication::kHeld : list.first_taken->state;
    return now;
  }
  if (held) return withdraw_only(seen, list, std::move(now), plan);
  if (is_current(seen, list)) {
    now.state = Publication::kCurrent;
    return now;
  }
  ListLimits limits = snapshot.list_limits;
  const auto there = static_cast<std::int32_t>(list.shards.size());
  limits.shards = list.taken ? there : std::max(limits.shards, there);
  Placement placed = place(wanted_set(seen), list.before(), limits);
  const std::int32_t omitted = placed.omitted;
  PublishedList then = plan_writes(seen, list, std::move(placed), plan);
  then.revision = now.revision;
  then.omitted = omitted;
  then.in_deletion = now.in_deletion;
  const bool writes = plan.publish || !plan.publish_shards.empty();
  then.state = writes ? Publication::kDue : Publication::kCurrent;
  report_obstacle(list, omitted, then);
  PublishedList out = after(seen, list.revision(), now, then, plan);
  out.holder = then.holder;
  out.shard = then.shard;
  return out;
}

}  // namespace poolwarden::pool
