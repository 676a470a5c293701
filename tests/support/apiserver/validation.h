// Defaults and checks of objects before they are stored: metadata of all types, and of the built-in types
// what clients can trip over.
#pragma once

#include "support/apiserver/failure.h"
#include "support/apiserver/registry.h"

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::apiserver {

// metadata.name, labels, annotations, ownerReferences, finalizers.
void check_metadata(const nlohmann::json& body, std::vector<FieldProblem>& problems);
// What the server fills in that clients and kubectl rely on.
void default_builtin(const ResourceInfo& type, nlohmann::json& body);
void check_builtin(const ResourceInfo& type, const nlohmann::json& body, std::vector<FieldProblem>& problems);
// An object being deleted takes no new finalizers.
void check_no_new_finalizers(const nlohmann::json& before, const nlohmann::json& after,
                             std::vector<FieldProblem>& problems);
// Rules between the stored object and its replacement: immutable fields.
void check_builtin_update(const ResourceInfo& type, const nlohmann::json& before, const nlohmann::json& after,
                          std::vector<FieldProblem>& problems);

}  // namespace poolwarden::apiserver
