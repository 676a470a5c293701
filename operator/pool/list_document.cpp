#include "pool/list_document.h"

#include "api/names.h"

#include <algorithm>
#include <charconv>
#include <string>

#include <fmt/format.h>

namespace poolwarden::pool {
namespace {

// Whole in every JSON reader (2^53). Someone who edits the revision beyond it must not exhaust the numbers.
constexpr std::int64_t kMaxRevision = std::int64_t{1} << 53;

// 1 where it does not say so.
std::int32_t shard_of(const api::InferencePool& pool, const api::ConfigMap& map) {
  return api::shard_number(pool.publish.config_map_name, map.name).value_or(1);
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

}  // namespace

bool has_our_labels(const api::InferencePool& pool, const api::ConfigMap& map) {
  const auto is = [&](std::string_view key, std::string_view value) {
    const auto found = map.labels.find(key);
    return found != map.labels.end() && found->second == value;
  };
  const std::int32_t shard = shard_of(pool, map);
  return is(api::kPoolLabel, pool.name) && is(api::kManagedByLabel, api::kManagedByValue) &&
         (shard == 1 || is(api::kShardLabel, std::to_string(shard)));
}

std::int64_t revision_of(const api::ConfigMap& map, const std::optional<api::EndpointSet>& set) {
  return std::max(annotated_revision(map), set ? sane_revision(set->revision) : 0);
}

bool says_exactly(const api::InferencePool& pool, const api::ConfigMap& map, api::EndpointSet& wanted) {
  wanted.revision = annotated_revision(map);
  return has_our_labels(pool, map) && has_our_owner(pool, map) &&
         std::to_string(wanted.revision) == map.revision &&
         api::to_canonical_json(wanted) == map.endpoints_json && api::to_text(wanted) == map.endpoints_text;
}

bool is_owned_by(const api::ConfigMap& map, std::string_view pool_uid) {
  return std::any_of(map.owners.begin(), map.owners.end(),
                     [&](const api::OwnerReference& owner) { return owner.uid == pool_uid; });
}

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
                      out.set->shard == shard_of(pool, map) &&
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

}  // namespace poolwarden::pool
