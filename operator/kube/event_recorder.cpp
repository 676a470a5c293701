#include "kube/event_recorder.h"

#include "base/text.h"
#include "base/time.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::kube {
namespace {

using nlohmann::json;

constexpr std::string_view kReportingController = "poolwarden.io/operator";
// Limits of the API server: pkg/apis/core/validation/events.go.
constexpr std::size_t kNoteLimit = 1024;
constexpr std::size_t kWordLimit = 128;
constexpr std::size_t kNameLimit = 253;
constexpr Duration kSweepPeriod = std::chrono::minutes{1};

std::string_view to_string(EventType type) {
  return type == EventType::kNormal ? "Normal" : "Warning";
}

std::string object_key(const EventTarget& target) {
  return fmt::format("{}\n{}\n{}\n{}", target.kind, target.ns, target.name, target.uid);
}

// What is no UTF-8 is replaced.
std::string to_text(const json& object) {
  return object.dump(-1, ' ', /*ensure_ascii=*/false, json::error_handler_t::replace);
}

std::string event_namespace(const EventTarget& target) {
  return target.ns.empty() ? "default" : target.ns;
}

}  // namespace

EventRecorder::EventRecorder(std::string reporting_instance, EventLimits limits)
    : reporting_instance_(base::cut(reporting_instance, kWordLimit)),
      limits_(limits),
      series_(limits.remembered),
      objects_(limits.objects),
      all_(limits.period, limits.burst) {}

void EventRecorder::record(const EventTarget& target, EventType type, std::string_view reason,
                           std::string_view action, std::string_view note, TimePoint now, WallTime wall) {
  sweep(now);
  const std::string clipped_note(base::cut(base::printable(note), kNoteLimit));
  const std::string key =
      fmt::format("{}\n{}\n{}\n{}\n{}", object_key(target), to_string(type), reason, action, clipped_note);
  if (Series* known = series_.use(key)) {
    ++known->count;
    known->last_wall = wall;
    known->last_seen = now;
    if (write_due(*known, now)) {
      enqueue(key, *known);
    }
    return;
  }
  // Only new Events are charged to their object: what a series writes later is bounded by its own pace.
  if (!object_may(target, now)) {
    ++stats_.dropped_limited;
    return;
  }
  Series series;
  series.target = target;
  series.type = type;
  series.reason = base::cut(reason, kWordLimit);
  series.action = base::cut(action, kWordLimit);
  series.note = clipped_note;
  series.first_wall = wall;
  series.last_wall = wall;
  series.last_seen = now;
  if (const auto gone = series_.insert(key, std::move(series)); gone && gone->second.queued) {
    queue_.erase(std::find(queue_.begin(), queue_.end(), gone->first));
    ++stats_.dropped_full;
  }
  enqueue(key, *series_.peek(key));
  if (!next_sweep_) {
    next_sweep_ = now + kSweepPeriod;
  }
}

bool EventRecorder::write_due(const Series& series, TimePoint now) const {
  if (series.written == 0) {
    return true;
  }
  if (series.count == series.written) {
    return false;
  }
  return series.written == 1 || now - series.last_seen >= limits_.series_quiet ||
         now - series.last_write >= limits_.series_refresh;
}

void EventRecorder::enqueue(const std::string& key, Series& series) {
  if (series.queued || (in_flight_ && in_flight_->key == key)) {
    return;
  }
  if (queue_.size() == limits_.queue) {
    ++stats_.dropped_full;
    give_up(queue_.front(), *series_.peek(queue_.front()));
  }
  series.queued = true;
  queue_.push_back(key);
}

// The present write of the series is not tried again. It stays remembered if the Event exists, for the
// count may be written another time; if not, the next occurrence is a new Event.
void EventRecorder::give_up(std::string key, Series& series) {
  if (series.queued) {
    series.queued = false;
    queue_.erase(std::find(queue_.begin(), queue_.end(), key));
  }
  series.tries = 0;
  if (series.written == 0) {
    series_.erase(key);
  } else {
    series.written = series.count;
  }
}

bool EventRecorder::object_may(const EventTarget& target, TimePoint now) {
  const std::string key = object_key(target);
  base::TokenBucket* bucket = objects_.use(key);
  if (bucket == nullptr) {
    objects_.insert(key, base::TokenBucket(limits_.object_period, limits_.object_burst));
    bucket = objects_.peek(key);
  }
  return bucket->try_take(now);
}

// Writes the last count of series that have ended, forgets those that have nothing to write, and refreshes
// long ones before the API server lets them expire (--event-ttl, one hour).
void EventRecorder::sweep(TimePoint now) {
  if (!next_sweep_ || now < *next_sweep_) {
    return;
  }
  series_.erase_if([&](const std::string& key, Series& series) {
    const bool busy = series.queued || (in_flight_ && in_flight_->key == key);
    if (!busy && write_due(series, now)) {
      enqueue(key, series);
      return false;
    }
    return !busy && now - series.last_seen >= limits_.series_quiet;
  });
  objects_.erase_if([&](const std::string&, const base::TokenBucket& bucket) { return bucket.full(now); });
  next_sweep_ = series_.empty() && objects_.empty() ? std::nullopt : std::optional(now + kSweepPeriod);
}

