#include "api/labels.h"

#include <algorithm>

namespace poolwarden::api {
namespace {

bool may_be_label(const LabelMap::value_type& label) {
  return label.first.find('\0') == std::string::npos && label.second.find('\0') == std::string::npos;
}

std::string_view take_text(std::string_view& rest) {
  const std::string_view taken = rest.substr(0, rest.find('\0'));
  rest.remove_prefix(std::min(taken.size() + 1, rest.size()));
  return taken;
}

}  // namespace

Labels::Labels(const LabelMap& labels) {
  std::size_t size = 0;
  for (const auto& [key, value] : labels) size += key.size() + value.size() + 2;
  text_.reserve(size);
  for (const auto& label : labels) {
    if (!may_be_label(label)) continue;
    text_.append(label.first).push_back('\0');
    text_.append(label.second).push_back('\0');
  }
}

Labels Labels::unknown() {
  Labels out;
  out.text_ = kUnknown;
  return out;
}

std::optional<std::string_view> Labels::find(std::string_view key) const {
  std::string_view rest = text_;
  while (!rest.empty()) {
    const std::string_view name = take_text(rest);
    const std::string_view value = take_text(rest);
    if (name == key) return value;
  }
  return std::nullopt;
}

LabelMap Labels::to_map() const {
  LabelMap out;
  std::string_view rest = text_;
  while (!rest.empty()) {
    const std::string_view name = take_text(rest);
    out.emplace(name, take_text(rest));
  }
  return out;
}

}  // namespace poolwarden::api
