// When the loop has been quiet for long enough to tidy up: after work, and seldom.
//
// Pure: time is an argument. Owned by the loop.
#pragma once

#include "kube/time.h"

namespace poolwarden::control {

class QuietSpell {
 public:
  static constexpr kube::Duration kQuiet = std::chrono::seconds(2);
  static constexpr kube::Duration kGap = std::chrono::minutes(1);

  // True if nothing has arrived for kQuiet and something has since the last time; not twice within kGap. To
  // be asked whenever the loop wakes.
  bool begins(bool something_arrived, kube::TimePoint now) {
    if (something_arrived) {
      last_arrival_ = now;
      is_due_ = true;
    }
    if (!is_due_ || now - last_arrival_ < kQuiet || now < not_before_) return false;
    is_due_ = false;
    not_before_ = now + kGap;
    return true;
  }

 private:
  kube::TimePoint last_arrival_{};
  kube::TimePoint not_before_{};
  bool is_due_ = false;
};

}  // namespace poolwarden::control
