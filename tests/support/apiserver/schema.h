// Structural schemas of custom resources: pruning, defaulting, validation.
// https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
// CEL rules (x-kubernetes-validations) are not evaluated.
#pragma once

#include "support/apiserver/failure.h"

#include <string>
#include <vector>

namespace poolwarden::apiserver {

// What keeps a schema from being structural, as far as clients notice: every node needs a type.
void check_structural(const nlohmann::json& schema, const std::string& path,
                      std::vector<FieldProblem>& problems);

// Drops fields the schema does not know; their paths are appended to `pruned` (for fieldValidation=Strict).
void prune(nlohmann::json& object, const nlohmann::json& schema, std::vector<std::string>& pruned);
void apply_defaults(nlohmann::json& value, const nlohmann::json& schema);
void validate(const nlohmann::json& value, const nlohmann::json& schema, const std::string& path,
              std::vector<FieldProblem>& problems);

}  // namespace poolwarden::apiserver
