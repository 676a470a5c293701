// When may it happen, and when may it happen again: a token bucket and an exponential delay per item, with
// the rules of client-go's util/workqueue/default_rate_limiters.go. Time is an argument.
//
// Owned and used by one thread. A TokenBucket is a few words; an ItemBackoff holds one counter for each item
// that has failed and was not forgotten, so its owner must forget items that succeed or cease to exist.
#pragma once

#include "base/backoff.h"
#include "kube/time.h"

#include <cstdint>
#include <functional>
#include <unordered_map>

namespace poolwarden::kube {

// `burst` tokens at once, then one every `period`. Full at the start.
//
// Kept as one moment, the one at which the bucket is full again (the generic cell rate algorithm), so that
// there is no rounding and nothing to refill.
class TokenBucket {
 public:
  // Precondition: period > 0, burst >= 1.
  TokenBucket(Duration period, std::int32_t burst);

  // Takes a token if there is one.
  bool try_take(TimePoint now);
  // Takes the next token, although it may come later, and says how long to wait for it: for work that is
  // delayed and not refused. The waits of a burst add up, so each caller gets its own slot.
  Duration reserve(TimePoint now);
  // When the next token is there; in the past if one is there already.
  TimePoint next_token() const { return full_at_ + period_ - capacity_; }
  bool full(TimePoint now) const { return full_at_ <= now; }

 private:
  Duration period_;
  Duration capacity_;  // period * burst
  TimePoint full_at_{};
};

using base::exponential_delay;

template <class Key, class Hash = std::hash<Key>>
class ItemBackoff {
 public:
  ItemBackoff(Duration base, Duration cap) : base_(base), cap_(cap) {}

  // The delay before the next try of `key`, which has just failed.
  Duration next(const Key& key) { return exponential_delay(base_, failures_[key]++, cap_); }
  void forget(const Key& key) { failures_.erase(key); }
  std::uint32_t failures(const Key& key) const {
    const auto found = failures_.find(key);
    return found == failures_.end() ? 0 : found->second;
  }

 private:
  Duration base_;
  Duration cap_;
  std::unordered_map<Key, std::uint32_t, Hash> failures_;
};

}  // namespace poolwarden::kube
