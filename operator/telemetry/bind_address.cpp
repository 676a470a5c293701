#include "telemetry/bind_address.h"

#include "base/address.h"

#include <fmt/format.h>

namespace poolwarden::telemetry {

tl::expected<BindAddress, std::string> parse_bind_address(const std::string& text) {
  const auto parts = base::split_host_port(text);
  if (!parts) return tl::unexpected<std::string>("the port is missing");
  const auto port = base::parse_port(parts->port);
  if (!port) return tl::unexpected(fmt::format("\"{}\" is not a port from 0 to 65535", parts->port));
  BindAddress address{.host = std::string(parts->host), .port = *port};
  if (address.host.empty()) return address;
  const bool is_v6 = address.host.find(':') != std::string::npos;
  if (is_v6 != parts->bracketed || !base::is_ip(address.host)) {
    return tl::unexpected(fmt::format("\"{}\" is not an IP address", address.host));
  }
  return address;
}

}  // namespace poolwarden::telemetry
