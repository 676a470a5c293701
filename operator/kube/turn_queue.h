// Keys in the order in which they came, but for groups of them, which take turns: of many keys of one group
// and few of another, every second one is of the other while it has any. So a group that adds thousands holds
// up each other group by one key.
//
// Memory is bounded by the keys; a group without any is forgotten. A place stays good until its key is
// popped. Owned and used by one thread.
#pragma once

#include <cstddef>
#include <functional>
#include <iterator>
#include <list>
#include <type_traits>
#include <unordered_map>
#include <utility>

namespace poolwarden::kube {

// All keys are of one group: they come in the order of adding.
struct OneGroup {
  template <class Key>
  bool operator()(const Key&) const {
    return true;
  }
};

// `GroupOf` names the group of a key, as something that can be hashed.
template <class Key, class GroupOf = OneGroup>
class TurnQueue {
 public:
  using Place = typename std::list<Key>::iterator;

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }

  // At the end of its group.
  Place push(const Key& key) {
    Group& group = group_of(key);
    group.keys.push_back(key);
    ++size_;
    return std::prev(group.keys.end());
  }
  // The first key of the group whose turn it is. Precondition: not empty.
  Key pop() {
    const auto group = groups_.find(turns_.front());
    Key key = std::move(group->second.keys.front());
    group->second.keys.pop_front();
    --size_;
    if (group->second.keys.empty()) {
      forget(group);
    } else {
      turns_.splice(turns_.end(), turns_, group->second.turn);
    }
    return key;
  }
  // Takes a key that is in `from` to the end of its group here. Its place moves with it.
  void take_over(TurnQueue& from, Place place) {
    const auto group = from.groups_.find(GroupOf{}(*place));
    Group& here = group_of(*place);
    here.keys.splice(here.keys.end(), group->second.keys, place);
    ++size_;
    --from.size_;
    if (group->second.keys.empty()) from.forget(group);
  }

 private:
  using Name = std::decay_t<std::invoke_result_t<GroupOf, const Key&>>;
  struct Group {
    std::list<Key> keys;  // never empty
    typename std::list<Name>::iterator turn;
  };
  using Groups = std::unordered_map<Name, Group>;

  Group& group_of(const Key& key) {
    const auto [group, fresh] = groups_.try_emplace(GroupOf{}(key));
    if (fresh) group->second.turn = turns_.insert(turns_.end(), group->first);
    return group->second;
  }
  void forget(typename Groups::iterator group) {
    turns_.erase(group->second.turn);
    groups_.erase(group);
  }

  Groups groups_;
  std::list<Name> turns_;  // each group once, the next first
  std::size_t size_ = 0;
};

}  // namespace poolwarden::kube
