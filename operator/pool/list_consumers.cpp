#include "pool/list_consumers.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace poolwarden::pool {
namespace {

// A consumer that is slower than so many writes is told by its lag.
constexpr std::size_t kMostWrites = 64;

std::int64_t at(const std::vector<std::int64_t>& revisions, std::size_t shard) {
  return shard < revisions.size() ? revisions[shard] : 0;
}

}  // namespace

bool ListConsumers::saw(const api::ConsumerLease& lease, TimePoint now) {
  // It has said goodbye.
  if (lease.holder.empty() || lease.deleting) return gone(lease.name);
  auto found = entries_.find(lease.name);
  const bool is_new = found == entries_.end() || found->second.uid != lease.uid;
  if (found == entries_.end()) {
    if (entries_.size() >= kMost) return false;
    found = entries_.try_emplace(lease.name).first;
  }
  Entry& entry = found->second;
  const bool was_silent = entry.silent_since.has_value();
  const bool same = !is_new && !was_silent && entry.name == lease.holder && entry.kind == lease.kind &&
                    entry.applied == lease.applied && entry.unreadable == lease.unreadable;
  entry = {.uid = lease.uid,
           .name = lease.holder,
           .kind = lease.kind,
           .applied = lease.applied,
           .unreadable = lease.unreadable,
           .applied_at = lease.applied_at,
           .lease = std::clamp(std::chrono::seconds(lease.seconds), kShortest, kLongest),
           .changed = now,
           .heard = !is_new,
           .silent_since = std::nullopt};
  return !same;
}

void ListConsumers::heard_again(TimePoint now) {
  for (auto& [lease, entry] : entries_) {
    if (!entry.silent_since) entry.changed = now;
  }
}

std::vector<std::string> ListConsumers::fall_silent(TimePoint now) {
  std::vector<std::string> out;
  for (auto& [lease, entry] : entries_) {
    if (entry.silent_since || now < entry.changed + entry.lease) continue;
    entry.silent_since = now;
    if (entry.heard) out.push_back(entry.name);
  }
  return out;
}

std::optional<ListConsumers::TimePoint> ListConsumers::next_silence() const {
  std::optional<TimePoint> next;
  for (const auto& [lease, entry] : entries_) {
    const TimePoint due = entry.changed + entry.lease;
    if (!entry.silent_since) next = std::min(due, next.value_or(due));
  }
  return next;
}

std::size_t ListConsumers::live() const {
  return static_cast<std::size_t>(std::count_if(entries_.begin(), entries_.end(),
                                                [](const auto& item) { return !item.second.silent_since; }));
}

const std::vector<std::int64_t>* ListConsumers::applied(const std::string& lease) const {
  const auto found = entries_.find(lease);
  return found == entries_.end() ? nullptr : &found->second.applied;
}

// A revision beyond the newest is of another list, as that of a pool which had the same name.
AwaitedConsumer ListConsumers::lag(const Entry& entry, const std::vector<std::int64_t>& wanted,
                                   std::int64_t newest) {
  AwaitedConsumer out{.name = entry.name, .kind = entry.kind, .unreadable = entry.unreadable};
  for (std::size_t shard = 0; shard < wanted.size(); ++shard) {
    const std::int64_t told = at(entry.applied, shard);
    const std::int64_t has = told > newest ? 0 : told;
    if (shard > 0 && wanted[shard] - has <= out.behind()) continue;
    out.has = has;
    out.wanted = wanted[shard];
  }
  return out;
}

std::optional<AwaitedConsumer> ListConsumers::awaited(const std::vector<std::int64_t>& wanted,
                                                      std::int64_t newest) const {
  std::optional<AwaitedConsumer> slowest;
  for (const auto& [lease, entry] : entries_) {
    if (entry.silent_since) continue;
    AwaitedConsumer one = lag(entry, wanted, newest);
    if (one.behind() > 0 && (!slowest || one.behind() > slowest->behind())) slowest = std::move(one);
  }
  return slowest;
}

std::vector<api::ConsumerStatus> ListConsumers::slowest_first(const ListRevisions& list) const {
  std::vector<api::ConsumerStatus> out;
  out.reserve(entries_.size());
  for (const auto& [lease, entry] : entries_) {
    const AwaitedConsumer one = lag(entry, list.by_shard, list.newest);
    out.push_back({.name = entry.name,
                   .kind = entry.kind,
                   .revision = one.has,
                   .behind = std::max<std::int64_t>(one.behind(), 0),
                   .live = !entry.silent_since,
                   .applied_at = entry.applied_at});
  }
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
    return std::tuple(!a.live, -a.behind, a.name) < std::tuple(!b.live, -b.behind, b.name);
  });
  return out;
}

std::vector<std::string> ListConsumers::silent_lately(TimePoint now) const {
  std::vector<std::string> out;
  for (const auto& [lease, entry] : entries_) {
    if (entry.heard && entry.silent_since && now < *entry.silent_since + kTold) out.push_back(entry.name);
  }
  return out;
}

void ConfirmationTimes::written(std::int32_t shard, std::int64_t revision, TimePoint now) {
  if (writes_.size() >= kMostWrites) writes_.erase(writes_.begin());
  writes_.push_back({shard, revision, now});
}

std::vector<ConfirmationTimes::Duration> ConfirmationTimes::confirmed(const std::vector<std::int64_t>& before,
                                                                      const std::vector<std::int64_t>& after,
                                                                      TimePoint now) const {
  std::vector<Duration> out;
  for (const Write& write : writes_) {
    const auto shard = static_cast<std::size_t>(write.shard) - 1;
    if (at(before, shard) < write.revision && write.revision <= at(after, shard))
      out.push_back(now - write.answered);
  }
  return out;
}

}  // namespace poolwarden::pool
