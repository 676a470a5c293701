// When a replica that does not lead steps in for the leader. This remembers how long each listed pod has been
// seen unfit, and says which pools' lists are due, shard by shard.
//
// Promises: a list is due once one of its pods has been seen unfit and still listed for the hedge. The hedge
// is the time that the leader has to take the pod off the list first. A list is written once at a time and no
// more often than once a hedge. After a conflict it is not written before the list has been seen to change,
// because our copy was old. A process that stood still (stopped, out of CPU) first hears what it missed. If
// it is asked much later than it wanted, the hedge begins anew. A pod that is no longer unfit or no longer
// listed is forgotten, so it never holds more than the lists do.
//
// Plain values; the time comes in as an argument. Owned by the loop.
#pragma once

#include "kube/object_key.h"
#include "kube/time.h"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace poolwarden::control {

// A shard of a pool's list.
struct ListKey {
  kube::ObjectKey pool;
  std::int32_t shard = 1;

  auto operator<=>(const ListKey&) const = default;
  bool operator==(const ListKey&) const = default;
};

class StandbyWithdrawals {
 public:
  static constexpr kube::Duration kHedge = std::chrono::milliseconds(250);

  // Who is on the list of that version and should not be, by UID: all of them, each time.
  void saw(const ListKey& list, const std::string& list_version, const std::set<std::string>& unfit,
           kube::TimePoint now);
  // The pool is gone; or nothing can be seen any more: what was seen before counts no longer.
  void forget(const kube::ObjectKey& pool) {
    std::erase_if(lists_, [&pool](const auto& item) { return item.first.pool == pool; });
  }
  void forget_all() { lists_.clear(); }

  std::vector<ListKey> due(kube::TimePoint now);
  std::optional<kube::TimePoint> next_deadline() const;
  // When a pod was first seen so; nothing if it is not.
  std::optional<kube::TimePoint> first_seen(const ListKey& list, const std::string& uid) const;

  void sent(const ListKey& list, kube::TimePoint now);
  enum class Outcome : std::uint8_t { kDone, kConflict, kFailed };
  void answered(const ListKey& list, Outcome outcome, kube::TimePoint now);
  // It was due, and its write has to wait for another reason; or there is none to make of this list.
  void put_off(const ListKey& list, kube::TimePoint until);
  void leave(const ListKey& list);

  std::set<kube::ObjectKey> pools() const;
  std::size_t size() const { return lists_.size(); }

 private:
  struct List {
    std::map<std::string, kube::TimePoint> since;  // by UID
    std::string list_version;                      // as last seen
    std::string sent_over;                         // that the last write was based on
    bool in_flight = false;
    bool refused = false;  // nothing can be done with the list as last seen
    kube::TimePoint not_before{};
  };
  static std::optional<kube::TimePoint> due_at(const List& list);

  std::map<ListKey, List> lists_;
};

}  // namespace poolwarden::control
