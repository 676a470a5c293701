// Columns that line up.
#pragma once

#include "commands/terminal_text.h"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace poolwarden::commands {

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
  TerminalText render(Paint paint, std::size_t width = 0) const;

 private:
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace poolwarden::commands
