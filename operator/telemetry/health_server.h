// /healthz, /readyz and /metrics over HTTP, for the kubelet and Prometheus.
//
// Probes answer as Kubernetes' own components do: 200 "ok", or 500 with one line a check; ?verbose shows the
// lines always. Both addresses may be the same one, then all three paths are there.
//
// Owned by main. Runs on threads of its own: checks and the metrics are read from those, so they must not
// wait for the loop. Slow or silent clients are cut after kRequestTimeout and cannot starve the probes for
// long.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

namespace prometheus {
class Collectable;
}

namespace poolwarden::telemetry {

// Nothing when well, else what is wrong, for a person. Called on the server's threads, often several at once.
using Check = std::function<std::optional<std::string>()>;

struct NamedCheck {
  std::string name;  // "loop", "pods-synced"
  Check check;
};

struct HealthOptions {
  // "host:port", "[ip6]:port" or ":port" (all addresses); port 0 picks a free one; "0" or "" serves nothing.
  std::string metrics_bind_address = ":8080";
  std::string probe_bind_address = ":8081";
  std::vector<NamedCheck> healthz;  // failing for long means: restart me
  std::vector<NamedCheck> readyz;   // failing means: alive, but not doing the job (yet)
};

struct BindAddress {
  std::string host;  // empty: all addresses; without brackets
  std::uint16_t port = 0;
};

// The address as above, already known not to be "0" or ""; an error is a sentence without the flag's name.
tl::expected<BindAddress, std::string> parse_bind_address(const std::string& text);

class HealthServer {
 public:
  static constexpr std::chrono::seconds kRequestTimeout{2};

  // An error names the flag, what is wrong with its value and how to mend it.
  static tl::expected<std::unique_ptr<HealthServer>, std::string> start(
      HealthOptions options, std::shared_ptr<prometheus::Collectable> metrics);
  ~HealthServer();
  HealthServer(const HealthServer&) = delete;
  HealthServer& operator=(const HealthServer&) = delete;

  // The ports listened on; 0 when that part is switched off.
  std::uint16_t metrics_port() const;
  std::uint16_t probe_port() const;

 private:
  struct Impl;
  explicit HealthServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace poolwarden::telemetry
