#include "support/apiserver/patch.h"

#include "support/apiserver/json_util.h"
#include "support/apiserver/shape.h"

#include <algorithm>

namespace poolwarden::apiserver {
namespace {

constexpr std::string_view kDeletePrimitives = "$deleteFromPrimitiveList/";

void merge_value(json& target, const json& patch, const TypeView& view);

bool is_directive(const std::string& key) {
  return !key.empty() && key.front() == '$';
}

// A value new to the document: without the directives, which only speak about what is there.
json without_directives(const json& patch) {
  if (patch.is_array()) {
    json out = json::array();
    for (const json& item : patch) {
      if (text_at(item, {"$patch"}) != "delete") out.push_back(without_directives(item));
    }
    return out;
  }
  if (!patch.is_object()) return patch;
  json out = json::object();
  for (const auto& [key, value] : patch.items()) {
    if (!is_directive(key) && !value.is_null()) out[key] = without_directives(value);
  }
  return out;
}

void merge_keyed_list(json& target, const json& patch, const std::string& key, const TypeView& view) {
  const bool replaces = std::any_of(patch.begin(), patch.end(),
                                    [](const json& item) { return text_at(item, {"$patch"}) == "replace"; });
  if (replaces) {
    target = json::array();
    for (const json& item : patch) {
      if (text_at(item, {"$patch"}) != "replace") target.push_back(without_directives(item));
    }
    return;
  }
  for (const json& item : patch) {
    const json* wanted = find_path(item, {key});
    const auto found = std::find_if(target.begin(), target.end(), [&](const json& have) {
      const json* value = find_path(have, {key});
      return wanted != nullptr && value != nullptr && *value == *wanted;
    });
    if (text_at(item, {"$patch"}) == "delete") {
      if (found != target.end()) target.erase(found);
    } else if (found != target.end()) {
      merge_value(*found, item, view.item());
    } else {
      target.push_back(without_directives(item));
    }
  }
}

void merge_list(json& target, const json& patch, const TypeView& view) {
  const ListShape shape = view.list();
  if (target.is_array() && !shape.patch_key.empty()) {
    merge_keyed_list(target, patch, shape.patch_key, view);
  } else if (target.is_array() && shape.kind == ListShape::Kind::kSet) {
    for (const json& item : patch) {
      if (std::find(target.begin(), target.end(), item) == target.end()) target.push_back(item);
    }
  } else {
    target = without_directives(patch);
  }
}

void delete_primitives(json& target, const std::string& directive, const json& values) {
  const auto list = target.find(directive.substr(kDeletePrimitives.size()));
  if (list == target.end() || !list->is_array() || !values.is_array()) return;
  json kept = json::array();
  for (const json& item : *list) {
    if (std::find(values.begin(), values.end(), item) == values.end()) kept.push_back(item);
  }
  *list = std::move(kept);
}

void merge_object(json& target, const json& patch, const TypeView& view) {
  const std::string how = text_at(patch, {"$patch"});
  if (how == "replace" || how == "delete") {
    target = how == "replace" ? without_directives(patch) : json::object();
    return;
  }
  if (const json* retain = find_path(patch, {"$retainKeys"}); retain != nullptr && retain->is_array()) {
    for (auto field = target.begin(); field != target.end();) {
      const bool kept = std::find(retain->begin(), retain->end(), json(field.key())) != retain->end();
      field = kept ? std::next(field) : target.erase(field);
    }
  }
  for (const auto& [key, value] : patch.items()) {
    if (key.starts_with(kDeletePrimitives)) delete_primitives(target, key, value);
    if (is_directive(key)) continue;
    if (value.is_null()) {
      target.erase(key);
    } else if (const auto found = target.find(key); found != target.end()) {
      merge_value(*found, value, view.field(key));
    } else {
      target[key] = without_directives(value);
    }
  }
}

void merge_value(json& target, const json& patch, const TypeView& view) {
  if (patch.is_object() && target.is_object()) {
    merge_object(target, patch, view);
  } else if (patch.is_array()) {
    merge_list(target, patch, view);
  } else {
    target = without_directives(patch);
  }
}

Failure unpatchable(std::string message) {
  return {422, "Invalid", std::move(message)};
}

}  // namespace

Outcome<json> merge_patched(json document, const json& patch) {
  if (!patch.is_object()) return tl::unexpected(bad_request("a merge patch must be a JSON object"));
  document.merge_patch(patch);
  return document;
}

Outcome<json> json_patched(const json& document, const json& patch) {
  if (!patch.is_array()) return tl::unexpected(bad_request("a JSON patch must be a JSON array"));
  try {
    return document.patch(patch);
  } catch (const json::exception& error) {
    return tl::unexpected(unpatchable(
        std::string("the server rejected our request due to an error in our request: ") + error.what()));
  }
}

Outcome<json> strategic_patched(const ResourceInfo& type, json document, const json& patch) {
  if (!patch.is_object()) return tl::unexpected(bad_request("a strategic merge patch must be a JSON object"));
  merge_object(document, patch, TypeView(type));
  return document;
}

}  // namespace poolwarden::apiserver
