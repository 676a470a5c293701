// Text that a terminal may be given as it is.
//
// What others wrote into objects may hold escape sequences, ends of lines, and characters that turn the
// direction of writing. Each part of a line is made printable as it is added (base/text.h). So the only
// control characters in a TerminalText are our own: the newlines of end_line(), and the colours of a Style.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace poolwarden::commands {

enum class Style : std::uint8_t { kPlain, kHeading, kGood, kWarning, kBad, kFaint };

// Whether styles become escape sequences.
enum class Paint : bool { kOff, kOn };

class TerminalText {
 public:
  explicit TerminalText(Paint paint) : paint_(paint) {}

  TerminalText& add(std::string_view part, Style style = Style::kPlain);
  TerminalText& end_line();
  TerminalText& line(std::string_view part, Style style = Style::kPlain) {
    return add(part, style).end_line();
  }
  TerminalText& append(const TerminalText& other);

  const std::string& str() const { return text_; }

 private:
  Paint paint_;
  std::string text_;
};

std::size_t columns_of(std::string_view text);                 // characters, not bytes
std::string cut_to(std::string_view text, std::size_t width);  // to at most so many characters

}  // namespace poolwarden::commands
