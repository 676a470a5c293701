// Envoy as text: what its admin interface answers, and the file of endpoints that it follows. Pure; any
// thread.
//
// Formats: `/clusters?format=json` (envoy.admin.v3.Clusters), `/server_info` (envoy.admin.v3.ServerInfo), and
// a DiscoveryResponse with one ClusterLoadAssignment, as proto3 has them in JSON: a field that is zero may be
// left out, and 64-bit numbers are strings. Unknown fields are ignored. Nothing here throws, and nothing
// grows beyond a few times its input.
#pragma once

#include "gateway/server_address.h"
#include "kube/result.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::gateway {

inline constexpr std::size_t kMaxEnvoyZone = 253;  // longer names of zones are cut

enum class EnvoyHealth : std::uint8_t {
  kHealthy,
  kDraining,
  kOther,  // not of our making: as good as nothing said
};

struct EnvoyHost {
  ServerAddress address;
  EnvoyHealth health = EnvoyHealth::kOther;
  std::string zone = {};
  std::int64_t busy = 0;  // requests that it works on

  bool operator==(const EnvoyHost&) const = default;
};

struct EnvoyServer {
  std::string version;  // "1.40.0"
  std::int64_t epoch = 0;
  std::chrono::seconds uptime{0};
};

kube::Result<EnvoyServer> parse_server_info(std::string_view body);

// The cluster's hosts that have an IP address and a port, sorted by address, each once: one that is in two
// localities has the health kOther. Nothing: Envoy has no such cluster (yet).
kube::Result<std::optional<std::vector<EnvoyHost>>> parse_clusters(std::string_view body,
                                                                   const std::string& cluster);

// What Envoy says of updates of a cluster: `/stats?format=json` with these two counters.
struct EnvoyUpdates {
  std::optional<std::int64_t> rejected;  // nothing: not said
  std::optional<std::int64_t> failed;
};
EnvoyUpdates parse_updates(std::string_view body, const std::string& cluster);
// The path that asks for them. The name is one that is_envoy_name() takes.
std::string updates_path(const std::string& cluster);

// The file. The same hosts in the same order are always the same bytes, and its version_info is a digest of
// them.
std::string to_assignment(const std::string& cluster, const std::vector<EnvoyHost>& hosts);
// Its hosts, as parse_clusters() has them. An error: it is not such a file, or it is another cluster's.
kube::Result<std::vector<EnvoyHost>> parse_assignment(std::string_view text, const std::string& cluster);

// Letters, digits and _ - . : without a dot at its start: a word in a URL, and a file's name.
bool is_envoy_name(std::string_view name);

}  // namespace poolwarden::gateway
