// Text for a terminal: styles that vanish where no colours are wanted, and columns that line up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::commands {

enum class Style : std::uint8_t { kPlain, kHeading, kGood, kWarning, kBad, kFaint };

// Wraps text in the escape sequences of a style, or leaves it as it is.
class Paint {
 public:
  static Paint off() { return Paint(false); }
  static Paint on() { return Paint(true); }
  std::string operator()(Style style, std::string_view text) const;

 private:
  explicit Paint(bool on) : on_(on) {}
  bool on_;
};

struct Cell {
  Cell(std::string words, Style look = Style::kPlain)  // NOLINT(google-explicit-constructor)
      : text(std::move(words)), style(look) {}
  Cell(const char* words) : text(words) {}  // NOLINT(google-explicit-constructor)
  std::string text;
  Style style = Style::kPlain;
};

// Columns as wide as their widest cell, three spaces between them. The last one is not padded.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> headings);
  void add(std::vector<Cell> row);
  // `width`: longer lines are cut; 0 for none.
  std::string render(const Paint& paint, std::size_t width = 0) const;

 private:
  std::vector<std::vector<Cell>> rows_;
};

std::size_t columns_of(std::string_view text);                 // characters, not bytes
std::string cut_to(std::string_view text, std::size_t width);  // to at most so many characters

}  // namespace poolwarden::commands
