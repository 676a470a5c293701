#include "support/cluster/pod_facts.h"

#include "support/apiserver/json_util.h"

#include <chrono>

#include <nlohmann/json.hpp>

namespace poolwarden::cluster {

using apiserver::bool_at;
using apiserver::find_path;
using apiserver::text_at;
using nlohmann::json;

std::string controller_uid(const json& object) {
  const json* owners = find_path(object, {"metadata", "ownerReferences"});
  if (owners == nullptr || !owners->is_array()) return {};
  for (const json& owner : *owners) {
    if (bool_at(owner, {"controller"})) return text_at(owner, {"uid"});
  }
  return {};
}

json controller_reference(std::string_view api_version, std::string_view kind, const json& owner) {
  return {{"apiVersion", api_version},
          {"kind", kind},
          {"name", text_at(owner, {"metadata", "name"})},
          {"uid", text_at(owner, {"metadata", "uid"})},
          {"controller", true},
          {"blockOwnerDeletion", true}};
}

json references_without(const json& object, std::string_view uid) {
  json kept = json::array();
  const json* owners = find_path(object, {"metadata", "ownerReferences"});
  if (owners == nullptr || !owners->is_array()) return kept;
  for (const json& owner : *owners) {
    if (text_at(owner, {"uid"}) != uid) kept.push_back(owner);
  }
  return kept;
}

bool is_deleting(const json& object) {
  return find_path(object, {"metadata", "deletionTimestamp"}) != nullptr;
}

bool is_active(const json& pod) {
  const std::string phase = text_at(pod, {"status", "phase"});
  return phase != "Succeeded" && phase != "Failed" && !is_deleting(pod);
}

const json* condition(const json& object, std::string_view type) {
  const json* conditions = find_path(object, {"status", "conditions"});
  if (conditions == nullptr || !conditions->is_array()) return nullptr;
  for (const json& each : *conditions) {
    if (text_at(each, {"type"}) == type) return &each;
  }
  return nullptr;
}

bool is_ready(const json& pod) {
  const json* ready = condition(pod, "Ready");
  return ready != nullptr && text_at(*ready, {"status"}) == "True";
}

std::optional<api::Timestamp> available_at(const json& pod, std::int64_t min_ready_seconds) {
  if (min_ready_seconds <= 0 || !is_ready(pod)) return std::nullopt;
  const auto since = time_at(*condition(pod, "Ready"), {"lastTransitionTime"});
  if (!since) return std::nullopt;
  return *since + std::chrono::seconds(min_ready_seconds);
}

bool is_available(const json& pod, std::int64_t min_ready_seconds, api::Timestamp now) {
  if (!is_ready(pod)) return false;
  const auto at = available_at(pod, min_ready_seconds);
  return !at || *at <= now;
}

std::optional<api::Timestamp> time_at(const json& object, std::initializer_list<std::string_view> path) {
  const std::string text = text_at(object, path);
  if (text.empty()) return std::nullopt;
  return api::parse_rfc3339(text);
}

std::string annotation(const json& object, std::string_view key) {
  return text_at(object, {"metadata", "annotations", key});
}

std::string label(const json& object, std::string_view key) {
  return text_at(object, {"metadata", "labels", key});
}

}  // namespace poolwarden::cluster
