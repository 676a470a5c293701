#include "gateway/server_address.h"

#include <arpa/inet.h>
#include <array>

#include <fmt/format.h>

namespace poolwarden::gateway {
namespace {

std::optional<std::string> canonical_ip(int family, const std::string& text) {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  if (inet_pton(family, text.c_str(), bytes.data()) != 1) return std::nullopt;
  std::array<char, INET6_ADDRSTRLEN> out{};
  if (inet_ntop(family, bytes.data(), out.data(), out.size()) == nullptr) return std::nullopt;
  return std::string(out.data());
}

}  // namespace

std::string ServerAddress::to_string() const {
  return ip.find(':') == std::string::npos ? fmt::format("{}:{}", ip, port)
                                           : fmt::format("[{}]:{}", ip, port);
}

std::optional<ServerAddress> make_address(std::string_view ip, std::int64_t port) {
  if (port < 1 || port > 65535 || ip.size() >= INET6_ADDRSTRLEN) return std::nullopt;
  if (ip.find('\0') != std::string_view::npos) return std::nullopt;
  const std::string text(ip);
  auto canonical = canonical_ip(ip.find(':') == std::string_view::npos ? AF_INET : AF_INET6, text);
  if (!canonical) return std::nullopt;
  return ServerAddress{std::move(*canonical), static_cast<std::uint16_t>(port)};
}

}  // namespace poolwarden::gateway
