// The published list, as a value, and its canonical JSON: the document every consumer reads.
//
// Canonical: keys sorted, endpoints sorted by (pod, uid), ports as in the pool, no white space, one trailing
// newline. The same set always gives the same bytes, so "has it changed" is a comparison of strings.
//
// A large list is published in shards, each a set of its own: the first says how many there are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::api {

// Of one list. For readers: no document makes them look for more.
inline constexpr std::int32_t kMaxShards = 100;

enum class EndpointState : std::uint8_t { kReady, kDraining };

struct EndpointPort {
  std::int32_t number = 0;
  std::string name;  // may be empty

  bool operator==(const EndpointPort&) const = default;
};

struct Endpoint {
  std::string pod;
  std::string uid;
  std::string ip;
  std::vector<EndpointPort> ports;
  std::string node;
  std::string zone;  // left out of the document when empty
  EndpointState state = EndpointState::kReady;
  // It is on the list all the same, as too few are ready. Left out of the document when false.
  bool unready = false;

  bool operator==(const Endpoint&) const = default;
};

struct EndpointSet {
  std::string ns;
  std::string pool;
  std::int64_t revision = 0;
  std::vector<Endpoint> endpoints;
  std::int32_t shard = 1;   // which one this is; left out of the document of the first
  std::int32_t shards = 1;  // how many the list has; in the first, and left out when it is the only one

  bool operator==(const EndpointSet&) const = default;
};

// The name of a shard's ConfigMap: that of the list, or "<list>-2" and so on.
std::string shard_name(std::string_view list, std::int32_t shard);
// The shard whose ConfigMap has that name; nothing if none has.
std::optional<std::int32_t> shard_number(std::string_view list, std::string_view name);
// The list that the shards make together, sorted, with the newest revision of all. An endpoint that moves
// from one shard to another may be on both: it is taken once. There is at least one shard.
EndpointSet join(const std::vector<const EndpointSet*>& shards);

std::string_view to_string(EndpointState state);
std::int32_t count_ready(const EndpointSet& set);
void sort_canonically(EndpointSet& set);
// The set must be sorted.
std::string to_canonical_json(const EndpointSet& set);
// One "ip:port" line per ready endpoint and port ("[ip6]:port"), sorted as the document is.
std::string to_text(const EndpointSet& set);
// The same two as JSON strings, quotes included, appended to a body that is being built.
void append_canonical_json_string(std::string& out, const EndpointSet& set);
void append_text_string(std::string& out, const EndpointSet& set);
// What one endpoint, or a set, takes in a ConfigMap: in the document and in the text together.
std::size_t published_bytes(const Endpoint& endpoint);
std::size_t published_bytes(const EndpointSet& set);
// For readers: hostile or broken input gives nothing and says why in `problem`.
std::optional<EndpointSet> parse_endpoint_set(std::string_view json, std::string* problem);

}  // namespace poolwarden::api
