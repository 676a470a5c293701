#include "support/apiserver/schema.h"

#include "support/apiserver/json_util.h"

#include <algorithm>
#include <map>
#include <regex>
#include <set>

#include <fmt/format.h>

namespace poolwarden::apiserver {
namespace {

using Problems = std::vector<FieldProblem>;

const json* sub(const json& schema, std::string_view key) {
  return find_path(schema, {key});
}

std::string join(const std::string& path, const std::string& key) {
  return path.empty() ? key : path + "." + key;
}

bool keeps_unknown(const json& schema) {
  return bool_at(schema, {"x-kubernetes-preserve-unknown-fields"});
}

void prune_at(json& value, const json& schema, const std::string& path, std::vector<std::string>& pruned) {
  if (value.is_array()) {
    const json* items = sub(schema, "items");
    if (items == nullptr) return;
    for (std::size_t i = 0; i < value.size(); ++i) {
      prune_at(value[i], *items, fmt::format("{}[{}]", path, i), pruned);
    }
    return;
  }
  if (!value.is_object()) return;
  const json* properties = sub(schema, "properties");
  const json* additional = sub(schema, "additionalProperties");
  for (auto field = value.begin(); field != value.end();) {
    const json* known = properties != nullptr ? find_path(*properties, {field.key()}) : nullptr;
    if (known == nullptr && additional != nullptr) {
      if (additional->is_object()) prune_at(*field, *additional, join(path, field.key()), pruned);
      ++field;
    } else if (known != nullptr) {
      prune_at(*field, *known, join(path, field.key()), pruned);
      ++field;
    } else if (keeps_unknown(schema)) {
      ++field;
    } else {
      pruned.push_back(join(path, field.key()));
      field = value.erase(field);
    }
  }
}

std::string_view type_name(const json& value) {
  if (value.is_object()) return "object";
  if (value.is_array()) return "array";
  if (value.is_string()) return "string";
  if (value.is_boolean()) return "boolean";
  if (value.is_number_integer()) return "integer";
  if (value.is_number()) return "number";
  return "null";
}

bool has_type(const json& value, const std::string& type) {
  if (type == "number") return value.is_number();
  if (type == "integer") {
    if (value.is_number_integer()) return true;
    // 3.0 is an integer to JSON schema.
    return value.is_number_float() &&
           value.get<double>() == static_cast<double>(static_cast<std::int64_t>(value.get<double>()));
  }
  return type_name(value) == type;
}

const std::regex& compiled(const std::string& pattern) {
  // Patterns come from a handful of schemas and are met again with every write. One thread a model, but
  // several models may run in threads of their own.
  thread_local std::map<std::string, std::regex> cache;
  auto found = cache.find(pattern);
  if (found == cache.end()) found = cache.emplace(pattern, std::regex(pattern, std::regex::ECMAScript)).first;
  return found->second;
}

std::size_t code_points(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

void validate_string(const std::string& text, const json& schema, const std::string& path,
                     Problems& problems) {
  const std::size_t length = code_points(text);
  if (const std::int64_t max = int_at(schema, {"maxLength"}, -1);
      max >= 0 && length > static_cast<std::size_t>(max)) {
    problems.push_back(
        {"FieldValueTooLong", path, fmt::format("Too long: may not be more than {} bytes", max)});
  }
  if (const std::int64_t min = int_at(schema, {"minLength"}, 0); length < static_cast<std::size_t>(min)) {
    problems.push_back(
        invalid_value(path, text, fmt::format("{} in body should be at least {} chars long", path, min)));
  }
  if (const std::string pattern = text_at(schema, {"pattern"}); !pattern.empty()) {
    if (!std::regex_search(text, compiled(pattern))) {
      problems.push_back(
          invalid_value(path, text, fmt::format("{} in body should match '{}'", path, pattern)));
    }
  }
}

void validate_number(const json& value, const json& schema, const std::string& path, Problems& problems) {
  const double number = value.get<double>();
  if (const json* min = sub(schema, "minimum"); min != nullptr && min->is_number()) {
    const bool exclusive = bool_at(schema, {"exclusiveMinimum"});
    if (number < min->get<double>() || (exclusive && number <= min->get<double>())) {
      problems.push_back(invalid_value(path, value,
                                       fmt::format("{} in body should be greater than {}{}", path,
                                                   exclusive ? "" : "or equal to ", min->dump())));
    }
  }
  if (const json* max = sub(schema, "maximum"); max != nullptr && max->is_number()) {
    const bool exclusive = bool_at(schema, {"exclusiveMaximum"});
    if (number > max->get<double>() || (exclusive && number >= max->get<double>())) {
      problems.push_back(invalid_value(path, value,
                                       fmt::format("{} in body should be less than {}{}", path,
                                                   exclusive ? "" : "or equal to ", max->dump())));
    }
  }
  const std::string format = text_at(schema, {"format"});
  if (format == "int32" && (number < -2147483648.0 || number > 2147483647.0)) {
    problems.push_back(invalid_value(
        path, value, fmt::format("{} in body must be of type int32: \"{}\"", path, value.dump())));
  }
}

// Sets and maps in lists: no two items with one key.
void validate_list_keys(const json& list, const json& schema, const std::string& path, Problems& problems) {
  const std::string type = text_at(schema, {"x-kubernetes-list-type"});
  if (type != "set" && type != "map") return;
  std::set<std::string> seen;
  for (std::size_t i = 0; i < list.size(); ++i) {
    json key = list[i];
    if (type == "map") {
      key = json::object();
      const json* names = sub(schema, "x-kubernetes-list-map-keys");
      if (names == nullptr || !names->is_array()) return;
      for (const json& name : *names) {
        if (const json* part = find_path(list[i], {name.get_ref<const std::string&>()})) {
          key[name.get_ref<const std::string&>()] = *part;
        }
      }
    }
    if (!seen.insert(key.dump()).second) {
      problems.push_back({"FieldValueDuplicate", fmt::format("{}[{}]", path, i),
                          fmt::format("Duplicate value: {}", key.dump())});
    }
  }
}

void validate_array(const json& list, const json& schema, const std::string& path, Problems& problems) {
  if (const std::int64_t max = int_at(schema, {"maxItems"}, -1);
      max >= 0 && list.size() > static_cast<std::size_t>(max)) {
    problems.push_back({"FieldValueTooMany", path,
                        fmt::format("Too many: {}: must have at most {} items", list.size(), max)});
  }
  if (const std::int64_t min = int_at(schema, {"minItems"}, 0); list.size() < static_cast<std::size_t>(min)) {
    problems.push_back(invalid_value(path, static_cast<std::int64_t>(list.size()),
                                     fmt::format("{} in body should have at least {} items", path, min)));
  }
  validate_list_keys(list, schema, path, problems);
  if (const json* items = sub(schema, "items")) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      validate(list[i], *items, fmt::format("{}[{}]", path, i), problems);
    }
  }
}

void validate_object(const json& object, const json& schema, const std::string& path, Problems& problems) {
  if (const json* required = sub(schema, "required"); required != nullptr && required->is_array()) {
    for (const json& name : *required) {
      if (!object.contains(name.get_ref<const std::string&>())) {
        problems.push_back(required_value(join(path, name.get<std::string>())));
      }
    }
  }
  if (const std::int64_t max = int_at(schema, {"maxProperties"}, -1);
      max >= 0 && object.size() > static_cast<std::size_t>(max)) {
    problems.push_back({"FieldValueTooMany", path,
                        fmt::format("Too many: {}: must have at most {} items", object.size(), max)});
  }
  if (const std::int64_t min = int_at(schema, {"minProperties"}, 0);
      object.size() < static_cast<std::size_t>(min)) {
    problems.push_back(
        invalid_value(path, object, fmt::format("{} in body should have at least {} properties", path, min)));
  }
  const json* properties = sub(schema, "properties");
  const json* additional = sub(schema, "additionalProperties");
  for (const auto& [key, value] : object.items()) {
    const json* known = properties != nullptr ? find_path(*properties, {key}) : nullptr;
    if (known != nullptr) {
      validate(value, *known, join(path, key), problems);
    } else if (additional != nullptr && additional->is_object()) {
      validate(value, *additional, join(path, key), problems);
    }
  }
}

}  // namespace

