#include "gateway/wanted_servers.h"

#include "base/address.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::gateway {
namespace {

// Empty: it may be sent to.
std::string refused(const ServerAddress& address, const AddressRules& rules) {
  const auto kind = base::kind_of(address.ip);
  if (!kind) return "not an address that can be told from others";
  if (rules.never.contains(address.ip)) return "the API server's own";
  return std::string(base::refused_as_pod(*kind, rules.allow_loopback));
}

}  // namespace

std::vector<WantedServer> wanted_servers(const api::EndpointSet& list, const std::set<std::string>& fallen,
                                         const AddressRules& rules, std::vector<std::string>* problems) {
  std::vector<WantedServer> wanted;
  for (const api::Endpoint& endpoint : list.endpoints) {
    const auto state = fallen.contains(endpoint.uid) ? api::EndpointState::kDraining : endpoint.state;
    for (const api::EndpointPort& port : endpoint.ports) {
      auto address = make_address(endpoint.ip, port.number);
      if (!address) {
        problems->push_back(fmt::format("pod {}: '{}' port {} is not an address a server can have",
                                        endpoint.pod, endpoint.ip, port.number));
        continue;
      }
      if (const std::string why = refused(*address, rules); !why.empty()) {
        problems->push_back(
            fmt::format("pod {}: {} is {}: nothing is sent there", endpoint.pod, address->to_string(), why));
        continue;
      }
      wanted.push_back({std::move(*address), endpoint.pod, state, endpoint.zone});
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
