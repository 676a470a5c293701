#include "pool/endpoints.h"

#include "api/names.h"
#include "pool/drain.h"
#include "pool/membership.h"
#include "pool/withdrawal.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace poolwarden::pool {
namespace {

// A ConfigMap's values may have 1 MiB together; some is left for the revision to grow.
// https://kubernetes.io/docs/concepts/configuration/configmap/
constexpr std::size_t kMaxListBytes = std::size_t{1024} * 1024 - 1024;
// As few always fit, with every name as long as it may be, so their size need not be measured.
constexpr std::size_t kAlwaysFit = 400;

// Whole in every JSON reader (2^53). Someone who edits the revision beyond it must not exhaust the numbers.
constexpr std::int64_t kMaxRevision = std::int64_t{1} << 53;

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
                             .ports = seen.pool().target_ports,
                             .node = *pod.node,
                             .zone = zone_of(member),
                             .state = state_of(member)});
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
  for (const api::OwnerReference& owner : map.owners) {
    if (owner.uid == pool.uid) return std::nullopt;
  }
  if (map.owners.empty()) return Foreign{.state = Publication::kNameTaken, .holder = "nobody"};
  const api::OwnerReference& owner = map.owners.front();
  // Owned by a pool of the same name that is no more: the garbage collector is about to delete it, and would
  // take our list with it. https://kubernetes.io/docs/concepts/architecture/garbage-collection/
  const bool namesake = owner.kind == api::kPoolKind && owner.name == pool.name &&
                        std::string_view{owner.api_version}.starts_with(api::kGroup);
  return Foreign{.state = namesake ? Publication::kAwaitsCollection : Publication::kNameTaken,
                 .holder = fmt::format("{} {}", owner.kind, owner.name)};
}

bool has_our_labels(const api::InferencePool& pool, const api::ConfigMap& map) {
  const auto is = [&](std::string_view key, std::string_view value) {
    const auto found = map.labels.find(key);
    return found != map.labels.end() && found->second == value;
  };
  return is(api::kPoolLabel, pool.name) && is(api::kManagedByLabel, api::kManagedByValue);
}

bool has_our_owner(const api::InferencePool& pool, const api::ConfigMap& map) {
  return std::any_of(map.owners.begin(), map.owners.end(), [&](const api::OwnerReference& owner) {
    return owner.uid == pool.uid && owner.controller && owner.kind == api::kPoolKind &&
           owner.name == pool.name;
  });
}

std::int64_t annotated_revision(const api::ConfigMap& map) {
  std::int64_t out = 0;
  const auto& text = map.revision;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size() ? sane_revision(out) : 0;
}

std::int64_t revision_of(const api::ConfigMap& map, const std::optional<api::EndpointSet>& set) {
  return std::max(annotated_revision(map), set ? sane_revision(set->revision) : 0);
}

// The answer of nearly every pass, and so without building the list: the members and the endpoints are both
// sorted by name.
bool lists_just_the_members(const Observation& seen, const api::EndpointSet& set) {
  auto at = set.endpoints.begin();
  for (const PodVerdict& member : seen.members) {
    if (!is_listed(member)) continue;
    if (at == set.endpoints.end()) return false;
    const api::Endpoint& endpoint = *at++;
    const api::Pod& pod = *member.pod;
    if (endpoint.uid != pod.uid || endpoint.pod != pod.name || endpoint.state != state_of(member) ||
        endpoint.ip != pod.ip || endpoint.node != *pod.node || endpoint.zone != zone_of(member) ||
        endpoint.ports != seen.pool().target_ports)
      return false;
  }
  return at == set.endpoints.end();
}

// Of a document that our own reader would refuse: compared as bytes, so that it is not written over and over.
bool says(const api::InferencePool& pool, const api::ConfigMap& map, api::EndpointSet& wanted) {
  wanted.revision = annotated_revision(map);
  return has_our_labels(pool, map) && has_our_owner(pool, map) &&
         std::to_string(wanted.revision) == map.revision &&
         api::to_canonical_json(wanted) == map.endpoints_json && api::to_text(wanted) == map.endpoints_text;
}

