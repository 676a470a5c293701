// IP addresses and ports, as people and programs write them. Pure; resolves no name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace poolwarden::base {

// In its one canonical spelling, "fd00::1" for "fd00:0::1". Nothing for anything but an IPv4 or IPv6 address:
// no name, no scope, no brackets.
std::optional<std::string> canonical_ip(std::string_view text);
inline bool is_ip(std::string_view text) {
  return canonical_ip(text).has_value();
}

// A name of hosts in lower case, as names of Kubernetes' objects are too (RFC 1123, "DNS subdomain").
bool is_dns_name(std::string_view text);

// What an address leads to. Unicast is all that may name one machine or pod.
enum class AddressKind : std::uint8_t { kUnicast, kUnspecified, kLoopback, kLinkLocal, kMulticast };
// Of an address as canonical_ip() takes it; nothing for anything else. IPv4 that is written as IPv6,
// "::ffff:127.0.0.1", is what the IPv4 address is. 0.0.0.0/8 counts as unspecified, the broadcast as
// multicast.
std::optional<AddressKind> kind_of(std::string_view ip);
// Why no pod has an address of that kind: "a link-local address". Empty if one may have it; loopback
// addresses have stand-ins on one machine.
std::string_view refused_as_pod(AddressKind kind, bool allow_loopback);

// 0 to 65535, in decimal digits alone.
std::optional<std::uint16_t> parse_port(std::string_view digits);

// "host:port" taken apart at its last colon, "[host]:port" without its brackets. Neither part is looked at.
struct HostPort {
  std::string_view host;
  std::string_view port;
  bool bracketed = false;
};
std::optional<HostPort> split_host_port(std::string_view text);  // nothing without a colon

// "10.0.0.1:8000", "[fd00::1]:8000"
std::string join_host_port(std::string_view host, std::uint16_t port);

}  // namespace poolwarden::base
