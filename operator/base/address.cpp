#include "base/address.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <span>
#include <system_error>

#include <fmt/format.h>

namespace poolwarden::base {
namespace {

using V6Bytes = std::array<unsigned char, sizeof(in6_addr)>;

struct Ip {
  int family = AF_INET;
  V6Bytes bytes{};  // of IPv4 the first four
};

std::optional<Ip> parse_ip(std::string_view text) {
  // inet_pton() stops at a NUL.
  if (text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos) return std::nullopt;
  Ip out;
  out.family = text.find(':') == std::string_view::npos ? AF_INET : AF_INET6;
  if (::inet_pton(out.family, std::string(text).c_str(), out.bytes.data()) != 1) return std::nullopt;
  return out;
}

// https://www.iana.org/assignments/iana-ipv4-special-registry/
AddressKind kind_of_v4(std::span<const unsigned char, 4> bytes) {
  if (bytes[0] == 0) return AddressKind::kUnspecified;
  if (bytes[0] == 127) return AddressKind::kLoopback;
  if (bytes[0] == 169 && bytes[1] == 254) return AddressKind::kLinkLocal;
  const bool multicast = (bytes[0] & 0xF0U) == 0xE0U;
  const bool broadcast =
      std::all_of(bytes.begin(), bytes.end(), [](unsigned char each) { return each == 0xFF; });
  return multicast || broadcast ? AddressKind::kMulticast : AddressKind::kUnicast;
}

// https://www.iana.org/assignments/iana-ipv6-special-registry/
AddressKind kind_of_v6(const V6Bytes& bytes) {
  constexpr V6Bytes kUnspecified{};
  constexpr V6Bytes kLoopback{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  constexpr std::array<unsigned char, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  if (bytes == kUnspecified) return AddressKind::kUnspecified;
  if (bytes == kLoopback) return AddressKind::kLoopback;
  if (std::equal(kMapped.begin(), kMapped.end(), bytes.begin()))
    return kind_of_v4(std::span(bytes).last<4>());
  if (bytes[0] == 0xFE && (bytes[1] & 0xC0U) == 0x80U) return AddressKind::kLinkLocal;
  return bytes[0] == 0xFF ? AddressKind::kMulticast : AddressKind::kUnicast;
}

}  // namespace

std::optional<std::string> canonical_ip(std::string_view text) {
  const auto address = parse_ip(text);
  if (!address) return std::nullopt;
  std::array<char, INET6_ADDRSTRLEN> out{};
  if (::inet_ntop(address->family, address->bytes.data(), out.data(), out.size()) == nullptr)
    return std::nullopt;
  return std::string(out.data());
}

bool is_dns_name(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  char before = '.';
  for (const char c : text) {
    const bool lower = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (!lower && ((c != '-' && c != '.') || before == '.' || (c == '.' && before == '-'))) return false;
    before = c;
  }
  return before != '.' && before != '-';
}

std::optional<AddressKind> kind_of(std::string_view ip) {
  const auto address = parse_ip(ip);
  if (!address) return std::nullopt;
  return address->family == AF_INET ? kind_of_v4(std::span(address->bytes).first<4>())
                                    : kind_of_v6(address->bytes);
}

std::string_view refused_as_pod(AddressKind kind, bool allow_loopback) {
  switch (kind) {
    case AddressKind::kUnicast:
      return {};
    case AddressKind::kLoopback:
      return allow_loopback ? "" : "a loopback address";
    case AddressKind::kLinkLocal:
      return "a link-local address";
    case AddressKind::kMulticast:
      return "a multicast or broadcast address";
    case AddressKind::kUnspecified:
      return "an unspecified address";
  }
  return {};
}

std::optional<std::uint16_t> parse_port(std::string_view digits) {
  std::uint16_t port = 0;
  const char* const end = digits.data() + digits.size();
  const auto [rest, failed] = std::from_chars(digits.data(), end, port);
  if (failed != std::errc{} || rest != end) return std::nullopt;
  return port;
}

std::optional<HostPort> split_host_port(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  HostPort out{.host = text.substr(0, colon), .port = text.substr(colon + 1)};
  out.bracketed = out.host.size() > 2 && out.host.starts_with('[') && out.host.ends_with(']');
  if (out.bracketed) out.host = out.host.substr(1, out.host.size() - 2);
  return out;
}

std::string join_host_port(std::string_view host, std::uint16_t port) {
  return host.find(':') == std::string_view::npos ? fmt::format("{}:{}", host, port)
                                                  : fmt::format("[{}]:{}", host, port);
}

}  // namespace poolwarden::base
