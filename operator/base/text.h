// Texts that someone else wrote, made short and safe to print. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace poolwarden::base {

// The first `limit` bytes at most, cut between two characters of UTF-8.
std::string_view cut(std::string_view text, std::size_t limit);
// The same, with " ..." after what was cut.
std::string abridged(std::string text, std::size_t limit);

// Control characters become spaces, C0 and C1, which some terminals obey.
std::string printable(std::string_view text);
// Whatever is not printable ASCII becomes `instead`.
std::string ascii(std::string_view text, char instead = '?');

std::string plural(std::int64_t count, std::string_view what);  // "1 pod", "2 pods"

}  // namespace poolwarden::base
