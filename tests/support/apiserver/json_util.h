// Reading nlohmann::json without exceptions: whatever is missing or of the wrong type reads as absent.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace poolwarden::apiserver {

using nlohmann::json;

// The value at a path of keys; null when any step is missing.
const json* find_path(const json& root, std::initializer_list<std::string_view> path);
// By a simple dot path ("spec.replicas"), with or without a leading dot.
const json* find_dotted(const json& root, std::string_view path);
// Creates the objects on the way; false when something on the way is no object.
bool set_dotted(json& root, std::string_view path, json value);

std::string text_at(const json& root, std::initializer_list<std::string_view> path);
std::int64_t int_at(const json& root, std::initializer_list<std::string_view> path,
                    std::int64_t otherwise = 0);
bool bool_at(const json& root, std::initializer_list<std::string_view> path);
// An object (or array) at `key`, made if it is not there.
json& object_at(json& root, const std::string& key);
void default_to(json& root, const std::string& key, json value);

// nothing: not JSON.
std::optional<json> parse_json(std::string_view text);
// One document of YAML (or JSON, which is YAML). nothing: neither.
std::optional<json> parse_yaml(std::string_view text);
// Every document of a YAML stream, empty ones left out.
std::optional<std::vector<json>> parse_yaml_documents(std::string_view text);

}  // namespace poolwarden::apiserver