// Leaves out what a ConfigMap cannot hold: a list that cannot be written would keep naming pods that are
// gone. Who is on the list already goes first, so that it does not change without need. How many were left
// out.
std::int32_t cut_to_size(api::EndpointSet& wanted, const std::optional<api::EndpointSet>& before) {
  if (wanted.endpoints.size() <= kAlwaysFit) return 0;
  std::size_t used =
      api::published_bytes({.ns = wanted.ns, .pool = wanted.pool, .revision = 0, .endpoints = {}});
  std::vector<std::size_t> sizes;
  sizes.reserve(wanted.endpoints.size());
  for (const api::Endpoint& endpoint : wanted.endpoints) sizes.push_back(api::published_bytes(endpoint));
  if (std::accumulate(sizes.begin(), sizes.end(), used) <= kMaxListBytes) return 0;

  std::set<std::string_view> listed;
  if (before) {
    for (const api::Endpoint& endpoint : before->endpoints) listed.insert(endpoint.uid);
  }
  std::vector<bool> fits(wanted.endpoints.size(), false);
  for (const bool listed_already : {true, false}) {
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      if (listed.contains(wanted.endpoints[i].uid) != listed_already) continue;
      fits[i] = used + sizes[i] <= kMaxListBytes;
      if (fits[i]) used += sizes[i];
    }
  }
  std::vector<api::Endpoint> kept;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (fits[i]) kept.push_back(std::move(wanted.endpoints[i]));
  }
  const auto omitted = static_cast<std::int32_t>(sizes.size() - kept.size());
  wanted.endpoints = std::move(kept);
  return omitted;
}

// What is to be said of a pod that was on the list. The snapshot has all of them that there are.
PodVerdict judge_listed(const Observation& seen, const api::Endpoint& endpoint) {
  const api::Pod* pod = seen.pod(endpoint.pod);
  const bool unknown = pod == nullptr || pod->uid != endpoint.uid;
  if (unknown && seen.snapshot->pods_behind) return {};  // not there yet, for all we know
  return judge_endpoint(unknown ? nullptr : pod, seen.hold == Hold::kNone ? seen.selector : nullptr,
                        seen.snapshot->node);
}

EndpointChange withdrawn(const Observation& seen, const api::Endpoint& endpoint) {
  PodVerdict verdict = judge_listed(seen, endpoint);
  if (const PodVerdict* member = seen.member(endpoint.uid); member != nullptr && verdict.fit)
    verdict = *member;
  if (verdict.reason == Withdrawal::kNone && seen.hold != Hold::kNone) {
    verdict.reason = Withdrawal::kDraining;
    verdict.detail = "another pool that selects it drains it";
  } else if (verdict.reason == Withdrawal::kNone) {
    verdict.reason = Withdrawal::kListFull;
    verdict.detail = "the list has grown too large for a ConfigMap";
  }
  return {.pod = endpoint.pod,
          .uid = endpoint.uid,
          .ip = endpoint.ip,
          .reason = verdict.reason,
          .detail = std::move(verdict.detail),
          .again = false};
}

std::vector<EndpointChange> changes_between(const Observation& seen, const api::EndpointSet& before,
                                            const api::EndpointSet& after) {
  std::vector<EndpointChange> out;
  const auto ready = [](const api::EndpointSet& set) {
    std::set<std::string_view> uids;
    for (const api::Endpoint& endpoint : set.endpoints) {
      if (endpoint.state == api::EndpointState::kReady) uids.insert(endpoint.uid);
    }
    return uids;
  };
  const auto uids_before = ready(before);
  const auto uids_after = ready(after);
  // One that drained was withdrawn before: that it leaves the list is no news.
  for (const api::Endpoint& endpoint : before.endpoints) {
    if (uids_before.contains(endpoint.uid) && !uids_after.contains(endpoint.uid))
      out.push_back(withdrawn(seen, endpoint));
  }
  for (const api::Endpoint& endpoint : after.endpoints) {
    if (uids_before.contains(endpoint.uid) || !uids_after.contains(endpoint.uid)) continue;
    out.push_back({.pod = endpoint.pod,
                   .uid = endpoint.uid,
                   .ip = endpoint.ip,
                   .reason = Withdrawal::kNone,
                   .detail = {},
                   .again = seen.snapshot->once_published->contains(endpoint.uid)});
  }
  return out;
}

