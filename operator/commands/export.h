// Documents of ours as text for programs.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::commands {

// Block style. Every text that YAML 1.1 or 1.2 might read as something else is quoted.
std::string to_yaml(const nlohmann::json& document);
std::string to_pretty_json(const nlohmann::json& document);

}  // namespace poolwarden::commands
