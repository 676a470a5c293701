// From the ConfigMap an operator publishes to the list in it. Pure; any thread.
#pragma once

#include "api/endpoint_set.h"
#include "api/objects.h"

#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace poolwarden::gateway {

// The error says what is wrong with it, for a person; the list that was read before stays in force then.
tl::expected<api::EndpointSet, std::string> read_list(const api::ConfigMap& config_map,
                                                      std::string_view pool);

}  // namespace poolwarden::gateway
