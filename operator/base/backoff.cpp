#include "base/backoff.h"

#include <algorithm>

namespace poolwarden::base {

std::chrono::steady_clock::duration exponential_delay(std::chrono::steady_clock::duration base,
                                                      std::uint32_t failures,
                                                      std::chrono::steady_clock::duration cap) {
  auto delay = std::min(base, cap);
  for (std::uint32_t i = 0; i < failures && delay < cap; ++i) {
    // Compared before it is doubled: the product itself could overflow.
    delay = delay > cap / 2 ? cap : delay * 2;
  }
  return delay;
}

}  // namespace poolwarden::base
