#include "commands/text_table.h"

#include "base/text.h"

#include <algorithm>
#include <utility>

namespace poolwarden::commands {
namespace {

constexpr std::size_t kGap = 3;

}  // namespace

TextTable::TextTable(std::vector<std::string> headings) {
  std::vector<Cell> row;
  for (std::string& heading : headings) row.emplace_back(std::move(heading), Style::kHeading);
  rows_.push_back(std::move(row));
}

void TextTable::add(std::vector<Cell> row) {
  row.resize(rows_.front().size(), Cell(""));
  for (Cell& cell : row) cell.text = base::printable(cell.text);  // before its width is taken
  rows_.push_back(std::move(row));
}

TerminalText TextTable::render(Paint paint, std::size_t width) const {
  std::vector<std::size_t> widths(rows_.front().size(), 0);
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns_of(row[i].text));
  }
  TerminalText out(paint);
  for (const auto& row : rows_) {
    std::size_t used = 0;
    std::size_t blanks = 0;  // held back, so that no line ends in them
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (row[i].text.empty()) {
        blanks += widths[i] + kGap;
        continue;
      }
      const std::size_t start = used + blanks;
      if (width != 0 && start >= width) break;
      const std::string text = width == 0 ? row[i].text : cut_to(row[i].text, width - start);
      out.add(std::string(blanks, ' ')).add(text, row[i].style);
      used = start + columns_of(text);
      blanks = widths[i] - std::min(widths[i], columns_of(text)) + kGap;
    }
    out.end_line();
  }
  return out;
}

}  // namespace poolwarden::commands
