// How lists and maps merge: by key, as a set, or as a whole. From the CRD's schema for custom resources, from
// a table of the field names that matter for built-in ones (their x-kubernetes-list-type and patchMergeKey
// tags). https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy
#pragma once

#include "support/apiserver/registry.h"

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::apiserver {

struct ListShape {
  enum class Kind { kAtomic, kSet, kMap };
  Kind kind = Kind::kAtomic;
  std::vector<std::string> keys;  // of kMap: what identifies an item to server-side apply
  std::string patch_key;  // of built-in types: what identifies it to a strategic merge patch; may be empty
};

// A position in an object's type.
class TypeView {
 public:
  explicit TypeView(const ResourceInfo& type);

  TypeView field(const std::string& name) const;
  TypeView item() const;
  ListShape list() const;
  bool atomic_map() const;
  bool is_root() const { return depth_ == 0; }
  bool is_metadata() const { return depth_ == 1 && name_ == "metadata"; }

 private:
  const nlohmann::json* schema_ = nullptr;  // null: a built-in type, or below metadata
  std::string name_;                        // of this field, or of the list this is an item of
  std::string parent_;
  int depth_ = 0;
  bool is_item_ = false;
};

// The key of an item as FieldsV1 writes it: {"containerPort":80,"protocol":"TCP"}.
nlohmann::json item_key(const nlohmann::json& item, const ListShape& shape);

}  // namespace poolwarden::apiserver
