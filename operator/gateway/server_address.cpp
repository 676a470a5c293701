#include "gateway/server_address.h"

#include "base/address.h"

#include <utility>

namespace poolwarden::gateway {
std::string ServerAddress::to_string() const {
  return base::join_host_port(ip, port);
}

std::optional<ServerAddress> make_address(std::string_view ip, std::int64_t port) {
  if (port < 1 || port > 65535) return std::nullopt;
  auto canonical = base::canonical_ip(ip);
  if (!canonical) return std::nullopt;
  return ServerAddress{std::move(*canonical), static_cast<std::uint16_t>(port)};
}

}  // namespace poolwarden::gateway
