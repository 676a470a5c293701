// The API server as the gateway feed needs it, from memory: one ConfigMap and some pods to list and watch,
// and a Lease to write. It can be away, and it can hand out nonsense. Everything may be called from any
// thread.
#pragma once

#include "api/endpoint_set.h"
#include "kube/transport.h"

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace poolwarden::gateway {

enum class PodState : std::uint8_t { kReady, kNotReady, kUnknown, kTerminating };

class MemoryTransport final : public kube::Transport {
 public:
  MemoryTransport(std::string ns, std::string name) : ns_(std::move(ns)), name_(std::move(name)) {}
  ~MemoryTransport() override { go_away(); }

  void publish(const api::EndpointSet& set) { publish_text(api::to_canonical_json(set)); }
  // A pod as it now is, with the label of an endpoint. Its UID is "uid-<name>".
  void set_pod(const std::string& name, PodState state);
  void end_pod(const std::string& name);
  // It is there, and is not watched any more.
  void unlabel_pod(const std::string& name);
  void forbid_pods();
  // The bodies of writes to the Lease, in order.
  std::vector<std::string> leases() const;
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
  struct Stream {
    std::string resource;
    std::shared_ptr<kube::StreamHandler> handler;
  };
  struct Pod {
    std::string object;
    bool labelled = true;
  };
  std::string object() const;
  std::string pods() const;
  void announce(const std::string& resource, const std::string& type, const std::string& object);
  kube::HttpResponse answer(const kube::HttpRequest& request);
  kube::HttpResponse answer_pods(const std::string& target) const;
  std::shared_ptr<kube::StreamHandler> take(std::uint64_t stream);

  const std::string ns_;
  const std::string name_;
  mutable std::mutex mutex_;
  bool away_ = false;
  bool pods_forbidden_ = false;
  std::uint64_t version_ = 10;
  std::optional<std::string> json_;
  std::uint64_t last_stream_ = 0;
  std::map<std::string, Pod> pods_;
  std::vector<std::string> leases_;
  std::map<std::uint64_t, Stream> streams_;
};

}  // namespace poolwarden::gateway
