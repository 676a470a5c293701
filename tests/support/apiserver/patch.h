// The three kinds of patch. Each takes the document with apiVersion and kind and returns the changed one.
// https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/
#pragma once

#include "support/apiserver/failure.h"
#include "support/apiserver/registry.h"

namespace poolwarden::apiserver {

Outcome<nlohmann::json> merge_patched(nlohmann::json document, const nlohmann::json& patch);
Outcome<nlohmann::json> json_patched(const nlohmann::json& document, const nlohmann::json& patch);
Outcome<nlohmann::json> strategic_patched(const ResourceInfo& type, nlohmann::json document,
                                          const nlohmann::json& patch);

}  // namespace poolwarden::apiserver
