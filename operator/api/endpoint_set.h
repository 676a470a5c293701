// The published list, as a value, and its canonical JSON: the document every consumer reads.
//
// Canonical: keys sorted, endpoints sorted by (pod, uid), ports as in the pool, no white space, one trailing
// newline. The same set always gives the same bytes, so "has it changed" is a comparison of strings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::api {

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

  bool operator==(const Endpoint&) const = default;
};

struct EndpointSet {
  std::string ns;
  std::string pool;
  std::int64_t revision = 0;
  std::vector<Endpoint> endpoints;

  bool operator==(const EndpointSet&) const = default;
};

std::string_view to_string(EndpointState state);
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
