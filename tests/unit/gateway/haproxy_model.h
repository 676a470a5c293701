// HAProxy's servers as a value: enough of the Runtime API to hold the plan and the core to what they promise,
// without a process. It refuses what HAProxy 2.6 refuses, and keeps count of what must never happen.
#pragma once

#include "gateway/haproxy.h"
#include "gateway/server_address.h"

#include <cstdint>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace poolwarden::gateway {

class HaproxyModel {
 public:
  explicit HaproxyModel(std::size_t slots) {
    for (std::size_t i = 1; i <= slots; ++i) {
      servers.push_back(
          {"pod-" + std::to_string(i), make_address("127.0.0.1", 1), AdminState::kMaintenance, 0});
    }
    servers.push_back({"spare", make_address("10.9.9.9", 80), AdminState::kReady, 3});
    servers.push_back({"pod-x", make_address("10.9.9.8", 80), AdminState::kReady, 0});
  }

  HaproxySnapshot snapshot() const { return {pid, "2.6.12", servers}; }

  void restart() {
    const std::size_t slots = servers.size() - 2;
    const std::int64_t next = pid + 1;
    *this = HaproxyModel(slots);
    pid = next;
  }

  // The answer, as HAProxy words it.
  std::string carry_out(const std::string& text) {
    std::istringstream in(text);
    std::string set, server, target, what, value, port_word;
    std::int64_t port = 0;
    in >> set >> server >> target >> what >> value;
    ObservedServer* found = find(target);
    if (set != "set" || server != "server" || !target.starts_with("b/") || found == nullptr)
      return "No such server.\n";
    if (found->name == "spare" || found->name == "pod-x") ++foreign_touched;
    if (what == "state") {
      if (value == "ready") found->admin = AdminState::kReady;
      if (value == "drain") found->admin = AdminState::kDrain;
      if (value == "maint") {
        if (found->busy > 0) ++parked_while_busy;
        found->admin = AdminState::kMaintenance;
      }
      return "";
    }
    if (what == "weight") {
      found->weight = std::stoi(value);
      return "";
    }
    in >> port_word >> port;
    const auto address = make_address(value, port);
    if (!address || port_word != "port") return "Invalid addr\n";
    if (found->admin != AdminState::kMaintenance || found->busy > 0) ++readdressed_in_use;
    found->address = address;
    return "IP changed from 'a' to 'b' by 'stats socket command'\n";
  }

  ObservedServer* at(const std::string& address) {
    for (ObservedServer& server : servers) {
      if (server.address && server.address->to_string() == address) return &server;
    }
    return nullptr;
  }

  std::int64_t pid = 100;
  std::vector<ObservedServer> servers;
  // Each stays 0 whatever happens.
  int foreign_touched = 0;
  int readdressed_in_use = 0;
  int parked_while_busy = 0;

 private:
  ObservedServer* find(const std::string& target) {
    for (ObservedServer& server : servers) {
      if ("b/" + server.name == target) return &server;
    }
    return nullptr;
  }
};

inline std::shared_ptr<const Observation> observed(HaproxySnapshot snapshot) {
  return std::make_shared<const HaproxyObservation>(std::move(snapshot), BackendName{"b", "pod-"});
}

inline api::Endpoint endpoint(const std::string& pod, const std::string& ip,
                              std::vector<std::int32_t> ports = {8000},
                              api::EndpointState state = api::EndpointState::kReady) {
  api::Endpoint out;
  out.pod = pod;
  out.uid = "uid-" + pod;
  out.ip = ip;
  for (const std::int32_t port : ports) out.ports.push_back({port, {}});
  out.state = state;
  return out;
}

inline api::EndpointSet list_of(std::int64_t revision, std::vector<api::Endpoint> endpoints) {
  return {"default", "vllm", revision, std::move(endpoints)};
}

}  // namespace poolwarden::gateway
