// /healthz, /readyz and /metrics over HTTP, for the kubelet and Prometheus; and a page at / for people.
//
// Probes answer as Kubernetes' own components do: 200 "ok", or 500 with one line a check; ?verbose shows the
// lines always. Both addresses may be the same one, then all paths are there. What clients may cost is
// bounded (http_server.h, rationed_page.h), and silent or slow ones do not keep the kubelet out.
//
// Owned by main. Each address has one thread, on which the checks and the metrics are read: so they must not
// wait for the loop. With two addresses no scrape delays a probe, however slow it is. With one address a
// probe waits while the metrics are being read, but never for a client that takes them slowly.
#pragma once

#include "telemetry/bind_address.h"

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

class HttpServer;

// Nothing when well, else what is wrong, for a person. Called on the thread of the probes' address.
using Check = std::function<std::optional<std::string>()>;

struct NamedCheck {
  std::string name;  // "loop", "pods-synced"
  Check check;
};

// An HTML document, beside the metrics. Called on the thread of their address, at most once a second.
struct HtmlPage {
  std::function<std::string()> make;  // none: nothing is at /
  std::string policy;                 // HttpAnswer::policy
};

struct HealthOptions {
  // "host:port", "[ip6]:port" or ":port" (all addresses); port 0 picks a free one; "0" or "" serves nothing.
  std::string metrics_bind_address = ":8080";
  std::string probe_bind_address = ":8081";
  std::vector<NamedCheck> healthz;  // failing for long means: restart me
  std::vector<NamedCheck> readyz;   // failing means: alive, but not doing the job (yet)
  HtmlPage status_page = {};
};

// Whether nothing is to be served there.
bool is_off(const std::string& bind_address);

class HealthServer {
 public:
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
  HealthServer();

  std::unique_ptr<HttpServer> probes_;
  std::unique_ptr<HttpServer> metrics_;  // null also when the probes' server serves both
  bool shared_ = false;
};

}  // namespace poolwarden::telemetry
