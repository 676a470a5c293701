// Which key to work on next. The rules are those of client-go's util/workqueue:
//
//   Fair       keys of a lane come in the order in which they were added, and groups of them take turns
//              (turn_queue.h);
//   Stingy     a key is never worked on twice at once, and a key added many times before it is worked on is
//              worked on once;
//   Complete   a key added while it is worked on is worked on again afterwards.
//
// What is different: two lanes. Urgent keys come first, but of five keys one is a normal one while there are
// any. So neither lane starves (strict priority does starve: controller-runtime#3496). And there are no
// locks. The queue is owned and used by one thread, time is an argument, and get() does not block.
// client-go's version needs a goroutine for delays; here get() and next_deadline() do that work.
//
// Memory is bounded by the number of distinct keys: a key is held once, however often it is added. A key is
// never dropped: the owner decides, by not adding it again. The queue delays no failed key either: the owner
// says with add_after() when to try again.
#pragma once

#include "kube/time.h"
#include "kube/turn_queue.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace poolwarden::kube {

// Receives the measurements that client-go's queues publish, under client-go's metric names. Between
// queue_duration() and work_duration() of a key it is being worked on: from that follow client-go's
// workqueue_unfinished_work_seconds and workqueue_longest_running_processor_seconds. Must outlive its queue.
class WorkQueueMetrics {
 public:
  virtual ~WorkQueueMetrics() = default;
  virtual void depth(std::size_t keys) = 0;          // workqueue_depth
  virtual void added() = 0;                          // workqueue_adds_total
  virtual void queue_duration(Duration waited) = 0;  // workqueue_queue_duration_seconds
  virtual void work_duration(Duration worked) = 0;   // workqueue_work_duration_seconds
};

enum class Lane : std::uint8_t { kUrgent, kNormal };

template <class Key, class Hash = std::hash<Key>, class GroupOf = OneGroup>
class WorkQueue {
 public:
  static constexpr int kUrgentShare = 4;  // urgent keys in a row while a normal one waits
  // Longer waits are cut to this, so that no key sleeps for ever on an arithmetic mistake.
  static constexpr Duration kLongestWait = std::chrono::hours{24};

  explicit WorkQueue(WorkQueueMetrics* metrics = nullptr) : metrics_(metrics) {}

  // Marks `key` as needing work. Adding it again with more urgency moves it to the urgent lane.
  void add(const Key& key, TimePoint now, Lane lane = Lane::kNormal);
  // Marks it once `delay` has passed. Of two waits for one key the earlier deadline wins.
  void add_after(const Key& key, Duration delay, TimePoint now, Lane lane = Lane::kNormal);

  // The next key to work on; done() must be called for it. Nothing: no key needs work now.
  std::optional<Key> get(TimePoint now);
  void done(const Key& key, TimePoint now);

  // When a waiting key comes due; get() makes it ready then. Says nothing of keys that are ready already.
  std::optional<TimePoint> next_deadline() const {
    return waiting_.empty() ? std::nullopt : std::optional(waiting_.begin()->due);
  }
  // Keys that are ready: all, or those of a lane.
  std::size_t size() const { return size(Lane::kUrgent) + size(Lane::kNormal); }
  std::size_t size(Lane which) const { return lane(which).size(); }

  // From now on every add is ignored and waiting keys are let go. Keys that are ready are still handed out.
  void shutdown();

 private:
  using LaneQueue = TurnQueue<Key, GroupOf>;

  struct Item {
    bool dirty = false;       // it needs work
    bool processing = false;  // it is being worked on. A key may be both; done() then queues it
    // Valid if and only if dirty and not processing: its place in lanes_[lane]. Every key of a lane has such
    // an item.
    typename LaneQueue::Place place{};
    Lane lane = Lane::kNormal;  // of the work it needs; meaningless unless dirty
    TimePoint added{};          // when it became dirty
    TimePoint started{};        // when get() handed it out
    std::uint64_t ticket = 0;   // of its entry in waiting_; 0: it has none
    TimePoint due{};            // of that entry
    Lane due_lane = Lane::kNormal;
  };

  struct Waiting {
    TimePoint due;
    std::uint64_t ticket;  // breaks ties in the order of adding
    Key key;
    bool operator<(const Waiting& other) const {
      return std::tie(due, ticket) < std::tie(other.due, other.ticket);
    }
  };

  LaneQueue& lane(Lane which) { return lanes_[static_cast<std::size_t>(which)]; }
  const LaneQueue& lane(Lane which) const { return lanes_[static_cast<std::size_t>(which)]; }
  void enqueue(const Key& key, Item& item);
  void promote_due(TimePoint now);
  Lane choose_lane();
  void release_if_idle(const Key& key);
  void report_depth() const {
    if (metrics_ != nullptr) {
      metrics_->depth(size());
    }
  }

