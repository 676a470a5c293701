// Texts that someone else wrote, made short and safe to print. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace poolwarden::base {

// The first `limit` bytes at most, cut between two characters of UTF-8.
std::string_view cut(std::string_view text, std::size_t limit);
// The same, with " ..." after what was cut.
std::string abridged(std::string text, std::size_t limit);

struct Character {
  char32_t code = 0;
  std::size_t size = 0;  // in bytes
};
// The first character of a text. Nothing if the text is empty, or does not begin with well-formed UTF-8.
std::optional<Character> first_character(std::string_view utf8);

// False for what a terminal obeys or does not show: control characters (C0, DEL and C1), characters of no
// width, those that turn the direction of writing, and separators of lines and paragraphs.
bool is_printable(char32_t code);
// What is not printable is spelled out: "\n", "\x1b", "\u202e". So is a byte that is not UTF-8: "\xff".
std::string printable(std::string_view text);
// Whatever is not printable ASCII becomes `instead`.
std::string ascii(std::string_view text, char instead = '?');

// Printable ASCII without a space, and not empty: nothing in it ends a word or a line.
bool is_plain_word(std::string_view text);

std::string plural(std::int64_t count, std::string_view what);  // "1 pod", "2 pods"

}  // namespace poolwarden::base
