// One gateway feed under test in front of a real HAProxy.
#pragma once

#include "feed.h"
#include "gateway/haproxy.h"
#include "haproxy_process.h"
#include "replica.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace poolwarden::gateway {

inline api::Endpoint endpoint_of(const Replica& replica,
                                 api::EndpointState state = api::EndpointState::kReady) {
  return endpoint_at(replica.name(), replica.ip(), Replica::kPort, state);
}

class GatewayBench : public Feed {
 public:
  explicit GatewayBench(std::string haproxy_config = POOLWARDEN_HAPROXY_CFG)
      : haproxy(std::move(haproxy_config)) {}
  ~GatewayBench() { stop(); }

  void start_sync() {
    gateway_ = std::make_unique<Haproxy>(UnixPath{haproxy.socket_path()},
                                         BackendName{"pool", "pod-", withdraw_by, weights},
                                         haproxy.state_path(), away);
    start(*gateway_, "haproxy");
  }
  // All of it runs, and both serve: their pods are ready and on the list.
  void serve(const Replica& a, const Replica& b) {
    for (const Replica* each : {&a, &b}) api.set_pod(each->name(), PodState::kReady);
    ASSERT_NO_FATAL_FAILURE(haproxy.start());
    start_sync();
    publish({endpoint_of(a), endpoint_of(b)});
    for (const Replica* each : {&a, &b}) ASSERT_TRUE(becomes(*each, AdminState::kReady)) << logged();
  }

  std::vector<ObservedServer> servers() {
    HaproxySocket socket(UnixPath{haproxy.socket_path()});
    const auto answers = socket.ask(snapshot_commands("pool"));
    if (!answers) return {};
    auto snapshot = parse_snapshot(*answers, "pool");
    return snapshot ? std::move(snapshot->servers) : std::vector<ObservedServer>{};
  }
  // The state of the replica's server; nothing if no server has its address.
  std::optional<AdminState> state_of(const Replica& replica) {
    for (const ObservedServer& server : servers()) {
      if (server.address == make_address(replica.ip(), Replica::kPort)) return server.admin;
    }
    return std::nullopt;
  }
  bool becomes(const Replica& replica, AdminState state) {
    return eventually([&] { return state_of(replica) == state; });
  }
  // The weight of the replica's server; 0 if no server has its address.
  std::int64_t weight_of(const Replica& replica) {
    for (const ObservedServer& server : servers()) {
      if (server.address == make_address(replica.ip(), Replica::kPort)) return server.weight;
    }
    return 0;
  }

  WithdrawBy withdraw_by = WithdrawBy::kDrain;
  std::optional<ZoneWeights> weights;
  std::chrono::milliseconds away = Haproxy::kAway;
  HaproxyProcess haproxy;

 private:
  std::unique_ptr<Haproxy> gateway_;
};

}  // namespace poolwarden::gateway
