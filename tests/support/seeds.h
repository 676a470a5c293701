// How many seeds a test takes that makes its inputs from seeds.
#pragma once

namespace poolwarden::test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kIsSanitized = true;
#elif defined(__has_feature)
inline constexpr bool kIsSanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
inline constexpr bool kIsSanitized = false;
#endif

// A tenth of them under a sanitizer: each takes forty times as long there, and what a sanitizer finds it
// finds within a few. The others are for what only the test itself can see.
constexpr unsigned seeds(unsigned all) {
  return kIsSanitized ? (all + 9) / 10 : all;
}

}  // namespace poolwarden::test
