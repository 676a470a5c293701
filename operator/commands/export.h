// Documents of ours as text for programs.
//
// The text is safe to show on a terminal: what is not printable (base/text.h) is escaped by the rules of the
// format, so that a program reads the value as it was. But for newlines between values.
#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::commands {

enum class DocumentFormat : std::uint8_t { kJson, kYaml };

// Block style. Every text that YAML 1.1 or 1.2 might read as something else is quoted.
std::string to_yaml(const nlohmann::json& document);
std::string to_pretty_json(const nlohmann::json& document);

}  // namespace poolwarden::commands
