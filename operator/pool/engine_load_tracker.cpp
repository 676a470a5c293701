#include "pool/engine_load_tracker.h"

#include "base/backoff.h"

#include <algorithm>
#include <utility>

namespace poolwarden::pool {

bool EngineLoadTracker::request(const std::string& uid, bool withdrawn, Duration poll, TimePoint now,
                                Duration settle, bool confirmed) {
  auto [found, fresh] = entries_.try_emplace(uid);
  Entry& entry = found->second;
  if (fresh || now - entry.last_wanted > kFresh) entry.first_wanted = now;
  entry.last_wanted = now;
  entry.poll = poll;
  entry.settle = settle;
  if (!withdrawn) {
    entry.off_lists_since.reset();
    entry.known.quiet = 0;
    entry.known.refused = false;  // of before: its engine may have started since
    entry.known.still_sent_to = false;
  } else if (!entry.off_lists_since) {
    entry.off_lists_since = now;
  }
  if (!withdrawn || !confirmed) {
    entry.confirmed_since.reset();
    entry.known.quiet = 0;
  } else if (!entry.confirmed_since) {
    entry.confirmed_since = now;
  }
  const auto next = due(uid);
  return next && now >= *next;
}

void EngineLoadTracker::began(const std::string& uid, TimePoint now) {
  Entry& entry = entries_[uid];
  entry.under_way = true;
  entry.began_at = now;
}

void EngineLoadTracker::took(const std::string& uid, std::optional<Load> load, std::string problem,
                             TimePoint now, bool refused) {
  const auto found = entries_.find(uid);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  entry.under_way = false;
  note_motion(entry, load, now);
  entry.answered_at = now;
  entry.known.answered = true;
  entry.failures = load ? 0 : entry.failures + 1;
  const bool quiet = load && load->in_flight == 0;
  if (!quiet) {
    entry.known.quiet = 0;
  } else if (began_settled(entry, {})) {
    ++entry.known.quiet;
  }
  const bool rose = load && entry.known.load && load->in_flight > entry.known.load->in_flight;
  if (rose && began_settled(entry, kStragglers)) entry.known.still_sent_to = true;
  entry.known.load = load;
  entry.known.problem = std::move(problem);
  entry.known.refused = !load && refused;
}

bool EngineLoadTracker::began_settled(const Entry& entry, Duration since) {
  if (!entry.off_lists_since || !entry.confirmed_since) return false;
  return entry.began_at >= std::max(*entry.off_lists_since + entry.settle, *entry.confirmed_since) + since;
}

void EngineLoadTracker::note_motion(Entry& entry, const std::optional<Load>& load, TimePoint now) {
  const std::optional<Load>& before = entry.known.load;
  const bool tells = load && load->work && load->in_flight > 0;
  const bool same =
      tells && entry.still_since && before->in_flight == load->in_flight && before->work == load->work;
  if (!same) {
    entry.moves = tells && before && before->work && now - entry.answered_at <= kFresh;
    entry.still_since = tells ? std::optional(entry.began_at) : std::nullopt;
  }
  entry.known.still = entry.still_since ? entry.began_at - *entry.still_since : Duration::zero();
  if (entry.known.stalled()) entry.moves = false;
}

std::optional<EngineLoadTracker::TimePoint> EngineLoadTracker::due(const std::string& uid) const {
  const auto found = entries_.find(uid);
  if (found == entries_.end() || found->second.under_way) return std::nullopt;
  const Entry& entry = found->second;
  return entry.known.answered ? entry.answered_at + pause(entry) : entry.first_wanted;
}

EngineLoadTracker::Duration EngineLoadTracker::pause(const Entry& entry) {
  if (entry.failures < 2) return entry.poll;
  const auto doublings = static_cast<std::uint32_t>(entry.failures - 1);
  return std::max(entry.poll, base::exponential_delay(std::chrono::seconds(1), doublings, kLongestPause));
}

bool EngineLoadTracker::is_wanted(const std::string& uid, TimePoint now) const {
  const auto found = entries_.find(uid);
  return found != entries_.end() && now - found->second.last_wanted <= kFresh;
}

bool EngineLoadTracker::last_read_failed(const std::string& uid) const {
  const auto found = entries_.find(uid);
  return found != entries_.end() && found->second.failures > 0;
}

const PodLoad* EngineLoadTracker::find(const std::string& uid) const {
  const auto found = entries_.find(uid);
  return found == entries_.end() ? nullptr : &found->second.known;
}

const PodLoad* EngineLoadTracker::recent(const std::string& uid, TimePoint now) const {
  const auto found = entries_.find(uid);
  if (found == entries_.end()) return nullptr;
  const Entry& entry = found->second;
  return entry.known.answered && now - entry.answered_at <= kFresh ? &entry.known : nullptr;
}

bool EngineLoadTracker::answered_or_timed_out(const std::string& uid, TimePoint now) const {
  const auto found = entries_.find(uid);
  if (found == entries_.end()) return false;
  const Entry& entry = found->second;
  const bool is_decided = !entry.still_since || entry.moves || entry.known.stalled();
  if (recent(uid, now) != nullptr && is_decided) return true;
  // What was wanted some time ago was another choice, with a patience of its own.
  if (!is_wanted(uid, now)) return false;
  if (recent(uid, now) != nullptr) return now - entry.first_wanted >= kPatience;
  if (now - entry.first_wanted >= kPatienceForATurn) return true;
  const auto next = due(uid);
  if (next && now >= *next) return false;
  const TimePoint since = entry.under_way ? std::max(entry.began_at, entry.first_wanted) : entry.first_wanted;
  return now - since >= kPatience;
}

void EngineLoadTracker::sweep(TimePoint now) {
  std::erase_if(entries_, [now](const auto& item) {
    return !item.second.under_way && now - item.second.last_wanted > kMemory;
  });
}

}  // namespace poolwarden::pool
