// The gateway feed under test: the real loop between an API server in memory and a gateway, with its log in a
// file.
//
// Whoever derives from it and owns the gateway stops it before the gateway is gone.
#pragma once

#include "gateway/gateway_sync.h"
#include "memory_transport.h"
#include "test_process.h"

#include <cstdint>
#include <fcntl.h>
#include <memory>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace poolwarden::gateway {

inline api::Endpoint endpoint_at(const std::string& pod, const std::string& ip, std::int32_t port,
                                 api::EndpointState state = api::EndpointState::kReady) {
  api::Endpoint out;
  out.pod = pod;
  out.uid = "uid-" + pod;
  out.ip = ip;
  out.ports = {{port, {}}};
  out.state = state;
  return out;
}

class Feed {
 public:
  Feed() = default;
  ~Feed() { stop(); }
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;

  void start(Gateway& gateway, std::string kind) {
    log_fd_ = ::open(directory.file("log").c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    telemetry::LogOptions to_file;
    to_file.fd = log_fd_;
    log_ = std::make_unique<telemetry::Log>(to_file);
    GatewaySyncOptions options;
    options.ns = "default";
    options.pool = "vllm";
    options.config_map = "vllm-endpoints";
    options.consumer = {"default", "vllm", "gateway-0", std::move(kind)};
    options.core.gateway = std::string(gateway.name());
    options.core.addresses.allow_loopback = true;
    sync = std::make_unique<GatewaySync>(std::move(options), gateway, api, *log_, metrics);
    loop_ = std::thread([this] { sync->run(); });
  }
  void stop() {
    if (!loop_.joinable()) return;
    sync->stop();
    loop_.join();
    sync.reset();
    log_.reset();
    ::close(log_fd_);
  }

  void publish(std::vector<api::Endpoint> endpoints) {
    api.publish({"default", "vllm", ++revision_, std::move(endpoints)});
  }
  bool ready() const { return !sync->readiness_problem(); }
  std::string logged() const { return contents_of(directory.file("log")); }
  bool logs(const std::string& what) const {
    return eventually([&] { return logged().find(what) != std::string::npos; });
  }

  const TempDir directory;
  MemoryTransport api{"default", "vllm-endpoints"};
  GatewayMetrics metrics;
  std::unique_ptr<GatewaySync> sync;

 private:
  std::unique_ptr<telemetry::Log> log_;
  std::thread loop_;
  std::int64_t revision_ = 0;
  int log_fd_ = -1;
};

}  // namespace poolwarden::gateway
