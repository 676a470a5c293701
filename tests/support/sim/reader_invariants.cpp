#include "support/sim/reader_invariants.h"

#include "kube/resource.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::sim {
namespace {

using nlohmann::json;

constexpr std::int32_t kMostShards = 100;

}  // namespace

ReaderInvariants::State ReaderInvariants::look_at(std::int32_t shard) const {
  State out;
  const ListReader::Options& of = reader_.options();
  const std::string name = shard == 1 ? of.config_map : fmt::format("{}-{}", of.config_map, shard);
  const auto map = model_.find(kube::kConfigMaps, of.ns, name);
  if (!map) return out;
  const json& body = map->body();
  // The watch of the others goes by their labels.
  const bool labelled = body.value("/metadata/labels/poolwarden.io~1pool"_json_pointer, "") == of.pool &&
                        !body.value("/metadata/labels/poolwarden.io~1shard"_json_pointer, "").empty();
  if (shard != 1 && !labelled) return out;
  out.there = true;
  out.version = std::stoull(body.value("/metadata/resourceVersion"_json_pointer, ""));
  const json document = json::parse(body.value("/data/endpoints.json"_json_pointer, ""), nullptr, false);
  if (!document.is_object() || !document.contains("endpoints")) return out;
  ShardDocument& read = out.document.emplace();
  read.shards = document.value("shards", 1);
  for (const json& endpoint : document.at("endpoints")) {
    if (endpoint.value("state", "") == "ready")
      read.pods.emplace(endpoint.value("uid", ""), endpoint.value("pod", ""));
  }
  return out;
}

void ReaderInvariants::look_at_shards() {
  std::int32_t shards = 1;
  Pods published;
  for (std::int32_t shard = 1; shard <= kMostShards; ++shard) {
    State now = look_at(shard);
    if (!now.there && shard > shards && !history_.contains(shard)) break;
    if (shard == 1 && now.document) shards = now.document->shards;
    if (now.document) history_[shard].insert_or_assign(now.version, *std::move(now.document));
    const auto last = history_.find(shard);
    if (shard > shards || last == history_.end()) continue;
    const Pods& pods = last->second.rbegin()->second.pods;
    published.insert(pods.begin(), pods.end());
  }
  std::erase_if(published_since_, [&](const auto& one) { return !published.contains(one.first); });
  for (const auto& [uid, name] : published) published_since_.try_emplace(uid, model_.revision());
}

const ShardDocument* ReaderInvariants::as_told(std::int32_t shard) const {
  const auto history = history_.find(shard);
  if (history == history_.end()) return nullptr;
  const auto after = history->second.upper_bound(reader_.told(shard));
  return after == history->second.begin() ? nullptr : &std::prev(after)->second;
}

ReaderInvariants::Pods ReaderInvariants::all_as_told() const {
  Pods out;
  const ShardDocument* first = as_told(1);
  for (std::int32_t shard = 1; first != nullptr && shard <= first->shards; ++shard) {
    if (const ShardDocument* document = as_told(shard))
      out.insert(document->pods.begin(), document->pods.end());
  }
  return out;
}

void ReaderInvariants::reader_turned() {
  if (std::exchange(starts_, reader_.starts()) != reader_.starts()) {
    before_.clear();
    told_before_ = 0;
  }
  Pods now;
  if (reader_.list()) {
    for (const api::Endpoint& endpoint : reader_.list()->endpoints) {
      if (endpoint.state == api::EndpointState::kReady) now.emplace(endpoint.uid, endpoint.pod);
    }
  }
  const Pods told = all_as_told();
  for (const auto& [uid, name] : now) {
    if (!told.contains(uid)) violate(name, "the reader has it, and no shard that counts does");
  }
  if (now != before_) {
    if (as_told(1) != nullptr && as_told(1)->shards > 1) ++changes_;
    for (const auto& [uid, name] : before_) {
      if (now.contains(uid)) continue;
      const auto since = published_since_.find(uid);
      if (told.contains(uid)) {
        violate(name, "the reader lost it, and a shard that counts has it");
      } else if (since != published_since_.end() && since->second <= told_before_) {
        violate(name, "the reader lost it, and it was published all the time");
      }
    }
    before_ = std::move(now);
  }
  told_before_ = std::min(reader_.told(1), reader_.told(2));
}

std::multiset<std::string> ReaderInvariants::pods() const {
  std::multiset<std::string> out;
  if (!reader_.list()) return out;
  for (const api::Endpoint& endpoint : reader_.list()->endpoints) {
    if (endpoint.state == api::EndpointState::kReady) out.insert(endpoint.pod);
  }
  return out;
}

void ReaderInvariants::violate(const std::string& pod, std::string_view what) {
  violations_.push_back(fmt::format("{} {}: {}", api::to_rfc3339(time_.now().wall), pod, what));
}

}  // namespace poolwarden::sim
