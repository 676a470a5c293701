// What the engines last said of their load: the memory behind choosing a victim and behind calling it idle.
//
// A reading is wanted anew in each pass; one that nobody wants any more is forgotten by sweep(). Zero
// readings count towards idleness only if they began after the pod had been out of every list for `settle`,
// and after those who follow the lists had confirmed it. An earlier reading may have been taken while a
// request was still on its way to the pod.
//
// Pure: time is an argument. Owned by the loop.
#pragma once

#include "api/time.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

namespace poolwarden::pool {

struct Load {
  double in_flight = 0;
  std::optional<double> cache_usage;  // 0 to 1
  std::optional<double> work = {};    // counters that move while anything is in flight
};

struct PodLoad {
  std::optional<Load> load;  // of the newest reading; nothing: unknown, and `problem` says why
  std::string problem;
  bool refused = false;    // the newest reading found nobody who listens on any of the pod's ports
  bool answered = false;   // at least one reading has come to an end, however
  std::int32_t quiet = 0;  // readings of zero in a row that count
  // Requests came to it long after it was off every list: someone does not follow the lists.
  bool still_sent_to = false;
  // For how long nothing has moved, though something is in flight: neither the figure nor its counters of
  // work.
  std::chrono::steady_clock::duration still{};

  // Nothing that it counts as in flight is being worked on, as far as can be seen. It is not idle for that.
  bool stalled() const { return still >= std::chrono::seconds(2); }
};

class EngineLoadTracker {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  // After the list and the label say so, until gateways have acted on it: where the pool says nothing else.
  static constexpr Duration kSettle = std::chrono::seconds(1);
  // A request may have been on its way then, or in preparation, where no gauge counts it; and gauges lag.
  // What comes after so long a while was sent by someone who does not follow the lists.
  static constexpr Duration kStragglers = std::chrono::seconds(10);
  // A choice among pods waits so long for a reading that may begin. It waits longer for a reading that may
  // not begin, as too many others are under way.
  static constexpr Duration kPatience = std::chrono::seconds(3);
  static constexpr Duration kPatienceForATurn = std::chrono::seconds(15);
  // And takes none that is older.
  static constexpr Duration kFresh = std::chrono::seconds(5);
  // Between readings of an engine that cannot be read: twice as long after each, up to this.
  static constexpr Duration kLongestPause = std::chrono::seconds(10);
  static constexpr Duration kMemory = std::chrono::minutes(3);

  // `withdrawn`: nobody is told any more to send requests to it. `confirmed`: and none is known who has yet
  // to act on that. True if a reading should begin now.
  bool request(const std::string& uid, bool withdrawn, Duration poll, TimePoint now,
               Duration settle = kSettle, bool confirmed = true);
  void began(const std::string& uid, TimePoint now);
  // The outcome of the reading that began last: a load, or why there is none.
  void took(const std::string& uid, std::optional<Load> load, std::string problem, TimePoint now,
            bool refused = false);
  // When the next reading is due; nothing while one is under way, or none is wanted.
  std::optional<TimePoint> due(const std::string& uid) const;
  // Someone has wanted it lately.
  bool is_wanted(const std::string& uid, TimePoint now) const;
  // Its newest reading told nothing.
  bool last_read_failed(const std::string& uid) const;

  // Null if nothing is known about it.
  const PodLoad* find(const std::string& uid) const;
  // What it said lately: null if that is nothing, or too old to choose by.
  const PodLoad* recent(const std::string& uid, TimePoint now) const;
  // True if the engine answered recently, or if its answer has timed out since it was requested for this
  // choice. False while its request is still queued. An engine that is busy and counts its work is asked
  // until it is seen to move, or not to. The same before and after the request() of one moment.
  bool answered_or_timed_out(const std::string& uid, TimePoint now) const;
  void sweep(TimePoint now);
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    PodLoad known;
    TimePoint first_wanted{};
    TimePoint last_wanted{};
    TimePoint began_at{};
    TimePoint answered_at{};
    int failures = 0;  // in a row
    Duration poll{};
    std::optional<TimePoint> off_lists_since;
    std::optional<TimePoint> confirmed_since;  // it is off the lists, and that is confirmed
    Duration settle{};
    // When the reading began that was the first to say what all have said since.
    std::optional<TimePoint> still_since;
    bool moves = false;  // of two readings shortly after each other, the later said another thing
    bool under_way = false;
  };
  static Duration pause(const Entry& entry);
  // Whether the reading that began last began so long after the pod had settled.
  static bool began_settled(const Entry& entry, Duration since);
  static void note_motion(Entry& entry, const std::optional<Load>& load, TimePoint now);
  std::unordered_map<std::string, Entry> entries_;
};

}  // namespace poolwarden::pool
