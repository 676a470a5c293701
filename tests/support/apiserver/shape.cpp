#include "support/apiserver/shape.h"

#include "support/apiserver/json_util.h"

#include <algorithm>
#include <array>

namespace poolwarden::apiserver {
namespace {

using Kind = ListShape::Kind;

struct Known {
  std::string_view field;
  std::string_view parent;  // empty: anywhere
  Kind kind;
  std::string_view first_key;
  std::string_view second_key;
  std::string_view patch_key;
};

constexpr Known kLists[] = {
    {"containers", "", Kind::kMap, "name", "", "name"},
    {"initContainers", "", Kind::kMap, "name", "", "name"},
    {"ephemeralContainers", "", Kind::kMap, "name", "", "name"},
    {"ports", "containers", Kind::kMap, "containerPort", "protocol", "containerPort"},
    {"ports", "initContainers", Kind::kMap, "containerPort", "protocol", "containerPort"},
    {"ports", "spec", Kind::kMap, "port", "protocol", "port"},
    {"env", "", Kind::kMap, "name", "", "name"},
    {"volumeMounts", "", Kind::kMap, "mountPath", "", "mountPath"},
    {"volumes", "", Kind::kMap, "name", "", "name"},
    {"imagePullSecrets", "", Kind::kMap, "name", "", "name"},
    {"conditions", "", Kind::kMap, "type", "", "type"},
    {"ownerReferences", "", Kind::kMap, "uid", "", "uid"},
    {"finalizers", "", Kind::kSet, "", "", ""},
    {"hostAliases", "", Kind::kMap, "ip", "", "ip"},
    {"podIPs", "", Kind::kMap, "ip", "", "ip"},
    {"addresses", "status", Kind::kMap, "type", "", "type"},
    {"taints", "", Kind::kAtomic, "", "", "key"},
    {"topologySpreadConstraints", "", Kind::kMap, "topologyKey", "whenUnsatisfiable", "topologyKey"},
    {"secrets", "", Kind::kMap, "name", "", "name"},
};

constexpr std::string_view kAtomicMaps[] = {"selector",         "nodeSelector",  "labelSelector",
                                            "fieldRef",         "secretKeyRef",  "configMapKeyRef",
                                            "resourceFieldRef", "involvedObject"};

}  // namespace

TypeView::TypeView(const ResourceInfo& type) : schema_(type.custom ? &type.schema : nullptr) {}

TypeView TypeView::field(const std::string& name) const {
  TypeView out = *this;
  out.parent_ = name_;
  out.name_ = name;
  out.depth_ = depth_ + 1;
  out.is_item_ = false;
  if (schema_ != nullptr) {
    out.schema_ = find_path(*schema_, {"properties", name});
    if (out.schema_ == nullptr) {
      const json* more = find_path(*schema_, {"additionalProperties"});
      out.schema_ = more != nullptr && more->is_object() ? more : nullptr;
    }
    // Below what the schema leaves open, and in metadata, the built-in table holds.
    if (out.is_metadata()) out.schema_ = nullptr;
  }
  return out;
}

TypeView TypeView::item() const {
  TypeView out = *this;
  out.depth_ = depth_ + 1;
  out.is_item_ = true;
  if (schema_ != nullptr) out.schema_ = find_path(*schema_, {"items"});
  return out;
}

ListShape TypeView::list() const {
  ListShape shape;
  if (schema_ != nullptr) {
    const std::string type = text_at(*schema_, {"x-kubernetes-list-type"});
    if (type == "set") shape.kind = Kind::kSet;
    if (type == "map") {
      shape.kind = Kind::kMap;
      if (const json* keys = find_path(*schema_, {"x-kubernetes-list-map-keys"});
          keys != nullptr && keys->is_array()) {
        for (const json& key : *keys) shape.keys.push_back(key.get<std::string>());
      }
    }
    return shape;
  }
  for (const Known& known : kLists) {
    if (known.field != name_ || (!known.parent.empty() && known.parent != parent_)) continue;
    shape.kind = known.kind;
    shape.patch_key = known.patch_key;
    if (!known.first_key.empty()) shape.keys.emplace_back(known.first_key);
    if (!known.second_key.empty()) shape.keys.emplace_back(known.second_key);
    break;
  }
  return shape;
}

bool TypeView::atomic_map() const {
  if (schema_ != nullptr) return text_at(*schema_, {"x-kubernetes-map-type"}) == "atomic";
  if (is_item_ && name_ == "ownerReferences") return true;
  return !is_item_ &&
         std::find(std::begin(kAtomicMaps), std::end(kAtomicMaps), name_) != std::end(kAtomicMaps);
}

json item_key(const json& item, const ListShape& shape) {
  json key = json::object();
  for (const std::string& name : shape.keys) {
    if (const json* part = find_path(item, {name})) {
      key[name] = *part;
    } else if (name == "protocol") {
      key[name] = "TCP";  // the default, which is part of the key
    }
  }
  return key;
}

}  // namespace poolwarden::apiserver
