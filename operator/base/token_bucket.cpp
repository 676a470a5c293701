#include "base/token_bucket.h"

#include <algorithm>

namespace poolwarden::base {

TokenBucket::TokenBucket(Duration period, std::int32_t burst) : period_(period), capacity_(period * burst) {}

bool TokenBucket::try_take(TimePoint now) {
  const TimePoint full_after = std::max(full_at_, now) + period_;
  if (full_after - now > capacity_) {
    return false;
  }
  full_at_ = full_after;
  return true;
}

}  // namespace poolwarden::base
