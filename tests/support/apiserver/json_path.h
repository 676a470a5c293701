// The part of JSONPath that printer columns use: .a.b, ['a.b'], [0], [*], [?(@.type=="Ready")].
// https://kubernetes.io/docs/reference/kubectl/jsonpath/
#pragma once

#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::apiserver {

// The values a path leads to; none if it leads nowhere or is not of this part.
std::vector<const nlohmann::json*> json_path(const nlohmann::json& root, std::string_view path);

}  // namespace poolwarden::apiserver
