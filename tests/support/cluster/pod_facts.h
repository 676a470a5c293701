// Small questions about pods and owners that several controllers ask, answered as Kubernetes' podutil does.
#pragma once

#include "api/time.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::cluster {

// The uid of the owner that controls the object; empty for an orphan.
std::string controller_uid(const nlohmann::json& object);
nlohmann::json controller_reference(std::string_view api_version, std::string_view kind,
                                    const nlohmann::json& owner);
// The object's owner references without that owner.
nlohmann::json references_without(const nlohmann::json& object, std::string_view uid);

bool is_deleting(const nlohmann::json& object);
// Neither finished nor being deleted: what a ReplicaSet counts.
bool is_active(const nlohmann::json& pod);
bool is_ready(const nlohmann::json& pod);
// Ready for at least `min_ready_seconds`.
bool is_available(const nlohmann::json& pod, std::int64_t min_ready_seconds, api::Timestamp now);
// When it will be, if nothing changes; nothing if it is now, or is not ready.
std::optional<api::Timestamp> available_at(const nlohmann::json& pod, std::int64_t min_ready_seconds);

const nlohmann::json* condition(const nlohmann::json& object, std::string_view type);
std::optional<api::Timestamp> time_at(const nlohmann::json& object,
                                      std::initializer_list<std::string_view> path);
std::string annotation(const nlohmann::json& object, std::string_view key);
std::string label(const nlohmann::json& object, std::string_view key);

}  // namespace poolwarden::cluster