  // Every key that is dirty, processing or waiting, and no other.
  std::unordered_map<Key, Item, Hash> items_;
  std::array<LaneQueue, 2> lanes_;
  std::set<Waiting> waiting_;  // one entry for each item with a ticket
  std::uint64_t last_ticket_ = 0;
  int urgent_in_a_row_ = 0;     // taken while a normal key was waiting
  bool shutting_down_ = false;  // nothing becomes dirty or waiting any more
  WorkQueueMetrics* metrics_;
};

template <class Key, class Hash, class GroupOf>
void WorkQueue<Key, Hash, GroupOf>::add(const Key& key, TimePoint now, Lane wanted) {
  if (shutting_down_) {
    return;
  }
  Item& item = items_[key];
  if (item.dirty) {
    if (item.lane == Lane::kNormal && wanted == Lane::kUrgent) {
      item.lane = Lane::kUrgent;
      if (!item.processing) {
        lane(Lane::kUrgent).take_over(lane(Lane::kNormal), item.place);
      }
    }
    return;
  }
  item.dirty = true;
  item.lane = wanted;
  item.added = now;
  if (metrics_ != nullptr) {
    metrics_->added();
  }
  if (!item.processing) {
    enqueue(key, item);
  }
}

template <class Key, class Hash, class GroupOf>
void WorkQueue<Key, Hash, GroupOf>::enqueue(const Key& key, Item& item) {
  item.place = lane(item.lane).push(key);
  report_depth();
}

template <class Key, class Hash, class GroupOf>
void WorkQueue<Key, Hash, GroupOf>::add_after(const Key& key, Duration delay, TimePoint now, Lane wanted) {
  if (shutting_down_) {
    return;
  }
  if (delay <= Duration::zero()) {
    add(key, now, wanted);
    return;
  }
  promote_due(now);  // or a wait that is over, but not yet noticed, would swallow this one
  const TimePoint due = now + std::min(delay, kLongestWait);
  Item& item = items_[key];
  if (item.ticket != 0) {
    // Urgency is about the place in the queue, not about the moment: the two are kept apart.
    item.due_lane = std::min(item.due_lane, wanted);
    if (item.due <= due) {
      return;
    }
    waiting_.erase(Waiting{item.due, item.ticket, key});
  } else {
    item.due_lane = wanted;
  }
  item.due = due;
  item.ticket = ++last_ticket_;
  waiting_.insert(Waiting{due, item.ticket, key});
}

template <class Key, class Hash, class GroupOf>
void WorkQueue<Key, Hash, GroupOf>::promote_due(TimePoint now) {
  while (!waiting_.empty() && waiting_.begin()->due <= now) {
    const Key key = waiting_.begin()->key;
    waiting_.erase(waiting_.begin());
    Item& item = items_.at(key);
    item.ticket = 0;
    add(key, now, item.due_lane);
  }
}

template <class Key, class Hash, class GroupOf>
Lane WorkQueue<Key, Hash, GroupOf>::choose_lane() {
  if (lane(Lane::kNormal).empty()) {
    urgent_in_a_row_ = 0;
    return Lane::kUrgent;
  }
  if (lane(Lane::kUrgent).empty() || urgent_in_a_row_ == kUrgentShare) {
    urgent_in_a_row_ = 0;
    return Lane::kNormal;
  }
  ++urgent_in_a_row_;
  return Lane::kUrgent;
}

template <class Key, class Hash, class GroupOf>
std::optional<Key> WorkQueue<Key, Hash, GroupOf>::get(TimePoint now) {
  promote_due(now);
  if (size() == 0) {
    return std::nullopt;
  }
  Key key = lane(choose_lane()).pop();
  Item& item = items_.at(key);
  item.dirty = false;
  item.processing = true;
  item.started = now;
  if (metrics_ != nullptr) {
    metrics_->queue_duration(now - item.added);
  }
  report_depth();
  return key;
}

template <class Key, class Hash, class GroupOf>
void WorkQueue<Key, Hash, GroupOf>::done(const Key& key, TimePoint now) {
  const auto found = items_.find(key);
  if (found == items_.end() || !found->second.processing) {
    return;  // never handed out, or done twice
  }
  Item& item = found->second;
  item.processing = false;
  if (metrics_ != nullptr) {
    metrics_->work_duration(now - item.started);
  }
  if (item.dirty) {
    enqueue(found->first, item);
    return;
  }
  release_if_idle(key);
}

template <class Key, class Hash, class GroupOf>
void WorkQueue<Key, Hash, GroupOf>::release_if_idle(const Key& key) {
  const auto found = items_.find(key);
  if (!found->second.dirty && !found->second.processing && found->second.ticket == 0) {
    items_.erase(found);
  }
}

template <class Key, class Hash, class GroupOf>
void WorkQueue<Key, Hash, GroupOf>::shutdown() {
  shutting_down_ = true;
  while (!waiting_.empty()) {
    const Key key = waiting_.begin()->key;
    waiting_.erase(waiting_.begin());
    items_.at(key).ticket = 0;
    release_if_idle(key);
  }
}

}  // namespace poolwarden::kube
