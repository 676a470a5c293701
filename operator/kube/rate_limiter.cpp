#include "kube/rate_limiter.h"

#include <algorithm>

namespace poolwarden::kube {

TokenBucket::TokenBucket(Duration period, std::int32_t burst) : period_(period), capacity_(period * burst) {}

bool TokenBucket::try_take(TimePoint now) {
  const TimePoint full_after = std::max(full_at_, now) + period_;
  if (full_after - now > capacity_) {
    return false;
  }
  full_at_ = full_after;
  return true;
}

Duration TokenBucket::reserve(TimePoint now) {
  full_at_ = std::max(full_at_, now) + period_;
  return std::max(Duration::zero(), full_at_ - now - capacity_);
}

}  // namespace poolwarden::kube
