// The published list as addresses that a gateway can send to. Pure; any thread.
#pragma once

#include "api/endpoint_set.h"
#include "gateway/server_address.h"

#include <set>
#include <string>
#include <vector>

namespace poolwarden::gateway {

// One address wanted by the list: one of an endpoint's ports.
struct WantedServer {
  ServerAddress address;
  std::string pod;
  api::EndpointState state = api::EndpointState::kReady;
  std::string zone = {};  // of its node; may be empty

  bool operator==(const WantedServer&) const = default;
};

// Where nobody sends to. Loopback, link-local (with the metadata services of clouds), multicast and
// unspecified addresses are no pod's. Whoever writes a list must not have a gateway send requests there.
struct AddressRules {
  bool allow_loopback = false;  // stand-ins on this machine
  std::set<std::string> never;  // IP addresses, canonical: the API server's own
};

// Sorted, each once; of two pods that name the same address the ready one counts. Endpoints without a usable
// address are left out and named in `problems`. Those whose UID is in `fallen` are as if they were draining.
std::vector<WantedServer> wanted_servers(const api::EndpointSet& list, const std::set<std::string>& fallen,
                                         const AddressRules& rules, std::vector<std::string>* problems);

}  // namespace poolwarden::gateway
