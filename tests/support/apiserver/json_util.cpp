#include "support/apiserver/json_util.h"

#include <cctype>
#include <charconv>
#include <vector>

#include <yaml-cpp/yaml.h>

namespace poolwarden::apiserver {
namespace {

// The JSON-compatible core schema: quoted scalars are strings, plain ones null, bool or number if they look
// so.
json scalar(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (node.Tag() == "!") return text;
  if (text.empty() || text == "null" || text == "~" || text == "Null" || text == "NULL") return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  const char first = text.front();
  if (std::isdigit(static_cast<unsigned char>(first)) != 0 || first == '-' || first == '.') {
    std::int64_t integer = 0;
    const char* end = text.data() + text.size();
    if (auto [rest, error] = std::from_chars(text.data(), end, integer);
        error == std::errc{} && rest == end) {
      return integer;
    }
    double real = 0;
    if (auto [rest, error] = std::from_chars(text.data(), end, real); error == std::errc{} && rest == end) {
      return real;
    }
  }
  return text;
}

json convert(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Scalar:
      return scalar(node);
    case YAML::NodeType::Sequence: {
      json list = json::array();
      for (const YAML::Node& item : node) list.push_back(convert(item));
      return list;
    }
    case YAML::NodeType::Map: {
      json map = json::object();
      for (const auto& entry : node) map[entry.first.Scalar()] = convert(entry.second);
      return map;
    }
    default:
      return nullptr;
  }
}

// Everything that walks a document recurses; the real server refuses absurd depths as well.
bool nested_too_deep(std::string_view text) {
  constexpr int kMaxDepth = 500;
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

template <class Visit>
void each_segment(std::string_view path, Visit visit) {
  if (!path.empty() && path.front() == '.') path.remove_prefix(1);
  while (!path.empty()) {
    const std::size_t dot = path.find('.');
    if (!visit(path.substr(0, dot))) return;
    if (dot == std::string_view::npos) return;
    path.remove_prefix(dot + 1);
  }
}

}  // namespace

const json* find_path(const json& root, std::initializer_list<std::string_view> path) {
  const json* here = &root;
  for (std::string_view key : path) {
    if (!here->is_object()) return nullptr;
    const auto found = here->find(key);
    if (found == here->end()) return nullptr;
    here = &*found;
  }
  return here;
}

const json* find_dotted(const json& root, std::string_view path) {
  const json* here = &root;
  each_segment(path, [&here](std::string_view key) {
    here = find_path(*here, {key});
    return here != nullptr;
  });
  return here;
}

bool set_dotted(json& root, std::string_view path, json value) {
  json* here = &root;
  each_segment(path, [&here](std::string_view key) {
    if (here->is_null()) *here = json::object();
    if (!here->is_object()) {
      here = nullptr;
      return false;
    }
    here = &(*here)[std::string(key)];
    return true;
  });
  if (here == nullptr) return false;
  *here = std::move(value);
  return true;
}

std::string text_at(const json& root, std::initializer_list<std::string_view> path) {
  const json* found = find_path(root, path);
  return found != nullptr && found->is_string() ? found->get<std::string>() : std::string();
}

std::int64_t int_at(const json& root, std::initializer_list<std::string_view> path, std::int64_t otherwise) {
  const json* found = find_path(root, path);
  return found != nullptr && found->is_number_integer() ? found->get<std::int64_t>() : otherwise;
}

bool bool_at(const json& root, std::initializer_list<std::string_view> path) {
  const json* found = find_path(root, path);
  return found != nullptr && found->is_boolean() && found->get<bool>();
}

json& object_at(json& root, const std::string& key) {
  json& value = root[key];
  if (!value.is_object()) value = json::object();
  return value;
}

void default_to(json& root, const std::string& key, json value) {
  json& field = root[key];
  if (field.is_null()) field = std::move(value);
}

std::optional<json> parse_json(std::string_view text) {
  if (nested_too_deep(text)) return std::nullopt;
  json value = json::parse(text, nullptr, false);
  if (value.is_discarded()) return std::nullopt;
  return value;
}

std::optional<std::vector<json>> parse_yaml_documents(std::string_view text) {
  try {
    std::vector<json> documents;
    for (const YAML::Node& node : YAML::LoadAll(std::string(text))) {
      if (node.IsDefined() && !node.IsNull()) documents.push_back(convert(node));
    }
    return documents;
  } catch (const YAML::Exception&) {
    return std::nullopt;
  }
}

std::optional<json> parse_yaml(std::string_view text) {
  std::optional<std::vector<json>> documents = parse_yaml_documents(text);
  if (!documents || documents->size() != 1) return std::nullopt;
  return std::move(documents->front());
}

}  // namespace poolwarden::apiserver
