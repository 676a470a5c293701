// Where a server listens, as a person writes it in a flag. Pure.
#pragma once

#include <cstdint>
#include <string>

#include <tl/expected.hpp>

namespace poolwarden::telemetry {

struct BindAddress {
  std::string host;  // empty: all addresses; without brackets
  std::uint16_t port = 0;
};

// "host:port", "[ip6]:port" or ":port"; an error is a sentence without the flag's name. "0" and "", which
// switch a server off, are the caller's affair.
tl::expected<BindAddress, std::string> parse_bind_address(const std::string& text);

}  // namespace poolwarden::telemetry
