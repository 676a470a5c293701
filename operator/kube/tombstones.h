// The UIDs of objects seen deleted, so that a late answer to one's own write does not bring one back.
//
// Holds the last `limit` of them. That is enough: an answer comes within a call's deadline, and while
// versions compare it is refused by its age anyway. Owned and used by one thread.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_set>

namespace poolwarden::kube {

class Tombstones {
 public:
  explicit Tombstones(std::size_t limit = 4096) : limit_(limit) {}

  void add(const std::string& uid) {
    const auto [at, is_new] = uids_.insert(uid);
    if (!is_new) return;
    order_.push_back(*at);  // elements of a set do not move
    if (order_.size() > limit_) {
      uids_.erase(uids_.find(std::string(order_.front())));
      order_.pop_front();
    }
  }
  bool has(const std::string& uid) const { return uids_.contains(uid); }
  std::size_t size() const { return uids_.size(); }
  void clear() {
    order_.clear();
    uids_.clear();
  }

 private:
  std::size_t limit_;
  std::unordered_set<std::string> uids_;
  std::deque<std::string_view> order_;  // oldest first; into uids_
};

}  // namespace poolwarden::kube
