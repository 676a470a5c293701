// Which unary call has a connection, and which gets the next one.
//
// Connections are few, and any call may hold one for as long as its deadline. So some are reserved: a lane
// may use those reserved for it and all that are not reserved, and never those of a lane above it. Whatever
// the lanes below it do, it has its own. When a connection is free, the most urgent call that may have it
// gets it; within a lane, the one that came first.
//
// No sockets and no locks: it counts. Owned by whoever has the connections.
#pragma once

#include "kube/transport.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <deque>
#include <memory>
#include <unordered_map>
#include <utility>

namespace poolwarden::kube {

// By lane. What is reserved for a lane, the lanes above it may use, too.
using ReservedConnections = std::array<std::size_t, kCallLanes>;

template <class Call>
class ConnectionLanes {
 public:
  ConnectionLanes(std::size_t connections, const ReservedConnections& reserved) {
    for (std::size_t lane = 0; lane < kCallLanes; ++lane) {
      most_[lane] = std::max<std::size_t>(connections, 1);
      connections -= std::min(connections, reserved[lane]);
    }
  }

  // True: the call has a connection. Otherwise it waits until end() returns it.
  bool begin(std::shared_ptr<Call> call, CallLane lane) {
    if (!may_start(index(lane))) {
      waiting_[index(lane)].push_back(std::move(call));
      return false;
    }
    start(call.get(), index(lane));
    return true;
  }

  // The call is over, whether it had a connection or waited for one. Returns the call that has one now, if
  // any. It is never more than one: what keeps a call waiting keeps all less urgent ones, too.
  std::shared_ptr<Call> end(const Call* call) {
    const auto found = running_.find(call);
    if (found == running_.end()) {
      for (auto& lane : waiting_) {
        std::erase_if(lane, [call](const auto& waiting) { return waiting.get() == call; });
      }
      return nullptr;
    }
    --in_use_[found->second];
    running_.erase(found);
    return start_next();
  }

 private:
  static std::size_t index(CallLane lane) { return static_cast<std::size_t>(lane); }

  // A lane's limit counts all calls that are not more urgent.
  bool may_start(std::size_t lane) const {
    std::size_t from_here = 0;
    for (std::size_t i = kCallLanes; i-- > 0;) {
      from_here += in_use_[i];
      if (i <= lane && from_here >= most_[i]) return false;
    }
    return true;
  }

  void start(const Call* call, std::size_t lane) {
    running_.emplace(call, lane);
    ++in_use_[lane];
  }

  std::shared_ptr<Call> start_next() {
    for (std::size_t lane = 0; lane < kCallLanes; ++lane) {
      if (waiting_[lane].empty() || !may_start(lane)) continue;
      std::shared_ptr<Call> next = std::move(waiting_[lane].front());
      waiting_[lane].pop_front();
      start(next.get(), lane);
      return next;
    }
    return nullptr;
  }

  std::array<std::size_t, kCallLanes> most_{};  // held at once by the lane and those below it
  std::array<std::size_t, kCallLanes> in_use_{};
  std::unordered_map<const Call*, std::size_t> running_;  // with their lanes
  std::array<std::deque<std::shared_ptr<Call>>, kCallLanes> waiting_;
};

}  // namespace poolwarden::kube
