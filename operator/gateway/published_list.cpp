#include "gateway/published_list.h"

#include "api/names.h"

#include <fmt/format.h>

namespace poolwarden::gateway {

tl::expected<api::EndpointSet, std::string> read_list(const api::ConfigMap& config_map,
                                                      std::string_view pool) {
  if (config_map.endpoints_json.empty()) {
    return tl::unexpected(
        fmt::format("ConfigMap {}/{} has no data key {}: is it the one Poolwarden publishes?", config_map.ns,
                    config_map.name, api::kEndpointsJsonKey));
  }
  std::string problem;
  auto list = api::parse_endpoint_set(config_map.endpoints_json, &problem);
  if (!list) {
    return tl::unexpected(fmt::format("ConfigMap {}/{}: {} cannot be read: {}", config_map.ns,
                                      config_map.name, api::kEndpointsJsonKey, problem));
  }
  if (list->pool != pool) {
    return tl::unexpected(
        fmt::format("ConfigMap {}/{} is the list of pool '{}', not of '{}': correct --pool or "
                    "--config-map",
                    config_map.ns, config_map.name, list->pool, pool));
  }
  return std::move(*list);
}

}  // namespace poolwarden::gateway
