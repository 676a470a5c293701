// How much of a pool's requests the servers of each zone get, as a person wrote it. Pure.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace poolwarden::gateway {

struct ZoneWeights {
  std::map<std::string, int, std::less<>> by_zone;
  int others = 1;  // zones that are not named, and servers whose zone is not known

  int of(std::string_view zone) const;
  bool operator==(const ZoneWeights&) const = default;
};

// "zone-a=100,zone-b=25,*=25". The error is for the person who wrote it.
tl::expected<ZoneWeights, std::string> parse_zone_weights(std::string_view text);

}  // namespace poolwarden::gateway