std::optional<EventCall> EventRecorder::next(TimePoint now) {
  sweep(now);
  if (in_flight_ || queue_.empty() || now < hold_until_ || !all_.try_take(now)) {
    return std::nullopt;
  }
  const std::string key = std::move(queue_.front());
  queue_.pop_front();
  Series& series = *series_.peek(key);
  series.queued = false;
  ++series.tries;
  const bool creating = series.written == 0;
  in_flight_ = InFlight{++last_id_, key, series.count, creating};
  return EventCall{last_id_, creating ? create_call(series) : patch_call(series)};
}

std::optional<TimePoint> EventRecorder::next_deadline() const {
  std::optional<TimePoint> due = next_sweep_;
  if (!in_flight_ && !queue_.empty()) {
    const TimePoint write = std::max(hold_until_, all_.next_token());
    due = due ? std::min(*due, write) : write;
  }
  return due;
}

void EventRecorder::finished(std::uint64_t id, const Result<std::string>& answer, TimePoint now) {
  if (!in_flight_ || in_flight_->id != id) {
    return;
  }
  const InFlight done = *std::exchange(in_flight_, std::nullopt);
  Series* series = series_.peek(done.key);
  // A create that is repeated because its answer was lost finds its own Event there.
  const bool exists = !answer && answer.error().already_exists() && done.creating;
  const bool written_before = exists && series != nullptr && series->name_sent;
  if (answer || written_before) {
    ++(done.creating ? stats_.created : stats_.patched);
    if (series != nullptr) {
      series->written = written_before ? 1 : done.count;
      series->name_sent = false;
      series->last_write = now;
      series->tries = 0;
      if (write_due(*series, now)) {
        enqueue(done.key, *series);
      }
    }
    return;
  }
  if (series == nullptr) {
    ++stats_.dropped_failed;
    return;
  }
  if (!done.creating && answer.error().is_not_found()) {
    series->written = 0;  // expired, or deleted by someone: it becomes a new Event
    series->name.clear();
    retry(done.key, *series, answer.error(), now);
    return;
  }
  if (exists) {
    series->name.clear();  // the name is another's
  }
  if (exists || answer.error().cls == ErrorClass::kRetry) {
    series->name_sent = done.creating && !exists;
    retry(done.key, *series, answer.error(), now);
    return;
  }
  // Refused (no such namespace any more, not allowed, not valid): the same bytes never succeed.
  ++stats_.dropped_failed;
  give_up(done.key, *series);
}

void EventRecorder::retry(const std::string& key, Series& series, const Error& error, TimePoint now) {
  if (series.tries >= limits_.tries) {
    ++stats_.dropped_failed;
    give_up(key, series);
    return;
  }
  series.queued = true;
  queue_.push_front(key);
  if (error.cls == ErrorClass::kRetry) {
    // All events hold, not this one alone: what failed is the way to the API server.
    hold_until_ = now + std::max<Duration>(limits_.retry_after,
                                           error.retry_after.value_or(std::chrono::milliseconds{0}));
  }
}

// "<name>.<hex>" as client-go does; the number is the time in nanoseconds, and never the same twice.
std::string EventRecorder::unique_name(const EventTarget& target, WallTime wall) {
  const auto nanos = std::chrono::duration_cast<std::chrono::nanoseconds>(wall.time_since_epoch()).count();
  last_name_ = std::max<std::int64_t>(nanos, last_name_ + 1);
  const std::string suffix = fmt::format(".{:x}", last_name_);
  std::string name = target.name.substr(0, kNameLimit - suffix.size());
  while (!name.empty() && (name.back() == '.' || name.back() == '-')) {
    name.pop_back();  // each part of a name ends in a letter or digit
  }
  return name + suffix;
}

Call EventRecorder::create_call(Series& series) {
  if (series.name.empty()) {
    series.name = unique_name(series.target, series.last_wall);
  }
  const EventTarget& target = series.target;
  json regarding = {{"kind", target.kind}, {"apiVersion", target.api_version}, {"name", target.name}};
  for (const auto& [field, value] : {std::pair{"namespace", &target.ns}, std::pair{"uid", &target.uid},
                                     std::pair{"resourceVersion", &target.resource_version}}) {
    if (!value->empty()) {
      regarding[field] = *value;
    }
  }
  const std::string ns = event_namespace(target);
  json event = {{"apiVersion", "events.k8s.io/v1"},
                {"kind", "Event"},
                {"metadata", {{"name", series.name}, {"namespace", ns}}},
                {"eventTime", base::to_micro_time(series.first_wall)},
                {"type", to_string(series.type)},
                {"reason", series.reason},
                {"action", series.action},
                {"note", series.note},
                {"regarding", std::move(regarding)},
                {"reportingController", kReportingController},
                {"reportingInstance", reporting_instance_}};
  if (series.count > 1) {
    event["series"] = {{"count", series.count}, {"lastObservedTime", base::to_micro_time(series.last_wall)}};
  }
  return create(kEvents, ns, to_text(event));
}

Call EventRecorder::patch_call(const Series& series) const {
  const json patch = {
      {"series", {{"count", series.count}, {"lastObservedTime", base::to_micro_time(series.last_wall)}}}};
  return merge_patch(kEvents, event_namespace(series.target), series.name, to_text(patch));
}

}  // namespace poolwarden::kube
