// A map of bounded size that lets go of what was used longest ago. Owned and used by one thread.
#pragma once

#include <cstddef>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

namespace poolwarden::kube {

template <class Value>
class LruMap {
 public:
  using Entry = std::pair<const std::string, Value>;

  // Precondition: capacity >= 1.
  explicit LruMap(std::size_t capacity) : capacity_(capacity) {}

  // Null if it is not there. use() counts as a use, peek() does not. Valid until the entry is let go.
  Value* use(const std::string& key) {
    const auto found = index_.find(key);
    if (found == index_.end()) {
      return nullptr;
    }
    entries_.splice(entries_.end(), entries_, found->second);
    return &found->second->second;
  }
  Value* peek(const std::string& key) {
    const auto found = index_.find(key);
    return found == index_.end() ? nullptr : &found->second->second;
  }

  // Precondition: `key` is not there. Returns what had to go for it.
  std::optional<Entry> insert(const std::string& key, Value value) {
    std::optional<Entry> gone;
    if (entries_.size() == capacity_) {
      gone.emplace(std::move(entries_.front()));
      erase(gone->first);
    }
    entries_.emplace_back(key, std::move(value));
    index_.emplace(key, std::prev(entries_.end()));
    return gone;
  }

  void erase(const std::string& key) {
    const auto found = index_.find(key);
    if (found != index_.end()) {
      entries_.erase(found->second);
      index_.erase(found);
    }
  }

  // Entries for which `unwanted(key, value)` is true go.
  template <class Predicate>
  void erase_if(Predicate unwanted) {
    for (auto entry = entries_.begin(); entry != entries_.end();) {
      if (unwanted(entry->first, entry->second)) {
        index_.erase(entry->first);
        entry = entries_.erase(entry);
      } else {
        ++entry;
      }
    }
  }

  std::size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }

 private:
  std::size_t capacity_;
  std::list<Entry> entries_;  // used longest ago first
  std::unordered_map<std::string, typename std::list<Entry>::iterator> index_;
};

}  // namespace poolwarden::kube
