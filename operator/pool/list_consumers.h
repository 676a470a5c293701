// Who follows a pool's list, and which revisions of it each has said to hold.
//
// A consumer says so in a Lease. It is live while that changes within the Lease's own duration, by the clock
// of whoever saw it change: what the Lease says of the time is another machine's. One that is not live is not
// waited for. What a consumer says is level: a revision that it has no more is confirmed no more.
//
// Anybody who may write Leases in the namespace can be a consumer: their number is bounded, and a revision
// beyond the list's newest confirms nothing.
//
// Pure: time is an argument. Owned by the loop.
#pragma once

#include "api/inference_pool.h"
#include "api/objects.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::pool {

// Of a list's shards, the first at 0; and the newest that any of them has.
struct ListRevisions {
  std::vector<std::int64_t> by_shard;
  std::int64_t newest = 0;
};

// A consumer that is yet to confirm.
struct AwaitedConsumer {
  std::string name;
  std::string kind;
  std::int64_t has = 0;  // of the shard with which it is the furthest behind
  std::int64_t wanted = 0;
  bool unreadable = false;  // what it says cannot be read

  std::int64_t behind() const { return wanted - has; }
};

class ListConsumers {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  // Of one pool. Leases beyond that are passed over.
  static constexpr std::size_t kMost = 256;
  // Whatever a Lease says of its duration.
  static constexpr std::chrono::seconds kShortest{5};
  static constexpr std::chrono::seconds kLongest{120};
  // For how long it is told that one has fallen silent.
  static constexpr Duration kTold = std::chrono::minutes(10);

  // The Lease has just been seen to read so. True if a decision may differ: not for a mere renewal.
  bool saw(const api::ConsumerLease& lease, TimePoint now);
  // True if it was there.
  bool gone(const std::string& lease) { return entries_.erase(lease) > 0; }
  // Nothing was heard of any for a while: what was missed is held against nobody.
  void heard_again(TimePoint now);
  // Names of those that have been live and are so no more; each once.
  std::vector<std::string> fall_silent(TimePoint now);
  std::optional<TimePoint> next_silence() const;

  bool empty() const { return entries_.empty(); }
  std::size_t size() const { return entries_.size(); }
  std::size_t live() const;
  // What the Lease of that name says; null: it is not known.
  const std::vector<std::int64_t>* applied(const std::string& lease) const;
  // Of the live ones that hold less than `wanted`, the one that is the furthest behind. Nothing: all have
  // confirmed, or there is none. `newest`: of the list as it is.
  std::optional<AwaitedConsumer> awaited(const std::vector<std::int64_t>& wanted, std::int64_t newest) const;
  // For status: the live ones first, and of each sort the slowest.
  std::vector<api::ConsumerStatus> slowest_first(const ListRevisions& list) const;
  // Names of those that have fallen silent lately.
  std::vector<std::string> silent_lately(TimePoint now) const;

 private:
  struct Entry {
    std::string uid;
    std::string name;
    std::string kind;
    std::vector<std::int64_t> applied;
    bool unreadable = false;
    std::optional<api::Timestamp> applied_at;
    Duration lease{};
    TimePoint changed{};
    bool heard = false;  // it has changed since it was first seen
    std::optional<TimePoint> silent_since;
  };
  static AwaitedConsumer lag(const Entry& entry, const std::vector<std::int64_t>& wanted,
                             std::int64_t newest);

  std::map<std::string, Entry> entries_;  // by the name of the Lease
};

// When writes of a list were answered, and how long consumers took to confirm them.
class ConfirmationTimes {
 public:
  using TimePoint = ListConsumers::TimePoint;
  using Duration = ListConsumers::Duration;

  void written(std::int32_t shard, std::int64_t revision, TimePoint now);
  // A consumer that held `before` holds `after` now: how long each of the writes took that this confirms.
  std::vector<Duration> confirmed(const std::vector<std::int64_t>& before,
                                  const std::vector<std::int64_t>& after, TimePoint now) const;

 private:
  struct Write {
    std::int32_t shard = 1;
    std::int64_t revision = 0;
    TimePoint answered{};
  };
  std::vector<Write> writes_;  // the newest, in order
};

}  // namespace poolwarden::pool
