#include "commands/export.h"

#include "api/json_text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include <nlohmann/json.hpp>

namespace poolwarden::commands {
namespace {

using nlohmann::json;

// A word of letters, or of a name: never a number, a date, a boolean or null.
bool is_plain(std::string_view text) {
  static constexpr std::array<std::string_view, 8> kTaken{"true", "false", "null", "yes",
                                                          "no",   "on",    "off",  "nan"};
  if (text.empty() || std::isalpha(static_cast<unsigned char>(text.front())) == 0) return false;
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (lower.size() == 1 || std::find(kTaken.begin(), kTaken.end(), lower) != kTaken.end()) return false;
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_' || c == '/';
  });
}

std::string scalar(const json& value) {
  if (!value.is_string()) return value.dump();
  const auto& text = value.get_ref<const std::string&>();
  if (is_plain(text)) return text;
  std::string out;
  api::append_json_string(out, text);  // a JSON string is a YAML string
  return out;
}

bool is_block(const json& value) {
  return value.is_structured() && !value.empty();
}

// NOLINTNEXTLINE(misc-no-recursion): our own documents, four levels deep
void append(std::string& out, const json& value, std::size_t indent) {
  const std::string margin(indent, ' ');
  bool first_of_item = !out.empty() && out.back() == ' ';  // "- " has placed us
  const auto start = [&] {
    if (!first_of_item) out += margin;
    first_of_item = false;
  };
  if (value.is_object()) {
    for (const auto& [key, each] : value.items()) {
      start();
      out += key + ":";
      if (is_block(each)) {
        out += "\n";
        append(out, each, indent + (each.is_array() ? 0 : 2));
      } else {
        out += " " + scalar(each) + "\n";
      }
    }
    return;
  }
  for (const json& each : value) {
    start();
    out += "- ";
    if (is_block(each)) {
      append(out, each, indent + 2);
    } else {
      out += scalar(each) + "\n";
    }
  }
}

}  // namespace

std::string to_yaml(const json& document) {
  if (!is_block(document)) return scalar(document) + "\n";
  std::string out;
  append(out, document, 0);
  return out;
}

std::string to_pretty_json(const json& document) {
  return document.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace poolwarden::commands
