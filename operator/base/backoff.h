// How much longer to wait after each failure. Pure.
#pragma once

#include <chrono>
#include <cstdint>

namespace poolwarden::base {

// base * 2^failures, and `cap` from where that would be more; never overflows.
// With client-go's 5 ms and 1000 s: 5 ms, 10, 20, 40, 80, 160, 320, 640 ms, 1.28 s, 2.56, 5.12, 10.24,
// 20.48, 40.96, 81.92, 163.84, 327.68, 655.36 s, and 1000 s from the 19th on.
std::chrono::steady_clock::duration exponential_delay(std::chrono::steady_clock::duration base,
                                                      std::uint32_t failures,
                                                      std::chrono::steady_clock::duration cap);

}  // namespace poolwarden::base
