#include "commands/terminal_text.h"

#include "base/text.h"

#include <algorithm>

namespace poolwarden::commands {
namespace {

// https://man7.org/linux/man-pages/man4/console_codes.4.html, ECMA-48 SGR
std::string_view sequence_of(Style style) {
  switch (style) {
    case Style::kPlain:
      return {};
    case Style::kHeading:
      return "\x1b[1m";
    case Style::kGood:
      return "\x1b[32m";
    case Style::kWarning:
      return "\x1b[33m";
    case Style::kBad:
      return "\x1b[31m";
    case Style::kFaint:
      return "\x1b[2m";
  }
  return {};
}

bool begins_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U;
}

}  // namespace

TerminalText& TerminalText::add(std::string_view part, Style style) {
  const std::string_view sequence = paint_ == Paint::kOn && !part.empty() ? sequence_of(style) : "";
  text_ += sequence;
  text_ += base::printable(part);
  if (!sequence.empty()) text_ += "\x1b[0m";
  return *this;
}

TerminalText& TerminalText::end_line() {
  text_ += '\n';
  return *this;
}

TerminalText& TerminalText::append(const TerminalText& other) {
  text_ += other.text_;
  return *this;
}

std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins_character));
}

std::string cut_to(std::string_view text, std::size_t width) {
  std::size_t seen = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (begins_character(text[i]) && seen++ == width) return std::string(text.substr(0, i));
  }
  return std::string(text);
}

}  // namespace poolwarden::commands
