// The API server as the gateway feed needs it: one ConfigMap to list and watch, from memory. It can be away,
// and it can hand out nonsense. Everything may be called from any thread.
#pragma once

#include "api/endpoint_set.h"
#include "kube/transport.h"

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace poolwarden::gateway {

class MemoryTransport final : public kube::Transport {
 public:
  MemoryTransport(std::string ns, std::string name) : ns_(std::move(ns)), name_(std::move(name)) {}
  ~MemoryTransport() override { go_away(); }

  void publish(const api::EndpointSet& set) { publish_text(api::to_canonical_json(set)); }
  void publish_text(std::string endpoints_json);
  void remove();
  void go_away();  // cuts the watches and refuses everything
  void come_back();

  void send(kube::HttpRequest request, Callback done) override;
  std::unique_ptr<kube::StreamHandle> stream(kube::HttpRequest request,
                                             std::chrono::milliseconds idle_timeout,
                                             std::shared_ptr<kube::StreamHandler> handler) override;

 private:
  class Handle;
  std::string object() const;
  void announce(const std::string& type, const std::string& object);
  std::shared_ptr<kube::StreamHandler> take(std::uint64_t stream);

  const std::string ns_;
  const std::string name_;
  std::mutex mutex_;
  bool away_ = false;
  std::uint64_t version_ = 10;
  std::optional<std::string> json_;
  std::uint64_t last_stream_ = 0;
  std::map<std::uint64_t, std::shared_ptr<kube::StreamHandler>> streams_;
};

}  // namespace poolwarden::gateway