EventNote undone(const api::InferencePool& pool, const std::string& what) {
  return {
      .reason = std::string{api::event::kOverwriteUndone},
      .warning = true,
      .message = fmt::format("ConfigMap {}: {} by someone else; put back. Poolwarden keeps it, so change the "
                             "pool or its pods instead",
                             pool.publish.config_map_name, what)};
}

std::int32_t count_ready(const api::EndpointSet& set) {
  return static_cast<std::int32_t>(std::count_if(
      set.endpoints.begin(), set.endpoints.end(),
      [](const api::Endpoint& endpoint) { return endpoint.state == api::EndpointState::kReady; }));
}

std::int64_t next_revision(const Observation& seen, std::int64_t published) {
  return std::max({published, sane_revision(seen.pool().status.endpoints_revision),
                   sane_revision(seen.snapshot->last_revision)}) +
         1;
}

void create_list(const Observation& seen, api::EndpointSet wanted, Plan& plan) {
  const Snapshot& snapshot = *seen.snapshot;
  PublishEndpoints publish;
  // A revision without a ConfigMap: it was there and someone deleted it. Its endpoints did not change.
  publish.undo = snapshot.last_revision > 0 || seen.pool().status.endpoints_revision > 0;
  if (publish.undo) {
    publish.event = undone(seen.pool(), "it was deleted");
  } else {
    publish.changes = changes_between(seen, {}, wanted);
  }
  wanted.revision = next_revision(seen, 0);
  publish.write = {.create = true,
                   .shared = false,
                   .resource_version = {},
                   .pods_version = snapshot.pods_version,
                   .set = std::move(wanted)};
  plan.publish = std::move(publish);
}

void patch_list(const Observation& seen, const PublishedDocument& before, api::EndpointSet wanted,
                Plan& plan) {
  PublishEndpoints publish;
  const api::ConfigMap& map = *seen.snapshot->config_map;
  if (before.set) publish.changes = changes_between(seen, *before.set, wanted);
  publish.undo = !before.edited.empty();
  if (publish.undo) {
    publish.event = undone(seen.pool(), fmt::format("{} changed", fmt::join(before.edited, ", ")));
  }
  wanted.revision = next_revision(seen, revision_of(map, before.set));
  // What was taken out by older pods stays the list of the newer ones.
  publish.write = {
      .create = false,
      .shared = map.shared,
      .resource_version = map.resource_version,
      .pods_version = seen.snapshot->pods_behind ? map.pods_version : seen.snapshot->pods_version,
      .set = std::move(wanted)};
  plan.publish = std::move(publish);
}

// While the write keeps failing, readers still have what is there.
PublishedList after(const Observation& seen, PublishedList now, const Plan& plan) {
  if (!seen.snapshot->config_map_error.empty()) return now;
  now.revision = plan.publish->write.set.revision;
  now.ready = count_ready(plan.publish->write.set);
  return now;
}

// A pool that cannot decide leaves that to another that has the same pods, and waits for none of its own.
bool is_drained_by_another(const Observation& seen, const api::Endpoint& endpoint) {
  if (seen.hold != Hold::kNoSelector && seen.hold != Hold::kInvalidSpec) return false;
  const api::Pod* pod = seen.pod(endpoint.pod);
  return endpoint.state == api::EndpointState::kReady && pod != nullptr && pod->uid == endpoint.uid &&
         drains(drain_state(pod->serving, pod->drain_marks()));
}

