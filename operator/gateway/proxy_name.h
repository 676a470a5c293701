// Names of a proxy's own things: backends and servers of HAProxy, clusters of Envoy. Pure.
#pragma once

#include <algorithm>
#include <string_view>

namespace poolwarden::gateway {

// HAProxy's own rule (invalid_char() in its src/tools.c), so that a name is one word of a command. 200 is
// ours.
inline bool is_proxy_name(std::string_view name) {
  return !name.empty() && name.size() <= 200 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           c == '-' || c == '.' || c == ':';
  });
}

}  // namespace poolwarden::gateway
