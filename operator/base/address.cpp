#include "base/address.h"

#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <system_error>

#include <fmt/format.h>

namespace poolwarden::base {

std::optional<std::string> canonical_ip(std::string_view text) {
  // inet_pton() stops at a NUL.
  if (text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos) return std::nullopt;
  const int family = text.find(':') == std::string_view::npos ? AF_INET : AF_INET6;
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  if (::inet_pton(family, std::string(text).c_str(), bytes.data()) != 1) return std::nullopt;
  std::array<char, INET6_ADDRSTRLEN> out{};
  if (::inet_ntop(family, bytes.data(), out.data(), out.size()) == nullptr) return std::nullopt;
  return std::string(out.data());
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
