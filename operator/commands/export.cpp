#include "commands/export.h"

#include "api/json_text.h"
#include "base/text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::commands {
namespace {

using nlohmann::json;

std::string escape_of(char32_t code, DocumentFormat format) {
  const auto number = static_cast<std::uint32_t>(code);
  if (number < 0x10000) return fmt::format("\\u{:04x}", number);
  if (format == DocumentFormat::kYaml) return fmt::format("\\U{:08x}", number);
  // JSON knows only UTF-16.
  const std::uint32_t above = number - 0x10000;
  return fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (above >> 10U), 0xDC00 + (above & 0x3FFU));
}

// Of a text in which C0 within strings is escaped already: the rest of what is not printable, which JSON lets
// stand. Outside of strings there is none of it but newlines.
std::string without_unprintables(std::string_view text, DocumentFormat format) {
  std::string out;
  out.reserve(text.size());
  while (const auto next = base::first_character(text)) {
    const bool stays = next->code == '\n' || base::is_printable(next->code);
    out += stays ? std::string(text.substr(0, next->size)) : escape_of(next->code, format);
    text.remove_prefix(next->size);
  }
  return out;
}

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
  return without_unprintables(out, DocumentFormat::kYaml);
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
  const std::string text = document.dump(2, ' ', false, json::error_handler_t::replace);
  return without_unprintables(text, DocumentFormat::kJson) + "\n";
}

}  // namespace poolwarden::commands