void check_structural(const json& schema, const std::string& path, Problems& problems) {
  if (!schema.is_object()) {
    problems.push_back(invalid_value(path, schema, "must be a schema object"));
    return;
  }
  const bool typed = !text_at(schema, {"type"}).empty() || bool_at(schema, {"x-kubernetes-int-or-string"}) ||
                     keeps_unknown(schema);
  if (!typed)
    problems.push_back(required_value(path + ".type", "must not be empty for specified object fields"));
  if (const std::string pattern = text_at(schema, {"pattern"}); !pattern.empty()) {
    try {
      compiled(pattern);
    } catch (const std::regex_error& error) {
      problems.push_back(invalid_value(path + ".pattern", pattern, error.what()));
    }
  }
  if (const json* properties = sub(schema, "properties"); properties != nullptr && properties->is_object()) {
    for (const auto& [key, value] : properties->items()) {
      check_structural(value, fmt::format("{}.properties[{}]", path, key), problems);
    }
  }
  if (const json* items = sub(schema, "items")) check_structural(*items, path + ".items", problems);
  if (const json* more = sub(schema, "additionalProperties"); more != nullptr && more->is_object()) {
    check_structural(*more, path + ".additionalProperties", problems);
  }
}

void prune(json& object, const json& schema, std::vector<std::string>& pruned) {
  // The type and the metadata of the object itself are never pruned, whatever the schema says of them.
  json kept = json::object();
  for (const char* key : {"apiVersion", "kind", "metadata"}) {
    if (auto found = object.find(key); found != object.end()) {
      kept[key] = std::move(*found);
      object.erase(found);
    }
  }
  prune_at(object, schema, "", pruned);
  for (auto& [key, value] : kept.items()) object[key] = std::move(value);
}

