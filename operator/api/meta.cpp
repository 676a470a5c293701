#include "api/meta.h"

#include "api/json_read.h"
#include "api/names.h"
#include "base/text.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace poolwarden::api {

using nlohmann::json;

void read_identity(const json& object, Identity& out) {
  const json& metadata = member(object, "metadata");
  out.ns = string_at(metadata, "namespace");
  out.name = string_at(metadata, "name");
  out.uid = string_at(metadata, "uid");
  out.resource_version = string_at(metadata, "resourceVersion");
}

LabelMap read_string_map(const json& object, std::string_view key) {
  LabelMap out;
  const json& map = member(object, key);
  if (!map.is_object()) return out;
  for (const auto& [name, value] : map.items()) {
    if (value.is_string()) out.emplace(name, value.get<std::string>());
  }
  return out;
}

std::vector<OwnerReference> read_owners(const json& metadata) {
  std::vector<OwnerReference> out;
  for (const json& owner : array_at(metadata, "ownerReferences")) {
    out.push_back({.api_version = string_at(owner, "apiVersion"),
                   .kind = string_at(owner, "kind"),
                   .name = string_at(owner, "name"),
                   .uid = string_at(owner, "uid"),
                   .controller = bool_at(owner, "controller", false)});
  }
  bound_owners(out);
  return out;
}

void bound_owners(std::vector<OwnerReference>& owners) {
  constexpr std::size_t kMaxOwners = 8;
  constexpr std::size_t kLongest = 256;
  if (owners.size() > kMaxOwners) {
    std::stable_partition(owners.begin(), owners.end(), [](const OwnerReference& owner) {
      return owner.controller || owner.kind == kPoolKind;
    });
    owners.resize(kMaxOwners);
    owners.shrink_to_fit();
  }
  for (OwnerReference& owner : owners) {
    for (std::string* text : {&owner.api_version, &owner.kind, &owner.name, &owner.uid})
      if (text->size() > kLongest) *text = std::string(base::cut(*text, kLongest));
  }
}

LabelSelector read_selector(const json& selector) {
  LabelSelector out;
  out.absent = !selector.is_object();
  out.match_labels = read_string_map(selector, "matchLabels");
  for (const json& expression : array_at(selector, "matchExpressions")) {
    SelectorRequirement requirement{
        .key = string_at(expression, "key"), .op = string_at(expression, "operator"), .values = {}};
    for (const json& value : array_at(expression, "values")) {
      if (value.is_string()) requirement.values.push_back(value.get<std::string>());
    }
    out.match_expressions.push_back(std::move(requirement));
  }
  out.bound();
  return out;
}

const Condition* find_condition(const std::vector<Condition>& conditions, std::string_view type) {
  const auto found = std::find_if(conditions.begin(), conditions.end(),
                                  [type](const Condition& each) { return each.type == type; });
  return found == conditions.end() ? nullptr : &*found;
}

json to_json(const OwnerReference& owner) {
  return {{"apiVersion", owner.api_version},
          {"kind", owner.kind},
          {"name", owner.name},
          {"uid", owner.uid},
          {"controller", owner.controller},
          // Not blocking: that would ask for rights on the owner's finalizers, and nothing here must outlive
          // it. https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/
          {"blockOwnerDeletion", false}};
}

json to_json(const Condition& condition) {
  return {{"type", condition.type},
          {"status", condition.status},
          {"reason", condition.reason},
          {"message", condition.message},
          {"observedGeneration", condition.observed_generation},
          {"lastTransitionTime", to_rfc3339(condition.last_transition)}};
}

}  // namespace poolwarden::api
