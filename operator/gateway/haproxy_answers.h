// HAProxy's Runtime API as text: which bytes ask for what, and what its answers mean. Pure; any thread.
//
// Formats: HAProxy's management guide, section 9 ("show info", "show servers state" format version 1, "show
// stat" CSV). Columns are found by their names in the header line. Unknown columns are ignored, so releases
// that add some are read as well. A missing column, a short row or a number that is none is an error that
// quotes the place. Nothing here throws, and nothing grows beyond its input.
#pragma once

#include "gateway/server_address.h"
#include "kube/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::gateway {

// What an administrator (we) last said of a server. Health is another matter, and not ours.
enum class AdminState : std::uint8_t { kReady, kDrain, kMaintenance };

struct ObservedServer {
  std::string name;
  std::optional<ServerAddress> address;  // nothing: not an IP address and port
  AdminState admin = AdminState::kMaintenance;
  std::int64_t busy = 0;  // requests it works on, and requests queued for it alone
  std::int64_t weight = 1;

  bool operator==(const ObservedServer&) const = default;
};

// One backend, seen at one moment.
struct HaproxySnapshot {
  std::int64_t pid = 0;
  std::string version;
  std::vector<ObservedServer> servers;  // in HAProxy's order

  bool operator==(const HaproxySnapshot&) const = default;
};

// The commands whose answers parse_snapshot() reads, in order.
std::vector<std::string> snapshot_commands(std::string_view backend);

// Every answer ends with an empty line. An error unless there are exactly `expected` whole ones.
kube::Result<std::vector<std::string>> split_answers(std::string_view bytes, std::size_t expected);

// `answers` are those of snapshot_commands(), in order.
kube::Result<HaproxySnapshot> parse_snapshot(const std::vector<std::string>& answers,
                                             std::string_view backend);

// The answer to "show servers state", which snapshot_commands() asks for, as a file for HAProxy's
// `load-server-state-from-file`: a HAProxy that starts with it has the addresses, the weights, and what an
// administrator said of the servers. All of them are up until a check says otherwise. The same servers are
// the same text.
std::string to_state_file(const std::vector<std::string>& answers);
// One without servers, of which HAProxy does not complain.
inline constexpr std::string_view kEmptyStateFile = "1\n";

// For tables: the three parts of a snapshot.
struct ProcessInfo {
  std::int64_t pid = 0;
  std::string version;
};
kube::Result<ProcessInfo> parse_info(std::string_view answer);
kube::Result<std::vector<ObservedServer>> parse_servers_state(std::string_view answer,
                                                              std::string_view backend);
struct ServerLoad {
  std::string name;
  std::int64_t busy = 0;

  bool operator==(const ServerLoad&) const = default;
};
kube::Result<std::vector<ServerLoad>> parse_stat(std::string_view answer, std::string_view backend);

}  // namespace poolwarden::gateway