void apply_defaults(json& value, const json& schema) {
  if (value.is_array()) {
    if (const json* items = sub(schema, "items")) {
      for (json& item : value) apply_defaults(item, *items);
    }
    return;
  }
  if (!value.is_object()) return;
  if (const json* properties = sub(schema, "properties"); properties != nullptr && properties->is_object()) {
    for (const auto& [key, property] : properties->items()) {
      const json* otherwise = sub(property, "default");
      auto field = value.find(key);
      const bool null_not_allowed =
          field != value.end() && field->is_null() && !bool_at(property, {"nullable"});
      if (otherwise != nullptr && (field == value.end() || null_not_allowed)) {
        value[key] = *otherwise;
      } else if (null_not_allowed) {
        value.erase(field);  // a null where none is allowed is dropped before validation
        continue;
      }
      if (field = value.find(key); field != value.end()) apply_defaults(*field, property);
    }
  }
  if (const json* more = sub(schema, "additionalProperties"); more != nullptr && more->is_object()) {
    for (json& item : value) apply_defaults(item, *more);
  }
}

void validate(const json& value, const json& schema, const std::string& path, Problems& problems) {
  if (value.is_null() && bool_at(schema, {"nullable"})) return;
  if (bool_at(schema, {"x-kubernetes-int-or-string"})) {
    if (!value.is_string() && !value.is_number_integer()) {
      problems.push_back(
          {"FieldValueTypeInvalid", path,
           fmt::format("Invalid value: \"{}\": {} in body must be of type integer,string: \"{}\"",
                       type_name(value), path, type_name(value))});
    }
    return;
  }
  const std::string type = text_at(schema, {"type"});
  if (!type.empty() && !has_type(value, type)) {
    problems.push_back({"FieldValueTypeInvalid", path,
                        fmt::format("Invalid value: \"{}\": {} in body must be of type {}: \"{}\"",
                                    type_name(value), path, type, type_name(value))});
    return;
  }
  if (const json* allowed = sub(schema, "enum"); allowed != nullptr && allowed->is_array()) {
    if (std::find(allowed->begin(), allowed->end(), value) == allowed->end()) {
      std::string list;
      for (const json& one : *allowed) list += (list.empty() ? "" : ", ") + one.dump();
      problems.push_back({"FieldValueNotSupported", path,
                          fmt::format("Unsupported value: {}: supported values: {}", value.dump(), list)});
    }
  }
  if (value.is_string()) validate_string(value.get_ref<const std::string&>(), schema, path, problems);
  if (value.is_number()) validate_number(value, schema, path, problems);
  if (value.is_array()) validate_array(value, schema, path, problems);
  if (value.is_object()) validate_object(value, schema, path, problems);
}

}  // namespace poolwarden::apiserver
