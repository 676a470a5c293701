// Keeps one copy of equal values: pods of one ReplicaSet share their labels, pods of one node its name.
//
// Owned and used by the loop thread alone; the values it hands out are immutable and may go anywhere.
// sweep() forgets what nobody holds any more, so unique values do not pile up.
#pragma once

#include <cstddef>
#include <memory>
#include <set>
#include <utility>

namespace poolwarden::api {

template <class T>
class Interner {
 public:
  std::shared_ptr<const T> intern(T value) {
    if (auto found = values_.find(value); found != values_.end()) return *found;
    return *values_.insert(std::make_shared<const T>(std::move(value))).first;
  }
  void sweep() {
    std::erase_if(values_, [](const std::shared_ptr<const T>& value) { return value.use_count() == 1; });
  }
  std::size_t size() const { return values_.size(); }

 private:
  struct Less {
    using is_transparent = void;
    bool operator()(const auto& a, const auto& b) const { return get(a) < get(b); }
    static const T& get(const T& value) { return value; }
    static const T& get(const std::shared_ptr<const T>& value) { return *value; }
  };
  std::set<std::shared_ptr<const T>, Less> values_;
};

}  // namespace poolwarden::api
