// Objects that came and could not be read: how many, which, and what is wrong with the first.
//
// One such object costs itself only: what was known of it stays, and everything else of its list or watch is
// taken. Bounded, however many come. A value; any thread.
#pragma once

#include "kube/object_key.h"

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <utility>

namespace poolwarden::kube {

struct Unreadable {
  static constexpr std::size_t kMaxKeys = 1000;

  std::size_t count = 0;
  std::string problem;       // of the first, for a person; names it if it has a name
  std::set<ObjectKey> keys;  // of those whose name could be read
  bool unnamed = false;      // there are others: without a name, or beyond kMaxKeys

  bool empty() const { return count == 0; }
  // Whether that object may be one of them.
  bool may_be(const ObjectKey& key) const { return unnamed || keys.contains(key); }

  void add(ObjectKey key, std::string why) {
    ++count;
    const bool named = !key.name.empty();
    if (problem.empty()) problem = named ? key.to_string() + ": " + why : std::move(why);
    remember(std::move(key));
  }
  void add(Unreadable more) {
    count += more.count;
    unnamed = unnamed || more.unnamed;
    if (problem.empty()) problem = std::move(more.problem);
    while (!more.keys.empty()) remember(std::move(more.keys.extract(more.keys.begin()).value()));
  }

 private:
  void remember(ObjectKey key) {
    if (!key.name.empty() && keys.size() < kMaxKeys) {
      keys.insert(std::move(key));
    } else {
      unnamed = true;
    }
  }
};

// All of them that a cache has met since it was started.
struct UnreadableTally {
  std::uint64_t count = 0;
  std::string problem;  // of the newest
};

}  // namespace poolwarden::kube
