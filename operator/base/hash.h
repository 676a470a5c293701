// A number for a text: the same on every machine, in every build and from one release to the next, as
// std::hash is not. No secret may depend on it. Pure.
#pragma once

#include <cstdint>
#include <string_view>

namespace poolwarden::base {

// FNV-1a, 64 bits. http://www.isthe.com/chongo/tech/comp/fnv/
constexpr std::uint64_t fnv1a(std::string_view text) {
  std::uint64_t hash = 14'695'981'039'346'656'037U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1'099'511'628'211U;
  return hash;
}

}  // namespace poolwarden::base
