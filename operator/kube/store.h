// The objects of one kind that are known now, by namespace and name, and found by other keys through indices.
//
// Values are immutable and shared: whoever holds one keeps a past state, and nobody copies. Everything that
// is walked comes in the order of the keys, so decisions do not depend on arrival. Made for a hundred
// thousand objects: a tree node an object and no copy of its key; two pointers for each index key it has, and
// a hash node beside them where the index depends on more than the object.
//
// `Object` has the strings ns, name, uid and resource_version. Owned and used by one thread; a reference to
// by_index() and a walk are good until the next change.
#pragma once

#include "kube/object_key.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

namespace poolwarden::kube {

enum class IndexId : std::size_t {};

// What the keys of an index depend on: on the object alone, so that they can be told again when it goes; or
// on more, and then they are noted for each object.
enum class IndexedBy : std::uint8_t { kObject, kMore };

template <class Object>
class Store {
 public:
  using Ptr = std::shared_ptr<const Object>;
  // Appends the keys under which the object is to be found. Where it depends on more than the object,
  // reindex() when that changes.
  using IndexFunction = std::function<void(const Object&, std::vector<std::string>& keys)>;

  std::size_t size() const { return objects_.size(); }
  bool empty() const { return objects_.empty(); }

  // Null when absent.
  Ptr find(std::string_view ns, std::string_view name) const {
    const auto found = objects_.find(KeyView{ns, name});
    return found == objects_.end() ? nullptr : *found;
  }
  Ptr find(const ObjectKey& key) const { return find(key.ns, key.name); }

  // `visit` is called with a const Ptr&.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Ptr& object : objects_) visit(object);
  }
  template <class Visit>
  void for_each_in(std::string_view ns, Visit&& visit) const {
    for (auto at = objects_.lower_bound(KeyView{ns, {}}); at != objects_.end() && (*at)->ns == ns; ++at)
      visit(*at);
  }

  // Each returns what was there before: null when nothing was.
  Ptr put(Ptr object) {
    Ptr before = erase(object->ns, object->name);
    for (Index& index : indices_) index.add(object);
    objects_.insert(std::move(object));
    return before;
  }
  Ptr erase(std::string_view ns, std::string_view name) {
    const auto found = objects_.find(KeyView{ns, name});
    if (found == objects_.end()) return nullptr;
    Ptr before = std::move(objects_.extract(found).value());
    for (Index& index : indices_) index.remove(before);
    return before;
  }

  IndexId add_index(IndexFunction function, IndexedBy indexed_by = IndexedBy::kMore) {
    indices_.emplace_back(std::move(function), indexed_by);
    const IndexId id{indices_.size() - 1};
    reindex(id);
    return id;
  }
  void reindex(IndexId id) {
    Index& index = indices_.at(static_cast<std::size_t>(id));
    index.clear();
    for (const Ptr& object : objects_) index.add(object);
  }
  // The same where it changed for the objects of one namespace only.
  void reindex_in(IndexId id, std::string_view ns) {
    Index& index = indices_.at(static_cast<std::size_t>(id));
    const auto first = objects_.lower_bound(KeyView{ns, {}});
    auto last = first;
    while (last != objects_.end() && (*last)->ns == ns) ++last;
    // From the back: each is then the last of where it is found, and taking it out moves no other.
    for (auto at = last; at != first;) index.remove(*--at);
    for (auto at = first; at != last; ++at) index.add(*at);
  }
  // Each key under which something is found and that begins so, in order.
  template <class Visit>
  void for_each_key(IndexId id, std::string_view prefix, Visit&& visit) const {
    indices_.at(static_cast<std::size_t>(id)).for_each_key(prefix, visit);
  }
  // Sorted by namespace and name.
  const std::vector<Ptr>& by_index(IndexId id, std::string_view key) const {
    return indices_.at(static_cast<std::size_t>(id)).find(key);
  }

 private:
  using KeyView = std::pair<std::string_view, std::string_view>;
  struct ByKey {
    using is_transparent = void;
    static KeyView view(const KeyView& key) { return key; }
    static KeyView view(const Ptr& object) { return {object->ns, object->name}; }
    bool operator()(const auto& a, const auto& b) const { return view(a) < view(b); }
  };

  class Index {
   public:
    Index(IndexFunction function, IndexedBy indexed_by)
        : function_(std::move(function)), notes_(indexed_by == IndexedBy::kMore) {}

    void add(const Ptr& object) {
      for (std::string& key : keys_of(*object)) {
        const auto bucket = buckets_.try_emplace(std::move(key)).first;
        auto& objects = bucket->second;
        objects.insert(std::upper_bound(objects.begin(), objects.end(), object, ByKey{}), object);
        if (notes_) bucket_of_.emplace(object.get(), bucket);
      }
    }
    // By what was noted, where the function's answer may have changed since.
    void remove(const Ptr& object) {
      if (!notes_) {
        for (const std::string& key : keys_of(*object)) take_out(buckets_.find(key), object);
        return;
      }
      const auto [first, last] = bucket_of_.equal_range(object.get());
      for (auto at = first; at != last; ++at) take_out(at->second, object);
      bucket_of_.erase(first, last);
    }
    void clear() {
      buckets_.clear();
      bucket_of_.clear();
    }
    template <class Visit>
    void for_each_key(std::string_view prefix, Visit& visit) const {
      for (auto at = buckets_.lower_bound(prefix); at != buckets_.end() && at->first.starts_with(prefix);
           ++at)
        visit(at->first);
    }
    const std::vector<Ptr>& find(std::string_view key) const {
      static const std::vector<Ptr> kNone;
      const auto found = buckets_.find(key);
      return found == buckets_.end() ? kNone : found->second;
    }

   private:
    using Buckets = std::map<std::string, std::vector<Ptr>, std::less<>>;

    std::vector<std::string>& keys_of(const Object& object) {
      keys_.clear();
      function_(object, keys_);
      std::sort(keys_.begin(), keys_.end());
      keys_.erase(std::unique(keys_.begin(), keys_.end()), keys_.end());
      return keys_;
    }
    void take_out(typename Buckets::iterator bucket, const Ptr& object) {
      auto& objects = bucket->second;
      objects.erase(std::lower_bound(objects.begin(), objects.end(), object, ByKey{}));
      if (objects.empty()) buckets_.erase(bucket);
    }

    IndexFunction function_;
    bool notes_;
    Buckets buckets_;
    std::unordered_multimap<const Object*, typename Buckets::iterator> bucket_of_;
    std::vector<std::string> keys_;  // kept for its capacity
  };

  std::set<Ptr, ByKey> objects_;
  std::vector<Index> indices_;
};

}  // namespace poolwarden::kube
