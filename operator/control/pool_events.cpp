#include "control/pool_events.h"

#include "api/names.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::control {
namespace {

// How long withdrawals are gathered before they are told together.
constexpr kube::Duration kGathering = std::chrono::minutes(1);
// A pool that has lost nothing for so long is told of one by one again.
constexpr kube::Duration kCalm = std::chrono::minutes(15);

kube::EventTarget target_of(const PoolName& pool) {
  kube::EventTarget target;
  target.api_version = std::string(api::kApiVersion);
  target.kind = std::string(api::kPoolKind);
  target.ns = pool.key.ns;
  target.name = pool.key.name;
  target.uid = pool.uid;
  return target;
}

}  // namespace

void PoolEvents::pool(const PoolRecord& record, const pool::EventNote& event, api::Now now) {
  this->record(target_of({record.key, record.uid}), event, now);
}

void PoolEvents::pod(const PoolRecord& record, const std::string& pod, const std::string& uid,
                     const pool::EventNote& event, api::Now now) {
  pool(record, event, now);
  kube::EventTarget target;
  target.api_version = "v1";
  target.kind = "Pod";
  target.ns = record.key.ns;
  target.name = pod;
  target.uid = uid;
  this->record(std::move(target), event, now);
}

void PoolEvents::withdrawn(const PoolRecord& record, const pool::EndpointChange& change,
                           const pool::EventNote& event, api::Now now) {
  Storm& storm = storms_[record.key];
  if (storm.pool.uid != record.uid) storm = Storm{};
  storm.pool = {record.key, record.uid};
  storm.last = now.mono;
  if (storm.by_reason.empty() && storm.one_by_one.try_take(now.mono)) {
    const bool was_deleted =
        change.reason == pool::Withdrawal::kDeleted || change.reason == pool::Withdrawal::kTerminating;
    return was_deleted ? pool(record, event, now) : pod(record, change.pod, change.uid, event, now);
  }
  if (storm.by_reason.empty()) {
    storm.due = now.mono + kGathering;
    storm.example = change.pod;
  }
  ++storm.by_reason[std::string(pool::to_string(change.reason))];
}

void PoolEvents::tell_storms(api::Now now) {
  for (auto& [key, storm] : storms_) {
    if (storm.by_reason.empty() || storm.due > now.mono) continue;
    std::int32_t all = 0;
    std::string reasons;
    for (const auto& [reason, count] : std::exchange(storm.by_reason, {})) {
      all += count;
      reasons += fmt::format("{}{} {}", reasons.empty() ? "" : ", ", count, reason);
    }
    record(target_of(storm.pool),
           {std::string(api::event::kWithdrawn), false,
            fmt::format("{} pod{} left the list of endpoints within a minute: {}; {} was the first", all,
                        all == 1 ? "" : "s", reasons, storm.example)},
           now);
  }
  std::erase_if(storms_, [&](const auto& item) {
    return item.second.by_reason.empty() && now.mono - item.second.last > kCalm;
  });
}

void PoolEvents::record(kube::EventTarget target, const pool::EventNote& event, api::Now now) {
  const auto type = event.warning ? kube::EventType::kWarning : kube::EventType::kNormal;
  recorder_.record(target, type, event.reason, event.reason, event.message, now.mono, now.wall);
}

void PoolEvents::post(WriteDispatcher& writes, api::Now now, Effects& out) {
  tell_storms(now);
  if (in_flight_) return;
  auto next = recorder_.next(now.mono);
  if (!next) return;
  in_flight_ = true;
  writes.send_unthrottled(EventWrite{next->id}, {}, {}, std::move(next->call), Expect::kText, now.mono, out);
}

void PoolEvents::posted(const EventWrite& write, const kube::Result<std::string>& answer,
                        kube::TimePoint now) {
  in_flight_ = false;
  recorder_.finished(write.id, answer, now);
}

std::optional<kube::TimePoint> PoolEvents::next_deadline() const {
  std::optional<kube::TimePoint> earliest = in_flight_ ? std::nullopt : recorder_.next_deadline();
  for (const auto& [key, storm] : storms_) {
    if (!storm.by_reason.empty()) earliest = std::min(storm.due, earliest.value_or(storm.due));
  }
  return earliest;
}

}  // namespace poolwarden::control