// The list of a pool on hold: nobody can join it, but whoever is seen to be unfit leaves it at once.
PublishedList withdraw_only(const Observation& seen, const PublishedDocument& before, PublishedList out,
                            Plan& plan) {
  if (seen.hold == Hold::kBlind || !before.set || !before.edited.empty()) return out;
  api::EndpointSet remaining = *before.set;
  std::erase_if(remaining.endpoints, [&](const api::Endpoint& endpoint) {
    return judge_listed(seen, endpoint).reason != Withdrawal::kNone;
  });
  bool same = remaining.endpoints.size() == before.set->endpoints.size();
  for (api::Endpoint& endpoint : remaining.endpoints) {
    if (!is_drained_by_another(seen, endpoint)) continue;
    endpoint.state = api::EndpointState::kDraining;
    same = false;
  }
  if (same) return out;
  patch_list(seen, before, std::move(remaining), plan);
  return after(seen, std::move(out), plan);
}

// The list as it is says all that it should.
PublishedList current(const api::EndpointSet& set, std::int32_t omitted) {
  return {.state = Publication::kCurrent,
          .revision = set.revision,
          .ready = count_ready(set),
          .omitted = omitted,
          .holder = {}};
}

}  // namespace

std::int64_t sane_revision(std::int64_t revision) {
  return revision < 0 || revision >= kMaxRevision ? 0 : revision;
}

// Everything we write can be worked out again from the document, so an edit by someone else shows as a
// difference without remembering what we wrote.
PublishedDocument read_published(const api::InferencePool& pool, const api::ConfigMap& map) {
  PublishedDocument out;
  out.set = api::parse_endpoint_set(map.endpoints_json, nullptr);
  const bool intact = out.set && out.set->ns == pool.ns && out.set->pool == pool.name &&
                      out.set->revision == sane_revision(out.set->revision) &&
                      api::to_canonical_json(*out.set) == map.endpoints_json;
  if (!intact) out.edited.push_back(fmt::format("data[{}]", api::kEndpointsJsonKey));
  if (intact && api::to_text(*out.set) != map.endpoints_text)
    out.edited.push_back(fmt::format("data[{}]", api::kEndpointsTextKey));
  if (intact && std::to_string(out.set->revision) != map.revision)
    out.edited.push_back(fmt::format("annotation {}", api::kRevisionAnnotation));
  if (!has_our_labels(pool, map)) out.edited.push_back("labels");
  if (!has_our_owner(pool, map)) out.edited.push_back("ownerReferences");
  return out;
}

PublishedList publish_endpoints(const Observation& seen, Plan& plan) {
  const Snapshot& snapshot = *seen.snapshot;
  const api::InferencePool& pool = seen.pool();
  const api::ConfigMap* map = snapshot.config_map;
  const bool held = seen.hold != Hold::kNone;

  PublishedList out;
  out.revision = sane_revision(pool.status.endpoints_revision);
  if (map == nullptr) {
    if (held) return out;
    api::EndpointSet wanted = wanted_set(seen);
    out.omitted = cut_to_size(wanted, std::nullopt);
    out.state = Publication::kDue;
    create_list(seen, std::move(wanted), plan);
    return after(seen, std::move(out), plan);
  }
  if (auto foreign = foreign_owner(pool, *map)) {
    out.state = held ? Publication::kHeld : foreign->state;
    out.holder = std::move(foreign->holder);
    return out;
  }
  std::optional<PublishedDocument> read;
  const PublishedDocument& before =
      snapshot.published != nullptr ? *snapshot.published : read.emplace(read_published(pool, *map));
  out.revision = revision_of(*map, before.set);
  out.ready = before.set ? count_ready(*before.set) : 0;
  if (map->deleting) {
    out.state = held ? Publication::kHeld : Publication::kAwaitsCollection;
    return out;
  }
  if (held) return withdraw_only(seen, before, std::move(out), plan);

  const bool intact = before.set && before.edited.empty();
  if (intact && lists_just_the_members(seen, *before.set)) return current(*before.set, 0);
  api::EndpointSet wanted = wanted_set(seen);
  out.omitted = cut_to_size(wanted, before.set);
  if (intact && out.omitted > 0 && wanted.endpoints == before.set->endpoints)
    return current(*before.set, out.omitted);
  if (!before.set && says(pool, *map, wanted)) return current(wanted, out.omitted);
  out.state = Publication::kDue;
  patch_list(seen, before, std::move(wanted), plan);
  return after(seen, std::move(out), plan);
}

}  // namespace poolwarden::pool
