#include "pool/endpoints.h"

#include "api/names.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace poolwarden::pool {
namespace {

// Whole in every JSON reader (2^53). Someone who edits the revision beyond it must not exhaust the numbers.
constexpr std::int64_t kMaxRevision = std::int64_t{1} << 53;

std::int64_t sane(std::int64_t revision) {
  return revision < 0 || revision >= kMaxRevision ? 0 : revision;
}

api::EndpointSet wanted_set(const Observation& seen) {
  api::EndpointSet out{.ns = seen.pool().ns, .pool = seen.pool().name, .revision = 0, .endpoints = {}};
  for (const PodVerdict& member : seen.members) {
    if (member.reason != Withdrawal::kNone) continue;
    const api::Pod& pod = *member.pod;
    const api::Node* node = seen.snapshot->node ? seen.snapshot->node(*pod.node) : nullptr;
    out.endpoints.push_back({.pod = pod.name,
                             .uid = pod.uid,
                             .ip = pod.ips.front(),
                             .ports = seen.pool().target_ports,
                             .node = *pod.node,
                             .zone = node != nullptr ? node->zone : std::string{},
                             .state = api::EndpointState::kReady});
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

// The list as readers have it now, and what in the ConfigMap is not as we write it.
struct Published {
  std::optional<api::EndpointSet> set;
  std::vector<std::string> edited;
};

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

// Everything we write can be worked out again from the document, so an edit by someone else shows as a
// difference without remembering what we wrote.
Published read_published(const api::InferencePool& pool, const api::ConfigMap& map) {
  Published out;
  out.set = api::parse_endpoint_set(map.endpoints_json, nullptr);
  const bool intact = out.set && out.set->ns == pool.ns && out.set->pool == pool.name &&
                      out.set->revision == sane(out.set->revision) &&
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

std::int64_t annotated_revision(const api::ConfigMap& map) {
  std::int64_t out = 0;
  const auto& text = map.revision;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size() ? sane(out) : 0;
}

std::int64_t revision_of(const api::ConfigMap& map, const std::optional<api::EndpointSet>& set) {
  return std::max(annotated_revision(map), set ? sane(set->revision) : 0);
}

// The answer of nearly every pass, and so by comparing bytes: nothing is parsed. It also means that a list
// which our own reader would refuse is not written over and over.
bool says(const api::InferencePool& pool, const api::ConfigMap& map, api::EndpointSet& wanted) {
  wanted.revision = annotated_revision(map);
  return has_our_labels(pool, map) && has_our_owner(pool, map) &&
         std::to_string(wanted.revision) == map.revision &&
         api::to_canonical_json(wanted) == map.endpoints_json && api::to_text(wanted) == map.endpoints_text;
}

EndpointChange withdrawn(const Observation& seen, const api::Endpoint& endpoint) {
  EndpointChange out{.pod = endpoint.pod,
                     .uid = endpoint.uid,
                     .ip = endpoint.ip,
                     .reason = Withdrawal::kDeleted,
                     .detail = "it is no longer there",
                     .again = false};
  for (const PodVerdict& member : seen.members) {
    if (member.pod->uid != endpoint.uid) continue;
    out.reason = member.reason;
    out.detail = member.detail;
  }
  for (const api::Pod* pod : seen.strays) {
    if (pod->uid != endpoint.uid) continue;
    out.reason = Withdrawal::kRelabelled;
    out.detail = "its labels no longer match the pool's selector";
  }
  return out;
}

std::vector<EndpointChange> changes_between(const Observation& seen, const api::EndpointSet& before,
                                            const api::EndpointSet& after) {
  std::vector<EndpointChange> out;
  const auto has = [](const api::EndpointSet& set) {
    std::set<std::string_view> uids;
    for (const api::Endpoint& endpoint : set.endpoints) uids.insert(endpoint.uid);
    return uids;
  };
  const auto uids_before = has(before);
  const auto uids_after = has(after);
  for (const api::Endpoint& endpoint : before.endpoints) {
    if (!uids_after.contains(endpoint.uid)) out.push_back(withdrawn(seen, endpoint));
  }
  for (const api::Endpoint& endpoint : after.endpoints) {
    if (uids_before.contains(endpoint.uid)) continue;
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

std::int32_t count_ready(const std::optional<api::EndpointSet>& set) {
  if (!set) return 0;
  return static_cast<std::int32_t>(std::count_if(
      set->endpoints.begin(), set->endpoints.end(),
      [](const api::Endpoint& endpoint) { return endpoint.state == api::EndpointState::kReady; }));
}

std::int64_t next_revision(const Observation& seen, std::int64_t published) {
  return std::max(
             {published, sane(seen.pool().status.endpoints_revision), sane(seen.snapshot->last_revision)}) +
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
  publish.write = {.create = true, .resource_version = {}, .set = std::move(wanted)};
  plan.publish = std::move(publish);
}

void patch_list(const Observation& seen, const Published& before, api::EndpointSet wanted, Plan& plan) {
  PublishEndpoints publish;
  const api::ConfigMap& map = *seen.snapshot->config_map;
  if (before.set) publish.changes = changes_between(seen, *before.set, wanted);
  publish.undo = !before.edited.empty();
  if (publish.undo) {
    publish.event = undone(seen.pool(), fmt::format("{} changed", fmt::join(before.edited, ", ")));
  }
  wanted.revision = next_revision(seen, revision_of(map, before.set));
  publish.write = {.create = false, .resource_version = map.resource_version, .set = std::move(wanted)};
  plan.publish = std::move(publish);
}

// While the write keeps failing, readers still have what is there.
PublishedList due(const Observation& seen, PublishedList now, const Plan& plan) {
  now.state = Publication::kDue;
  if (!seen.snapshot->config_map_error.empty()) return now;
  now.revision = plan.publish->write.set.revision;
  now.ready = seen.endpoints();
  return now;
}

}  // namespace

PublishedList publish_endpoints(const Observation& seen, Plan& plan) {
  const Snapshot& snapshot = *seen.snapshot;
  const api::InferencePool& pool = seen.pool();
  const api::ConfigMap* map = snapshot.config_map;
  const bool held = seen.hold != Hold::kNone;

  PublishedList out;
  out.revision = sane(pool.status.endpoints_revision);
  if (map == nullptr) {
    if (held) return out;
    create_list(seen, wanted_set(seen), plan);
    return due(seen, out, plan);
  }
  if (auto foreign = foreign_owner(pool, *map)) {
    out.state = held ? Publication::kHeld : foreign->state;
    out.holder = std::move(foreign->holder);
    return out;
  }
  api::EndpointSet wanted = wanted_set(seen);
  if (!held && !map->deleting && says(pool, *map, wanted)) {
    return {
        .state = Publication::kCurrent, .revision = wanted.revision, .ready = seen.endpoints(), .holder = {}};
  }
  const Published before = read_published(pool, *map);
  out.revision = revision_of(*map, before.set);
  out.ready = count_ready(before.set);
  if (held) return out;
  if (map->deleting) {
    out.state = Publication::kAwaitsCollection;
    return out;
  }
  patch_list(seen, before, std::move(wanted), plan);
  return due(seen, out, plan);
}

}  // namespace poolwarden::pool
