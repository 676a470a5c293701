// One gateway feed under test: the real loop between an API server in memory and a real HAProxy.
#pragma once

#include "gateway/gateway_sync.h"
#include "gateway/haproxy.h"
#include "haproxy_process.h"
#include "memory_transport.h"
#include "replica.h"

#include <chrono>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

namespace poolwarden::gateway {

inline api::Endpoint endpoint_of(const Replica& replica,
                                 api::EndpointState state = api::EndpointState::kReady) {
  api::Endpoint out;
  out.pod = replica.name();
  out.uid = "uid-" + replica.name();
  out.ip = replica.ip();
  out.ports = {{Replica::kPort, {}}};
  out.state = state;
  return out;
}

template <class Condition>
bool eventually(Condition condition, std::chrono::milliseconds patience = std::chrono::seconds(30)) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

class GatewayBench {
 public:
  explicit GatewayBench(std::string haproxy_config = POOLWARDEN_HAPROXY_CFG)
      : haproxy(std::move(haproxy_config)) {}
  ~GatewayBench() { stop(); }

  void start_sync() {
    const int fd = ::open(directory.file("log").c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    telemetry::LogOptions options;
    options.fd = fd;
    log_fd_ = fd;
    log = std::make_unique<telemetry::Log>(options);
    GatewaySyncOptions sync_options;
    sync_options.ns = "default";
    sync_options.pool = "vllm";
    sync_options.config_map = "vllm-endpoints";
    sync_options.core.addresses.allow_loopback = true;
    sync_options.consumer = {"default", "vllm", "gateway-0", "haproxy"};
    gateway =
        std::make_unique<Haproxy>(UnixPath{haproxy.socket_path()}, BackendName{"pool", "pod-", withdraw_by});
    sync = std::make_unique<GatewaySync>(std::move(sync_options), *gateway, api, *log, metrics);
    loop_ = std::thread([this] { sync->run(); });
  }
  void stop() {
    if (!loop_.joinable()) return;
    sync->stop();
    loop_.join();
    sync.reset();
    log.reset();
    ::close(log_fd_);
  }

  void publish(std::vector<api::Endpoint> endpoints) {
    api.publish({"default", "vllm", ++revision_, std::move(endpoints)});
  }
  bool ready() const { return !sync->readiness_problem(); }

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
  std::string logged() const {
    std::ifstream in(directory.file("log"));
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }

  const TempDir directory;
  WithdrawBy withdraw_by = WithdrawBy::kDrain;
  HaproxyProcess haproxy;
  MemoryTransport api{"default", "vllm-endpoints"};
  GatewayMetrics metrics;
  std::unique_ptr<telemetry::Log> log;
  std::unique_ptr<Haproxy> gateway;
  std::unique_ptr<GatewaySync> sync;

 private:
  std::thread loop_;
  std::int64_t revision_ = 0;
  int log_fd_ = -1;
};

}  // namespace poolwarden::gateway
