// Sets of fields in the form FieldsV1 writes them: {"f:spec":{"f:replicas":{}}}; "k:{...}" and "v:..." are
// items of lists, "." is the item itself. An empty object is a leaf.
// https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/ (managedFields)
#pragma once

#include "support/apiserver/shape.h"

#include <functional>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::apiserver {

// Every field of a value. At the root, `skip_status` leaves the status out.
nlohmann::json fields_of(const nlohmann::json& value, const TypeView& view, bool skip_status);
// The fields of `after` that are new or have another value than in `before`; nothing if there are none.
std::optional<nlohmann::json> changed_fields(const nlohmann::json& before, const nlohmann::json& after,
                                             const TypeView& view, bool skip_status);
nlohmann::json tree_union(nlohmann::json left, const nlohmann::json& right);
// Takes the leaves of `other`, and what is below them, out of `tree`.
void tree_subtract(nlohmann::json& tree, const nlohmann::json& other);
// Drops fields the value does not have.
void tree_restrict(nlohmann::json& tree, const nlohmann::json& value, const TypeView& view);
// Takes the fields out of a value; maps and lists that become empty go too.
void remove_fields(nlohmann::json& value, const nlohmann::json& tree, const TypeView& view);

// The value a tree's key ("f:x", "k:{...}", "v:...") stands for in its parent; null if there is none.
const nlohmann::json* child_value(const nlohmann::json& parent, const std::string& key, const TypeView& view);
TypeView child_view(const std::string& key, const TypeView& view);

}  // namespace poolwarden::apiserver
