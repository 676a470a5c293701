#include "gateway/wanted_servers.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::gateway {

std::vector<WantedServer> wanted_servers(const api::EndpointSet& list, const std::set<std::string>& fallen,
                                         std::vector<std::string>* problems) {
  std::vector<WantedServer> wanted;
  for (const api::Endpoint& endpoint : list.endpoints) {
    const auto state = fallen.contains(endpoint.uid) ? api::EndpointState::kDraining : endpoint.state;
    for (const api::EndpointPort& port : endpoint.ports) {
      auto address = make_address(endpoint.ip, port.number);
      if (address) {
        wanted.push_back({std::move(*address), endpoint.pod, state, endpoint.zone});
      } else {
        problems->push_back(fmt::format("pod {}: '{}' port {} is not an address a server can have",
                                        endpoint.pod, endpoint.ip, port.number));
      }
    }
    if (endpoint.ports.empty()) problems->push_back(fmt::format("pod {} has no ports", endpoint.pod));
  }
  std::stable_sort(wanted.begin(), wanted.end(), [](const WantedServer& a, const WantedServer& b) {
    return std::tie(a.address, a.state) < std::tie(b.address, b.state);
  });
  const auto same = [](const WantedServer& a, const WantedServer& b) { return a.address == b.address; };
  wanted.erase(std::unique(wanted.begin(), wanted.end(), same), wanted.end());
  return wanted;
}

}  // namespace poolwarden::gateway
