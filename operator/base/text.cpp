#include "base/text.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace poolwarden::base {
namespace {

struct CodeRange {
  char32_t first;
  char32_t last;
};

// Of Unicode's categories Cc, Cf, Zl and Zp, but for those of Cf that are drawn.
// https://www.unicode.org/Public/UCD/latest/ucd/extracted/DerivedGeneralCategory.txt
constexpr std::array kNotPrintable{
    CodeRange{0x00, 0x1F},        // C0
    CodeRange{0x7F, 0x9F},        // DEL and C1
    CodeRange{0xAD, 0xAD},        // soft hyphen
    CodeRange{0x61C, 0x61C},      // a mark of direction
    CodeRange{0x180E, 0x180E},    // no width
    CodeRange{0x200B, 0x200F},    // no width, and marks of direction
    CodeRange{0x2028, 0x202E},    // separators of lines and paragraphs, overrides of direction
    CodeRange{0x2060, 0x206F},    // no width, and isolates of direction
    CodeRange{0xFEFF, 0xFEFF},    // byte order mark
    CodeRange{0xFFF9, 0xFFFB},    // annotations
    CodeRange{0x1D173, 0x1D17A},  // of musical notation
    CodeRange{0xE0000, 0xE007F},  // tags
};

bool is_printable_ascii(char c) {
  return c >= ' ' && c <= '~';
}

std::string spelled_out(char32_t code) {
  if (code == '\n') return "\\n";
  if (code == '\r') return "\\r";
  if (code == '\t') return "\\t";
  const auto number = static_cast<std::uint32_t>(code);
  if (number < 0x80) return fmt::format("\\x{:02x}", number);
  return number < 0x10000 ? fmt::format("\\u{:04x}", number) : fmt::format("\\U{:08x}", number);
}

}  // namespace

std::string_view cut(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return text;
  std::size_t end = limit;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return text.substr(0, end);
}

std::string abridged(std::string text, std::size_t limit) {
  if (text.size() <= limit) return text;
  text.resize(cut(text, limit).size());
  return text + " ...";
}

std::optional<Character> first_character(std::string_view utf8) {
  if (utf8.empty()) return std::nullopt;
  const auto lead = static_cast<unsigned char>(utf8.front());
  if (lead < 0x80) return Character{lead, 1};
  const std::size_t size = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (lead < 0xC2 || lead > 0xF4 || utf8.size() < size) return std::nullopt;
  char32_t code = lead & (0x7FU >> size);
  for (const char next : utf8.substr(1, size - 1)) {
    const auto byte = static_cast<unsigned char>(next);
    if ((byte & 0xC0U) != 0x80U) return std::nullopt;
    code = (code << 6U) | (byte & 0x3FU);
  }
  // Spelled longer than need be, half of a pair of UTF-16, or beyond Unicode.
  const char32_t least = size == 2 ? 0x80 : size == 3 ? 0x800 : 0x10000;
  if (code < least || (code >= 0xD800 && code <= 0xDFFF) || code > 0x10FFFF) return std::nullopt;
  return Character{code, size};
}

bool is_printable(char32_t code) {
  return std::none_of(kNotPrintable.begin(), kNotPrintable.end(),
                      [code](const CodeRange& range) { return code >= range.first && code <= range.last; });
}

std::string printable(std::string_view text) {
  if (std::all_of(text.begin(), text.end(), is_printable_ascii)) return std::string(text);
  std::string out;
  out.reserve(text.size() + 16);
  while (!text.empty()) {
    const auto found = first_character(text);
    if (!found) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text.front()));
    } else if (is_printable(found->code)) {
      out += text.substr(0, found->size);
    } else {
      out += spelled_out(found->code);
    }
    text.remove_prefix(found ? found->size : 1);
  }
  return out;
}

std::string ascii(std::string_view text, char instead) {
  std::string out(text);
  std::replace_if(
      out.begin(), out.end(), [](char c) { return !is_printable_ascii(c); }, instead);
  return out;
}

bool is_plain_word(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

std::string plural(std::int64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

}  // namespace poolwarden::base
