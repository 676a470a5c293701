// Events are one resource with two faces, core/v1 and events.k8s.io/v1. They are stored as core/v1.
// k8s.io/kubernetes/pkg/apis/core/v1 and pkg/apis/events/v1 conversions.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::apiserver {

nlohmann::json events_v1_view(const nlohmann::json& core);
nlohmann::json core_view(const nlohmann::json& events_v1);

}  // namespace poolwarden::apiserver
