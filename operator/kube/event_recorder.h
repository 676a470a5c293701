// Kubernetes Events (events.k8s.io/v1) without the network: occurrences go in, calls come out.
//
// Promises: recording costs a look-up and never blocks. An occurrence is written as a new Event. The same
// occurrence again makes it a series, of which only the count is written. The count is written at once for
// the second, then when it has been quiet for six minutes, and every half hour while it is not. (client-go's
// tools/events does the same.) "The same" includes the note, unlike in client-go. A note cannot be changed
// once written, and "pod a was withdrawn" must not be counted into "pod b was withdrawn".
//
// Events are a courtesy, and everything about them is bounded: what waits (oldest dropped), what is
// remembered, how fast all are written, how often one is tried. One object may have 25 Events at once, then
// one every five minutes, as in client-go's EventSourceObjectSpamFilter. What is dropped is counted
// (stats()). One call is in flight at a time.
//
// Owned and used by one thread.
#pragma once

#include "base/token_bucket.h"
#include "kube/client.h"
#include "kube/lru_map.h"
#include "kube/result.h"
#include "kube/time.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace poolwarden::kube {

enum class EventType : std::uint8_t { kNormal, kWarning };

// The object an event is about.
struct EventTarget {
  std::string kind;
  std::string api_version;
  std::string ns;  // empty: cluster-scoped; its events live in "default"
  std::string name;
  std::string uid;
  std::string resource_version;
};

struct EventLimits {
  std::size_t queue = 1000;                          // client-go: maxQueuedEvents
  std::size_t remembered = 1024;                     // events that a repeat would be counted into
  std::size_t objects = 4096;                        // client-go: maxLruCacheEntries
  std::int32_t object_burst = 25;                    // client-go: defaultSpamBurst
  Duration object_period = std::chrono::minutes{5};  // client-go: defaultSpamQPS = 1/300
  std::int32_t burst = 50;                           // for all objects together: ours
  Duration period = std::chrono::milliseconds{200};
  int tries = 12;                                      // client-go: maxTriesPerEvent
  Duration retry_after = std::chrono::seconds{10};     // client-go: defaultSleepDuration
  Duration series_quiet = std::chrono::minutes{6};     // client-go: finishTime
  Duration series_refresh = std::chrono::minutes{30};  // client-go: refreshTime
};

struct EventStats {
  std::uint64_t created = 0;
  std::uint64_t patched = 0;
  std::uint64_t dropped_full = 0;     // too many waiting or remembered
  std::uint64_t dropped_limited = 0;  // too many for one object
  std::uint64_t dropped_failed = 0;   // refused by the API server, or tried too often

  std::uint64_t dropped() const { return dropped_full + dropped_limited + dropped_failed; }
};

struct EventCall {
  std::uint64_t id = 0;
  Call call;
};

class EventRecorder {
 public:
  // `reporting_instance`: the pod's name.
  explicit EventRecorder(std::string reporting_instance, EventLimits limits = {});

  // `action`: what we did or tried ("Withdraw"); `reason`: why, as a word ("NotReady"); `note`: for people.
  void record(const EventTarget& target, EventType type, std::string_view reason, std::string_view action,
              std::string_view note, TimePoint now, WallTime wall);

  // The next call to make, if one may be made now; finished() must follow.
  std::optional<EventCall> next(TimePoint now);
  void finished(std::uint64_t id, const Result<std::string>& answer, TimePoint now);
  // When next() may have something to return; nothing: not before the next record() or finished().
  std::optional<TimePoint> next_deadline() const;

  const EventStats& stats() const { return stats_; }
  std::size_t waiting() const { return queue_.size(); }

 private:
  struct Series {
    EventTarget target;
    EventType type = EventType::kNormal;
    std::string reason;
    std::string action;
    std::string note;
    WallTime first_wall{};
    WallTime last_wall{};
    TimePoint last_seen{};
    TimePoint last_write{};
    std::int64_t count = 1;    // occurrences
    std::int64_t written = 0;  // of them, those the API server knows of; 0: it has no such Event
    std::string name;          // of the Event, once a create was tried
    int tries = 0;             // of the present write
    bool name_sent = false;    // a create with this name had no answer: the Event may exist
    bool queued = false;       // its key is in queue_
  };
  struct InFlight {
    std::uint64_t id = 0;
    std::string key;
    std::int64_t count = 0;
    bool creating = false;
  };

  bool write_due(const Series& series, TimePoint now) const;
  void enqueue(const std::string& key, Series& series);
  void sweep(TimePoint now);
  bool object_may(const EventTarget& target, TimePoint now);
  void retry(const std::string& key, Series& series, const Error& error, TimePoint now);
  void give_up(std::string key, Series& series);
  std::string unique_name(const EventTarget& target, WallTime wall);
  Call create_call(Series& series);
  Call patch_call(const Series& series) const;

  std::string reporting_instance_;
  EventLimits limits_;
  LruMap<Series> series_;
  LruMap<base::TokenBucket> objects_;
  base::TokenBucket all_;
  std::deque<std::string> queue_;  // keys of series_ with a write due, oldest first; each once
  std::optional<InFlight> in_flight_;
  TimePoint hold_until_{};               // after a failure that may pass, nothing is tried before
  std::optional<TimePoint> next_sweep_;  // while series_ is not empty
  std::uint64_t last_id_ = 0;
  std::int64_t last_name_ = 0;
  EventStats stats_;
};

}  // namespace poolwarden::kube
