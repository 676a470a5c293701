#include "api/metric_selector.h"

#include <algorithm>

namespace poolwarden::api {
namespace {

constexpr std::size_t kMaxLabels = 4;

bool is_word(std::string_view text, bool with_colons) {
  const auto begins = [with_colons](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (with_colons && c == ':');
  };
  const auto belongs = [&](char c) { return begins(c) || (c >= '0' && c <= '9'); };
  return !text.empty() && begins(text.front()) && std::all_of(text.begin(), text.end(), belongs);
}

// Takes one label="value" from the front.
bool take_label(std::string_view& text, MetricSelector& out) {
  const std::size_t equals = text.find("=\"");
  if (equals == std::string_view::npos || !is_word(text.substr(0, equals), false)) return false;
  const std::size_t value = equals + 2;
  const std::size_t end = text.find_first_of("\"\\", value);
  if (end == std::string_view::npos || text[end] != '"') return false;
  out.labels.emplace_back(text.substr(0, equals), text.substr(value, end - value));
  text.remove_prefix(end + 1);
  return true;
}

}  // namespace

std::optional<MetricSelector> parse_metric_selector(std::string_view text) {
  const std::size_t brace = std::min(text.find('{'), text.size());
  MetricSelector out{.name = std::string(text.substr(0, brace)), .labels = {}};
  if (!is_word(out.name, true)) return std::nullopt;
  text.remove_prefix(brace);
  if (text.empty()) return out;
  do {
    text.remove_prefix(1);  // the brace, or a comma
    if (!take_label(text, out)) return std::nullopt;
  } while (text.starts_with(',') && out.labels.size() < kMaxLabels);
  return text == "}" ? std::optional(std::move(out)) : std::nullopt;
}

}  // namespace poolwarden::api
