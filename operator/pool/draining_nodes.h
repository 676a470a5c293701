// Which nodes drain: they are cordoned, or tainted so that pods should leave. And which pods came to them all
// the same, because they tolerate it.
//
// Such a pod is not drained for its node. Its replacement would most likely come to the same node, and be
// drained there in its turn, without end. What is remembered here is gone with the process. After a restart
// such a pod is drained like any other, and its replacement stays.
//
// Pure: time is an argument. Owned by the loop.
#pragma once

#include "api/objects.h"
#include "pool/drain.h"

#include <chrono>
#include <map>
#include <optional>
#include <string>

namespace poolwarden::pool {

// Why the node's pods should leave it, if they should.
std::optional<DrainReason> emptying(const api::Node& node);

class DrainingNodes {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  // Events of pods and of nodes come by different watches. Within this time nobody knows which was first, and
  // the pod counts as having been there before.
  static constexpr Duration kMargin = std::chrono::seconds(10);

  // The node is as it says now; a node that is gone does not drain. Where a taint gives way to a cordon, or
  // the reverse, somebody else empties the node from now on: whom the first let in, the second asks to leave.
  void saw(const std::string& node, std::optional<DrainReason> why, TimePoint now);
  // So it does, if at all, within moments.
  void ends(const std::string& node, bool ending, TimePoint now);
  // The pod has just been bound to the node.
  void bound(const std::string& uid, const std::string& node, TimePoint now);
  void forget(const std::string& uid);

  // Since when it is known that the node ends, if it does.
  bool any_ends() const { return !ending_.empty(); }
  std::optional<TimePoint> ending_since(const std::string& node) const {
    const auto found = ending_.find(node);
    return found == ending_.end() ? std::nullopt : std::optional{found->second};
  }
  // Since when the node drains, if it does.
  std::optional<TimePoint> draining_since(const std::string& node) const {
    const auto found = since_.find(node);
    return found == since_.end() ? std::nullopt : std::optional{found->second.since};
  }
  bool scheduled_after_drain(const std::string& uid) const { return late_.contains(uid); }

 private:
  struct Emptying {
    DrainReason why{};
    TimePoint since{};
  };
  std::map<std::string, Emptying> since_;    // by node
  std::map<std::string, TimePoint> ending_;  // by node
  std::map<std::string, std::string> late_;  // node, by UID of the pod
};

}  // namespace poolwarden::pool
