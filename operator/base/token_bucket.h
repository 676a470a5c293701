// When may it happen, and when may it happen again: a token bucket. Time is an argument.
//
// Owned and used by one thread.
#pragma once

#include <chrono>
#include <cstdint>

namespace poolwarden::base {

// `burst` tokens at once, then one every `period`. Full at the start.
//
// Kept as one moment: when the bucket is full again (the generic cell rate algorithm). So there is no
// rounding and nothing to refill.
class TokenBucket {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  // Precondition: period > 0, burst >= 1.
  TokenBucket(Duration period, std::int32_t burst);

  // Takes a token if there is one.
  bool try_take(TimePoint now);
  // When the next token is there; in the past if one is there already.
  TimePoint next_token() const { return full_at_ + period_ - capacity_; }
  bool full(TimePoint now) const { return full_at_ <= now; }

 private:
  Duration period_;
  Duration capacity_;  // period * burst
  TimePoint full_at_{};
};

}  // namespace poolwarden::base
