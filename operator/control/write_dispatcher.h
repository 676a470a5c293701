// Which write may leave now, and what its answer is for.
//
// Lanes, the most urgent first: lists and slices; what drains and replicas wait for; the rest. A list waits
// for nothing but its own object. The other lanes are capped in flight, and the rest also per second. So the
// rest never competes with a withdrawal for more than a small share of the API server. The Lease, Events and
// look-ups are in no lane here. Each call carries its lane on to the transport, where the Lease is before all
// others.
//
// One write of an object is in flight at a time. A write that may not leave is not queued: its pool is woken
// when it may, looks again, and wants what is right by then. So what changes meanwhile goes with one write.
//
// Pure: time is an argument. Owned by the loop.
#pragma once

#include "base/token_bucket.h"
#include "control/effects.h"
#include "control/write_purpose.h"
#include "control/write_throttle.h"
#include "kube/turn_queue.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace poolwarden::control {

enum class WriteLane : std::uint8_t { kList, kDrain, kRest };

struct WriteLimits {
  kube::Duration timeout = std::chrono::seconds(10);
  std::size_t drains_in_flight = 64;
  std::size_t rest_in_flight = 16;
  // Of the rest: so many at once, then so many a second.
  std::int32_t rest_burst = 100;
  kube::Duration rest_period = std::chrono::milliseconds(40);
  // A pool that waits for the rest's turn is woken when there is room for so many. A pass for each would cost
  // more than the writes.
  std::int32_t rest_batch = 10;
};

struct WriteRequest {
  Purpose purpose;
  WriteLane lane = WriteLane::kRest;
  WrittenObject object;
  PoolName pool;
  kube::Call call;
  Expect expect = Expect::kText;
  std::optional<std::size_t> content = {};  // as WriteThrottle has it, and so below
  bool undoes = true;
};

// An answer, and what it is for.
struct AnsweredCall {
  PendingCall call;
  // The object was seen to change while this was under way: by the write itself, or by someone else.
  bool changed_meanwhile = false;
  std::uint32_t failures = 0;  // of this object, in a row
};

class WriteDispatcher {
 public:
  explicit WriteDispatcher(WriteLimits limits = {});

  enum class Outcome : std::uint8_t { kSent, kWaits };
  struct Result {
    Outcome outcome = Outcome::kSent;
    // kWaits: when to ask again; nothing: the pool is woken.
    std::optional<kube::TimePoint> until;
    bool sent() const { return outcome == Outcome::kSent; }
  };
  Result send(WriteRequest request, kube::TimePoint now, Effects& out);
  // For calls that no object's previous write can hold up: the Lease, Events, look-ups, Secrets.
  void send_unthrottled(Purpose purpose, WrittenObject object, PoolName pool, kube::Call call, Expect expect,
                        kube::TimePoint now, Effects& out);
  // Nothing: nobody waits for this answer.
  std::optional<AnsweredCall> answered(const CallAnswered& answer, kube::TimePoint now);

  // An object was seen to change. True if a write of it is under way: then its answer tells whose change it
  // was.
  bool changed(const WrittenObject& object);
  bool in_flight(const WrittenObject& object) const { return throttle_.is_in_flight(object); }
  // Whether a write of one of the pool's lists is under way, or a look-up of such a name.
  bool list_in_flight(const kube::ObjectKey& pool) const { return lists_in_flight_.contains(pool); }
  // How many writes of pods in the namespace are under way that are for no pool.
  std::size_t orphans_in_flight(const std::string& ns) const { return orphans_in_flight_.count(ns); }
  // When a write of the object may leave; max(): once the one in flight is answered. Nothing: now.
  std::optional<kube::TimePoint> waits_until(const WrittenObject& object, kube::TimePoint now) const {
    return throttle_.blocked_until(object, now);
  }
  bool has_room(WriteLane lane, kube::TimePoint now) const;
  // The pool is woken when the lane has room.
  void wait_for_room(WriteLane lane, const kube::ObjectKey& pool);
  // Serving labels that are being written, by UID of the pod.
  const std::map<std::string, std::string>& labels_under_way() const { return labels_under_way_; }
  // Holds the name of a ConfigMap that is being looked up.
  void hold(const WrittenObject& object) { throttle_.sent(object); }

  // Pools to look at again, as what they waited for may be over.
  std::vector<kube::ObjectKey> take_woken(kube::TimePoint now);
  std::optional<kube::TimePoint> next_deadline(kube::TimePoint now) const;

  std::size_t in_flight() const { return pending_.size(); }
  std::size_t writes_in_flight() const;  // without the Lease, and without Secrets that are read
  void sweep(kube::TimePoint now) { throttle_.sweep(now); }

 private:
  struct Pending {
    PendingCall call;
    std::optional<WriteLane> lane;
  };
  // Pools in the order in which they began to wait, each once. Namespaces take turns.
  class Waiters {
   public:
    void add(const kube::ObjectKey& pool) {
      if (there_.insert(pool).second) order_.push(pool);
    }
    bool empty() const { return order_.empty(); }
    kube::ObjectKey pop();

   private:
    kube::TurnQueue<kube::ObjectKey, kube::ByNamespace> order_;
    std::set<kube::ObjectKey> there_;
  };

  std::size_t& in_lane(WriteLane lane) { return in_lane_[static_cast<std::size_t>(lane)]; }
  std::size_t in_lane(WriteLane lane) const { return in_lane_[static_cast<std::size_t>(lane)]; }
  kube::TimePoint rest_wakes_at() const;
  std::uint64_t launch(PendingCall call, std::optional<WriteLane> lane, kube::Call request, Expect expect,
                       Effects& out);

  WriteLimits limits_;
  WriteThrottle throttle_;
  base::TokenBucket rest_;
  std::array<std::size_t, 3> in_lane_{};
  std::unordered_map<std::uint64_t, Pending> pending_;
  std::uint64_t last_id_ = 0;
  std::map<std::string, std::string> labels_under_way_;
  std::multiset<kube::ObjectKey> lists_in_flight_;  // by pool: one of each shard
  std::multiset<std::string> orphans_in_flight_;    // by namespace
  std::unordered_map<WrittenObject, std::set<kube::ObjectKey>, WrittenObjectHash> object_waiters_;
  std::set<kube::ObjectKey> woken_;
  Waiters drain_waiters_;
  Waiters rest_waiters_;
};

}  // namespace poolwarden::control
