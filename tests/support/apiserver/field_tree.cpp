#include "support/apiserver/field_tree.h"

#include "support/apiserver/json_util.h"

#include <algorithm>
#include <array>

namespace poolwarden::apiserver {
namespace {

// Of the metadata only these have owners; the rest is the server's.
bool is_tracked(const std::string& key, const TypeView& view, bool skip_status) {
  if (view.is_root()) return !(skip_status && key == "status") && key != "apiVersion" && key != "kind";
  if (!view.is_metadata()) return true;
  constexpr std::array<std::string_view, 5> kTracked = {"labels", "annotations", "ownerReferences",
                                                        "finalizers", "generateName"};
  return std::find(kTracked.begin(), kTracked.end(), key) != kTracked.end();
}

std::string tree_key(const json& item, const ListShape& shape) {
  return shape.kind == ListShape::Kind::kSet ? "v:" + item.dump() : "k:" + item_key(item, shape).dump();
}

bool is_leaf(const json& tree) {
  return tree.empty();
}

}  // namespace

json fields_of(const json& value, const TypeView& view, bool skip_status) {
  json tree = json::object();
  if (value.is_object() && !view.atomic_map()) {
    for (const auto& [key, field] : value.items()) {
      if (!is_tracked(key, view, skip_status)) continue;
      json below = fields_of(field, view.field(key), false);
      // An object without anything trackable (metadata with a name alone) is no field.
      if (below.empty() && view.is_root() && field.is_object() && key == "metadata") continue;
      tree["f:" + key] = std::move(below);
    }
  } else if (value.is_array()) {
    const ListShape shape = view.list();
    if (shape.kind == ListShape::Kind::kAtomic) return tree;
    for (const json& item : value) {
      json below = json::object();
      if (shape.kind == ListShape::Kind::kMap) {
        below = fields_of(item, view.item(), false);
        if (!is_leaf(below)) below["."] = json::object();
      }
      tree[tree_key(item, shape)] = std::move(below);
    }
  }
  return tree;
}

std::optional<json> changed_fields(const json& before, const json& after, const TypeView& view,
                                   bool skip_status) {
  if (before == after) return std::nullopt;
  json tree = json::object();
  if (before.is_object() && after.is_object() && !view.atomic_map()) {
    for (const auto& [key, field] : after.items()) {
      if (!is_tracked(key, view, skip_status)) continue;
      const auto old = before.find(key);
      if (old == before.end()) {
        tree["f:" + key] = fields_of(field, view.field(key), false);
      } else if (auto below = changed_fields(*old, field, view.field(key), false)) {
        tree["f:" + key] = std::move(*below);
      }
    }
    return tree.empty() ? std::nullopt : std::optional(std::move(tree));
  }
  if (!before.is_array() || !after.is_array()) return tree;
  const ListShape shape = view.list();
  if (shape.kind == ListShape::Kind::kAtomic) return tree;
  for (const json& item : after) {
    const std::string key = tree_key(item, shape);
    const json* old = child_value(before, key, view);
    if (old == nullptr) {
      json whole = json::array({item});
      tree[key] = fields_of(whole, view, false)[key];
    } else if (auto below = changed_fields(*old, item, view.item(), false)) {
      tree[key] = std::move(*below);
    }
  }
  return tree.empty() ? std::nullopt : std::optional(std::move(tree));
}

json tree_union(json left, const json& right) {
  for (const auto& [key, below] : right.items()) {
    const auto found = left.find(key);
    if (found == left.end()) {
      left[key] = below;
    } else {
      *found = tree_union(std::move(*found), below);
    }
  }
  return left;
}

void tree_subtract(json& tree, const json& other) {
  for (const auto& [key, below] : other.items()) {
    const auto found = tree.find(key);
    if (found == tree.end()) continue;
    if (is_leaf(below)) {
      tree.erase(found);
    } else if (!is_leaf(*found)) {
      tree_subtract(*found, below);
      if (found->empty()) tree.erase(found);
    }
  }
}

const json* child_value(const json& parent, const std::string& key, const TypeView& view) {
  if (key.starts_with("f:")) return find_path(parent, {std::string_view(key).substr(2)});
  if (!parent.is_array()) return nullptr;
  const ListShape shape = view.list();
  if (shape.kind == ListShape::Kind::kAtomic) return nullptr;
  const auto found = std::find_if(parent.begin(), parent.end(),
                                  [&](const json& item) { return tree_key(item, shape) == key; });
  return found == parent.end() ? nullptr : &*found;
}

TypeView child_view(const std::string& key, const TypeView& view) {
  return key.starts_with("f:") ? view.field(key.substr(2)) : view.item();
}

void tree_restrict(json& tree, const json& value, const TypeView& view) {
  for (auto entry = tree.begin(); entry != tree.end();) {
    if (entry.key() == ".") {
      ++entry;
      continue;
    }
    const json* below = child_value(value, entry.key(), view);
    const bool had_children = !is_leaf(*entry);
    if (below != nullptr && had_children) tree_restrict(*entry, *below, child_view(entry.key(), view));
    entry = below == nullptr || (had_children && entry->empty()) ? tree.erase(entry) : std::next(entry);
  }
}

void remove_fields(json& value, const json& tree, const TypeView& view) {
  for (const auto& [key, below] : tree.items()) {
    json* child = const_cast<json*>(child_value(value, key, view));
    if (child == nullptr) continue;
    const bool whole = is_leaf(below) || below.contains(".");
    if (!whole) remove_fields(*child, below, child_view(key, view));
    if (!whole && !child->empty()) continue;
    if (value.is_array()) {
      value.erase(static_cast<std::size_t>(child - &value[0]));
    } else {
      value.erase(key.substr(2));
    }
  }
}

}  // namespace poolwarden::apiserver
