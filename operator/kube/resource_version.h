// Which of two resource versions is newer.
//
// Versions of one resource type compare as numbers (KEP-5504, comparable resource versions). They are
// compared by length and then by text, so that no width of integer is assumed. A server whose versions are no
// decimal numbers gives no order: then the one that arrived last counts as newer.
#pragma once

#include <algorithm>
#include <compare>
#include <string_view>

namespace poolwarden::kube {

inline bool is_comparable_version(std::string_view version) {
  return !version.empty() && version.front() != '0' &&
         std::all_of(version.begin(), version.end(), [](char c) { return c >= '0' && c <= '9'; });
}

inline std::partial_ordering compare_versions(std::string_view a, std::string_view b) {
  if (a == b) return std::partial_ordering::equivalent;
  if (!is_comparable_version(a) || !is_comparable_version(b)) return std::partial_ordering::unordered;
  if (a.size() != b.size()) return a.size() <=> b.size();
  return a <=> b;
}

// True only when the order is known.
inline bool older(std::string_view a, std::string_view b) {
  return compare_versions(a, b) < 0;
}

}  // namespace poolwarden::kube
