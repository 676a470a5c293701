// What a write says, as one number: equal writes have equal ones. By it WriteThrottle tells a write that was
// undone and is wanted again from another one of the same object.
#pragma once

#include "api/endpoint_set.h"
#include "api/writes.h"

#include <cstddef>
#include <optional>

namespace poolwarden::control {

std::size_t content_hash(const api::EndpointSet& set);
std::size_t content_hash(const api::ServiceWrite& write);
std::size_t content_hash(const api::EndpointSlice& slice);
std::size_t content_hash(const api::BudgetWrite& write);
std::size_t content_hash(const api::PodLabelWrite& write);
// Nothing for a write that is never the undoing of an undoing.
std::optional<std::size_t> content_hash(const api::ScaleWrite& write);

}  // namespace poolwarden::control
