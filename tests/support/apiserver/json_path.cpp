#include "support/apiserver/json_path.h"

#include "support/apiserver/json_util.h"

#include <charconv>
#include <string>

namespace poolwarden::apiserver {
namespace {

using Values = std::vector<const json*>;

Values children(const Values& values, std::string_view key) {
  Values out;
  for (const json* value : values) {
    if (const json* found = find_path(*value, {key})) out.push_back(found);
  }
  return out;
}

std::string_view unquoted(std::string_view text) {
  const bool quoted =
      text.size() >= 2 && (text.front() == '"' || text.front() == '\'') && text.back() == text.front();
  return quoted ? text.substr(1, text.size() - 2) : text;
}

// ?(@.type=="Ready")
Values filtered(const Values& values, std::string_view filter) {
  Values out;
  const std::size_t begin = filter.find("@.");
  const std::size_t equals = filter.find("==");
  const std::size_t end = filter.rfind(')');
  if (begin == std::string_view::npos || equals == std::string_view::npos || end == std::string_view::npos ||
      end < equals + 2)
    return out;
  std::string_view field = filter.substr(begin + 2, equals - begin - 2);
  while (!field.empty() && field.back() == ' ') field.remove_suffix(1);
  std::string_view wanted = filter.substr(equals + 2, end - equals - 2);
  while (!wanted.empty() && wanted.front() == ' ') wanted.remove_prefix(1);
  for (const json* list : values) {
    if (!list->is_array()) continue;
    for (const json& item : *list) {
      const json* have = find_dotted(item, field);
      if (have == nullptr) continue;
      if ((have->is_string() ? have->get<std::string>() : have->dump()) == unquoted(wanted))
        out.push_back(&item);
    }
  }
  return out;
}

Values indexed(const Values& values, std::string_view index) {
  Values out;
  std::size_t at = 0;
  const bool number = std::from_chars(index.data(), index.data() + index.size(), at).ec == std::errc{};
  for (const json* list : values) {
    if (!list->is_array()) continue;
    if (index == "*") {
      for (const json& item : *list) out.push_back(&item);
    } else if (number && at < list->size()) {
      out.push_back(&(*list)[at]);
    }
  }
  return out;
}

}  // namespace

std::vector<const json*> json_path(const json& root, std::string_view path) {
  Values values{&root};
  while (!path.empty() && !values.empty()) {
    if (path.front() == '[') {
      const std::size_t end =
          path.front() == '[' && path.starts_with("[?") ? path.find(")]") + 1 : path.find(']');
      if (end == std::string_view::npos || end == 0) return {};
      const std::string_view inner = path.substr(1, end - 1);
      if (inner.starts_with("?")) {
        values = filtered(values, inner);
      } else if (inner != unquoted(inner)) {
        values = children(values, unquoted(inner));
      } else {
        values = indexed(values, inner);
      }
      path.remove_prefix(end + 1);
      continue;
    }
    if (path.front() == '.') path.remove_prefix(1);
    std::string key;
    while (!path.empty() && path.front() != '.' && path.front() != '[') {
      if (path.front() == '\\' && path.size() > 1) path.remove_prefix(1);
      key += path.front();
      path.remove_prefix(1);
    }
    if (!key.empty()) values = children(values, key);
  }
  return values;
}

}  // namespace poolwarden::apiserver
