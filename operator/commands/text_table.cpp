#include "commands/text_table.h"

#include <algorithm>
#include <utility>

namespace poolwarden::commands {
namespace {

constexpr std::size_t kGap = 3;

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

std::string Paint::operator()(Style style, std::string_view text) const {
  const std::string_view sequence = sequence_of(style);
  if (!on_ || sequence.empty() || text.empty()) return std::string(text);
  return std::string(sequence).append(text).append("\x1b[0m");
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

TextTable::TextTable(std::vector<std::string> headings) {
  std::vector<Cell> row;
  for (std::string& heading : headings) row.emplace_back(std::move(heading), Style::kHeading);
  rows_.push_back(std::move(row));
}

void TextTable::add(std::vector<Cell> row) {
  row.resize(rows_.front().size(), Cell(""));
  rows_.push_back(std::move(row));
}

std::string TextTable::render(const Paint& paint, std::size_t width) const {
  std::vector<std::size_t> widths(rows_.front().size(), 0);
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns_of(row[i].text));
  }
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
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
      line.append(blanks, ' ').append(paint(row[i].style, text));
      used = start + columns_of(text);
      blanks = widths[i] - std::min(widths[i], columns_of(text)) + kGap;
    }
    out += line + "\n";
  }
  return out;
}

}  // namespace poolwarden::commands
