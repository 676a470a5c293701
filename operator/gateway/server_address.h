// Where one server listens: an IP address in its one canonical spelling, and a port. So "fd00:0::1" of a
// pod's status and "fd00::1" of HAProxy's answer are the same address. A value; any thread.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace poolwarden::gateway {

struct ServerAddress {
  std::string ip;
  std::uint16_t port = 0;

  auto operator<=>(const ServerAddress&) const = default;
  bool operator==(const ServerAddress&) const = default;
  std::string to_string() const;  // "10.0.0.1:8000", "[fd00::1]:8000"
};

// Nothing unless `ip` is an IPv4 or IPv6 address (no name, no scope) and the port is 1..65535. What is given
// to HAProxy went through here, so no text from the network reaches its command line.
std::optional<ServerAddress> make_address(std::string_view ip, std::int64_t port);

}  // namespace poolwarden::gateway
