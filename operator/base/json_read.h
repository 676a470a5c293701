// Reading JSON that someone else wrote, without exceptions: what is missing or of another type reads as
// empty.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace poolwarden::base {

inline const nlohmann::json& member(const nlohmann::json& object, std::string_view key) {
  static const nlohmann::json kNull;
  if (!object.is_object()) return kNull;
  const auto found = object.find(key);
  return found == object.end() ? kNull : *found;
}

inline const nlohmann::json& array_at(const nlohmann::json& object, std::string_view key) {
  static const nlohmann::json kEmpty = nlohmann::json::array();
  const nlohmann::json& value = member(object, key);
  return value.is_array() ? value : kEmpty;
}

inline std::string string_at(const nlohmann::json& object, std::string_view key) {
  const nlohmann::json& value = member(object, key);
  return value.is_string() ? value.get<std::string>() : std::string{};
}

inline bool bool_at(const nlohmann::json& object, std::string_view key, bool otherwise) {
  const nlohmann::json& value = member(object, key);
  return value.is_boolean() ? value.get<bool>() : otherwise;
}

template <class Integer>
std::optional<Integer> integer_at(const nlohmann::json& object, std::string_view key) {
  const nlohmann::json& value = member(object, key);
  if (!value.is_number_integer()) return std::nullopt;
  constexpr auto kMax = std::numeric_limits<Integer>::max();
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (number > static_cast<std::uint64_t>(kMax)) return std::nullopt;
    return static_cast<Integer>(number);
  }
  const auto number = value.get<std::int64_t>();
  if (number > kMax || number < std::numeric_limits<Integer>::min()) return std::nullopt;
  return static_cast<Integer>(number);
}

}  // namespace poolwarden::base
