// Namespace and name of an object: what a cache is keyed by. Identity over time is the UID, which lives in
// the object: a recreated namesake has the same key and is another object.
#pragma once

#include <compare>
#include <cstddef>
#include <functional>
#include <string>

namespace poolwarden::kube {

struct ObjectKey {
  std::string ns;  // empty for cluster-scoped objects
  std::string name;

  auto operator<=>(const ObjectKey&) const = default;
  bool operator==(const ObjectKey&) const = default;
  std::string to_string() const { return ns.empty() ? name : ns + "/" + name; }
};

// As a TurnQueue groups keys.
struct ByNamespace {
  const std::string& operator()(const ObjectKey& key) const { return key.ns; }
};

}  // namespace poolwarden::kube

template <>
struct std::hash<poolwarden::kube::ObjectKey> {
  std::size_t operator()(const poolwarden::kube::ObjectKey& key) const noexcept {
    return std::hash<std::string>{}(key.ns) * 1000003U ^ std::hash<std::string>{}(key.name);
  }
};
