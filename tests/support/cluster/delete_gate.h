// What may refuse a controller the delete of a pod, for tests without the API server's own admission.
#pragma once

#include <chrono>
#include <functional>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::cluster {

// An admission rule for a controller's pod deletes: true refuses this one.
using DeleteGate = std::function<bool(const nlohmann::json& pod)>;

// The rule of Poolwarden's ValidatingAdmissionPolicy: pods whose label poolwarden.io/serving is "true",
// "draining" or "finishing" are held, unless they have ended.
bool held_by_serving_label(const nlohmann::json& pod);

// When a refused delete is tried again: between the first and the last of the real controllers' waits, 5 ms
// doubled up to 1000 s.
inline constexpr std::chrono::seconds kRefusedRetry{20};

}  // namespace poolwarden::cluster
