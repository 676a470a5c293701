#include "pool/replica_moves.h"

#include <algorithm>

namespace poolwarden::pool {
namespace {

constexpr std::chrono::minutes kLately{10};
constexpr std::chrono::hours kFallIsTold{1};
constexpr std::size_t kRemembered = 16;
// People change their minds, too; but not so often.
constexpr int kContested = 3;
constexpr std::chrono::seconds kMostWait{60};

}  // namespace

bool is_a_fall(std::int32_t from, std::int32_t to) {
  return to > 0 && to < from - to;
}

void ReplicaMoves::scaled(std::int32_t from, std::int32_t to, TimePoint now) {
  moved({Side::kPool, from, to, now});
}

void ReplicaMoves::adopted(std::int32_t from, std::int32_t to, TimePoint now) {
  moved({Side::kTarget, from, to, now});
}

void ReplicaMoves::moved(Move move) {
  moves_.push_back(move);
  if (moves_.size() > kRemembered) moves_.pop_front();
}

int ReplicaMoves::undone(TimePoint now) const {
  int count = 0;
  for (std::size_t i = moves_.size(); i > 1; --i) {
    const Move& last = moves_[i - 1];
    const Move& before = moves_[i - 2];
    if (now - before.when > kLately || last.by == before.by || last.to != before.from) break;
    ++count;
  }
  return count;
}

std::optional<ReplicaMoves::Counts> ReplicaMoves::contested(TimePoint now) const {
  if (undone(now) < kContested) return std::nullopt;
  const Move& last = moves_.back();
  const bool by_pool = last.by == Side::kPool;
  return Counts{.pool = by_pool ? last.to : last.from, .target = by_pool ? last.from : last.to};
}

ReplicaMoves::Duration ReplicaMoves::wait(TimePoint now) const {
  const int count = undone(now);
  if (count < kContested) return Duration{0};
  const std::chrono::seconds doubled{std::int64_t{1} << std::min(count - kContested, 6)};
  return std::max<Duration>(moves_.back().when + std::min(doubled, kMostWait) - now, Duration{0});
}

std::optional<ReplicaMoves::Fall> ReplicaMoves::fall(TimePoint now) const {
  if (moves_.empty()) return std::nullopt;
  const Move& last = moves_.back();
  const bool fell = last.by == Side::kTarget && is_a_fall(last.from, last.to);
  if (!fell || now - last.when >= kFallIsTold) return std::nullopt;
  return Fall{.from = last.from, .to = last.to};
}

}  // namespace poolwarden::pool
