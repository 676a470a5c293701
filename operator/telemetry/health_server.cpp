#include "telemetry/health_server.h"

#include "telemetry/http_server.h"
#include "telemetry/rationed_page.h"

#include <chrono>
#include <exception>
#include <map>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>

namespace poolwarden::telemetry {
namespace {

constexpr const char* kMetricsFlag = "--metrics-bind-address";
constexpr const char* kProbeFlag = "--health-probe-bind-address";

// "[+]loop ok", "[-]pods-synced failed: ..." and a last line, as kube-apiserver's healthz package writes
// them.
HttpAnswer run_checks(std::string_view path, const std::vector<NamedCheck>& checks, bool verbose) {
  std::string lines = "[+]ping ok\n";
  bool well = true;
  for (const NamedCheck& named : checks) {
    std::optional<std::string> problem;
    try {
      problem = named.check();
    } catch (const std::exception& thrown) {
      problem = fmt::format("the check itself failed: {}", thrown.what());
    }
    if (problem) {
      well = false;
      lines += fmt::format("[-]{} failed: {}\n", named.name, *problem);
    } else {
      lines += fmt::format("[+]{} ok\n", named.name);
    }
  }
  if (!well) return {.status = 500, .body = fmt::format("{}{} check failed\n", lines, path)};
  return {.body = verbose ? fmt::format("{}{} check passed\n", lines, path) : "ok"};
}

using Route = std::function<HttpAnswer(bool verbose)>;
using Routes = std::map<std::string, Route>;

HttpHandler handler_of(Routes routes) {
  return [routes = std::move(routes)](const HttpRequest& request) -> HttpAnswer {
    const auto route = routes.find(request.path);
    if (route == routes.end()) return {.status = 404, .body = "there is nothing at this path\n"};
    return route->second(request.has("verbose"));
  };
}

Route scrapes_of(std::shared_ptr<prometheus::Collectable> metrics) {
  auto page = std::make_shared<RationedPage>(kMetricsRation, [metrics = std::move(metrics)] {
    return prometheus::TextSerializer().Serialize(metrics->Collect());
  });
  // https://github.com/prometheus/docs/blob/main/docs/instrumenting/exposition_formats.md
  return [page](bool) -> HttpAnswer {
    return {.type = "text/plain; version=0.0.4; charset=utf-8",
            .body = page->at(std::chrono::steady_clock::now())};
  };
}

void add_checks(Routes& routes, const char* name, std::vector<NamedCheck> checks) {
  routes[fmt::format("/{}", name)] = [name, checks = std::move(checks)](bool verbose) {
    return run_checks(name, checks, verbose);
  };
}

// What is at the address of the metrics.
Routes routes_of(std::shared_ptr<prometheus::Collectable> metrics, HtmlPage status) {
  Routes routes{{"/metrics", scrapes_of(std::move(metrics))}};
  if (!status.make) return routes;
  auto page = std::make_shared<RationedPage>(kStatusRation, std::move(status.make));
  routes["/"] = [page, policy = std::move(status.policy)](bool) -> HttpAnswer {
    return {.type = "text/html; charset=utf-8",
            .body = page->at(std::chrono::steady_clock::now()),
            .policy = policy};
  };
  return routes;
}

tl::expected<std::unique_ptr<HttpServer>, std::string> serve(const char* flag, const std::string& value,
                                                             Routes routes) {
  return parse_bind_address(value)
      .and_then([&](const BindAddress& address) {
        return HttpServer::start(address, handler_of(std::move(routes)));
      })
      .map_error([&](const std::string& problem) {
        return fmt::format(
            "{}={}: {}; give it as \":8080\", \"127.0.0.1:8080\" or \"[::1]:8080\", or \"0\" to switch it "
            "off",
            flag, value, problem);
      });
}

}  // namespace

bool is_off(const std::string& bind_address) {
  return bind_address.empty() || bind_address == "0";
}

HealthServer::HealthServer() = default;
HealthServer::~HealthServer() = default;

tl::expected<std::unique_ptr<HealthServer>, std::string> HealthServer::start(
    HealthOptions options, std::shared_ptr<prometheus::Collectable> metrics) {
  auto server = std::unique_ptr<HealthServer>(new HealthServer);
  Routes of_metrics = routes_of(std::move(metrics), std::move(options.status_page));
  if (!is_off(options.probe_bind_address)) {
    server->shared_ = options.metrics_bind_address == options.probe_bind_address;
    Routes routes;
    add_checks(routes, "healthz", std::move(options.healthz));
    add_checks(routes, "readyz", std::move(options.readyz));
    if (server->shared_) routes.merge(of_metrics);
    auto started = serve(kProbeFlag, options.probe_bind_address, std::move(routes));
    if (!started) return tl::unexpected(std::move(started.error()));
    server->probes_ = std::move(*started);
  }
  if (!is_off(options.metrics_bind_address) && !server->shared_) {
    auto started = serve(kMetricsFlag, options.metrics_bind_address, std::move(of_metrics));
    if (!started) return tl::unexpected(std::move(started.error()));
    server->metrics_ = std::move(*started);
  }
  return server;
}

std::uint16_t HealthServer::metrics_port() const {
  if (shared_) return probe_port();
  return metrics_ ? metrics_->port() : std::uint16_t{0};
}

std::uint16_t HealthServer::probe_port() const {
  return probes_ ? probes_->port() : std::uint16_t{0};
}

}  // namespace poolwarden::telemetry
