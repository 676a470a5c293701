// Keeps one copy of equal values: pods of one ReplicaSet share their labels, pods of one node its name.
//
// Owned and used by the loop thread alone. The values it hands out are immutable and may go anywhere. sweep()
// forgets what nobody holds any more, so unique values do not pile up.
#pragma once

#include <cstddef>
#include <memory>
#include <set>
#include <utility>

namespace poolwarden::api {

template <class T>
class Interner {
 public:
  // The value held already if there is an equal one, else this very one. Not null.
  std::shared_ptr<const T> intern(std::shared_ptr<const T> value) {
    return *values_.insert(std::move(value)).first;
  }
  void sweep() {
    std::erase_if(values_, [](const std::shared_ptr<const T>& value) { return value.use_count() == 1; });
  }
  std::size_t size() const { return values_.size(); }

 private:
  struct Less {
    bool operator()(const std::shared_ptr<const T>& a, const std::shared_ptr<const T>& b) const {
      return *a < *b;
    }
  };
  std::set<std::shared_ptr<const T>, Less> values_;
};

}  // namespace poolwarden::api
