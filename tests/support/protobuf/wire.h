// Kubernetes' protobuf for tests: from an object's JSON to the bytes that a real API server sends for it.
//
// Knows the fields of the built-in kinds that the operator reads, and some around them that it must pass
// over; what it does not know is left out. A value of a type that a field cannot have is left out too. Field
// numbers are written down here a second time on purpose: a wrong one in the readers does not agree with
// these.
//
// Stateless; any thread.
#pragma once

#include "support/protobuf/envelope.h"

#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::protobuf_wire {

// The message of a "Pod", "Node", "Service", "ConfigMap", "Deployment", "ReplicaSet", "StatefulSet",
// "PodDisruptionBudget", "HorizontalPodAutoscaler" or "Status".
std::string message(std::string_view kind, const nlohmann::json& object);

// The same in its envelope.
std::string object(std::string_view kind, const nlohmann::json& object);

}  // namespace poolwarden::protobuf_wire
