#include "telemetry/health_server.h"

#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <exception>
#include <mutex>
#include <netinet/in.h>
#include <string_view>
#include <utility>

#include <civetweb.h>
#include <fmt/format.h>
#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>

namespace poolwarden::telemetry {
namespace {

constexpr const char* kMetricsFlag = "--metrics-bind-address";
constexpr const char* kProbeFlag = "--health-probe-bind-address";

struct Answer {
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
};

// "[+]loop ok", "[-]pods-synced failed: ..." and a last line, as kube-apiserver's healthz package writes
// them.
Answer run_checks(std::string_view path, const std::vector<NamedCheck>& checks, bool verbose) {
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

Answer scrape(const prometheus::Collectable& metrics) {
  // https://github.com/prometheus/docs/blob/main/docs/instrumenting/exposition_formats.md
  return {.type = "text/plain; version=0.0.4; charset=utf-8",
          .body = prometheus::TextSerializer().Serialize(metrics.Collect())};
}

using Route = std::function<Answer(bool verbose)>;

bool asks_verbose(const mg_request_info& request) {
  if (request.query_string == nullptr) return false;
  const std::string_view query = request.query_string;
  return query == "verbose" || query.starts_with("verbose=") || query.starts_with("verbose&") ||
         query.find("&verbose") != std::string_view::npos;
}

int serve(mg_connection* connection, void* data) {
  const mg_request_info& request = *mg_get_request_info(connection);
  const std::string_view method = request.request_method;
  Answer answer;
  if (method != "GET" && method != "HEAD") {
    answer = {.status = 405, .body = "only GET and HEAD are answered here\n"};
  } else {
    try {
      answer = (*static_cast<const Route*>(data))(asks_verbose(request));
    } catch (const std::exception& thrown) {
      answer = {.status = 500, .body = fmt::format("{}\n", thrown.what())};
    }
  }
  const std::string head = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n"
      "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
      answer.status, mg_get_response_code_text(connection, answer.status), answer.type, answer.body.size());
  mg_write(connection, head.data(), head.size());
  if (method != "HEAD") mg_write(connection, answer.body.data(), answer.body.size());
  return answer.status;
}

// Collects what civetweb says while it starts: the only place where the reason of a failed bind is found.
struct StartLog {
  std::mutex mutex;
  std::string lines;
};

int keep_message(const mg_connection* connection, const char* message) {
  auto* log = static_cast<StartLog*>(mg_get_user_data(mg_get_context(connection)));
  const std::lock_guard lock(log->mutex);
  constexpr std::size_t kEnough = 4096;  // it is also called for the odd broken request later on
  if (log->lines.size() < kEnough) log->lines.append(message).append("\n");
  return 1;
}

std::string to_civetweb(const BindAddress& address) {
  if (address.host.empty()) return fmt::format("+{}", address.port);  // IPv4 and IPv6
  if (address.host.find(':') != std::string::npos) return fmt::format("[{}]:{}", address.host, address.port);
  return fmt::format("{}:{}", address.host, address.port);
}

// One listening address and what is served there.
class Listener {
 public:
  static tl::expected<std::unique_ptr<Listener>, std::string> start(const BindAddress& address) {
    auto listener = std::unique_ptr<Listener>(new Listener);
    listener->context_ = listener->open(to_civetweb(address));
    if (listener->context_ == nullptr && address.host.empty()) {
      // A kernel without IPv6.
      listener->context_ = listener->open(fmt::format("0.0.0.0:{}", address.port));
    }
    if (listener->context_ != nullptr) return listener;
    const std::string& said = listener->log_.lines;
    if (said.find("Address already in use") != std::string::npos) {
      return tl::unexpected<std::string>("the address is already in use by another process");
    }
    if (said.find("Permission denied") != std::string::npos) {
      return tl::unexpected<std::string>("permission denied (ports below 1024 need CAP_NET_BIND_SERVICE)");
    }
    if (said.find("Cannot assign requested address") != std::string::npos) {
      return tl::unexpected<std::string>("this machine has no such address");
    }
    return tl::unexpected<std::string>("cannot listen: " + said.substr(0, said.find('\n')));
  }
  ~Listener() {
    if (context_ != nullptr) mg_stop(context_);
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  std::uint16_t port() const {
    std::array<mg_server_port, 2> ports{};
    const int found = mg_get_server_ports(context_, static_cast<int>(ports.size()), ports.data());
    return found > 0 ? static_cast<std::uint16_t>(ports[0].port) : std::uint16_t{0};
  }

  void route(const char* path, Route answer) {
    routes_.push_back(std::make_unique<Route>(std::move(answer)));
    mg_set_request_handler(context_, path, serve, routes_.back().get());
  }

 private:
  Listener() = default;

  mg_context* open(const std::string& port) {
    const std::string timeout = std::to_string(HealthServer::kRequestTimeout.count());
    std::array<const char*, 9> options{
        "listening_ports", port.c_str(),        "num_threads", "3",    "request_timeout_ms",
        timeout.c_str(),   "enable_keep_alive", "no",          nullptr};
    mg_callbacks callbacks{};
    callbacks.log_message = keep_message;
    return mg_start(&callbacks, &log_, options.data());
  }

  StartLog log_;
  std::vector<std::unique_ptr<Route>> routes_;
  mg_context* context_ = nullptr;
};

std::string complaint(const char* flag, const std::string& value, const std::string& problem) {
  return fmt::format(
      "{}={}: {}; give it as \":8080\", \"127.0.0.1:8080\" or \"[::1]:8080\", or \"0\" to switch it off",
      flag, value, problem);
}

bool off(const std::string& address) {
  return address.empty() || address == "0";
}

}  // namespace

tl::expected<BindAddress, std::string> parse_bind_address(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return tl::unexpected<std::string>("the port is missing");
  BindAddress address{.host = text.substr(0, colon), .port = 0};
  const char* end = text.data() + text.size();
  const auto [rest, failed] = std::from_chars(text.data() + colon + 1, end, address.port);
  if (failed != std::errc{} || rest != end) {
    return tl::unexpected(fmt::format("\"{}\" is not a port from 0 to 65535", text.substr(colon + 1)));
  }
  if (address.host.empty()) return address;
  const bool bracketed = address.host.front() == '[' && address.host.back() == ']' && address.host.size() > 2;
  if (bracketed) address.host = address.host.substr(1, address.host.size() - 2);
  in6_addr parsed{};  // large enough for both families
  if (::inet_pton(bracketed ? AF_INET6 : AF_INET, address.host.c_str(), &parsed) != 1) {
    return tl::unexpected(fmt::format("\"{}\" is not an IP address", address.host));
  }
  return address;
}

struct HealthServer::Impl {
  HealthOptions options;
  std::shared_ptr<prometheus::Collectable> metrics;
  std::unique_ptr<Listener> probe_listener;
  std::unique_ptr<Listener> metrics_listener;  // null also when the probes' listener serves both
  bool shared = false;
};

HealthServer::HealthServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HealthServer::~HealthServer() = default;

tl::expected<std::unique_ptr<HealthServer>, std::string> HealthServer::start(
    HealthOptions options, std::shared_ptr<prometheus::Collectable> metrics) {
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  impl->metrics = std::move(metrics);
  const auto listen = [](const char* flag,
                         const std::string& value) -> tl::expected<std::unique_ptr<Listener>, std::string> {
    return parse_bind_address(value)
        .and_then([](const BindAddress& address) { return Listener::start(address); })
        .map_error([&](const std::string& problem) { return complaint(flag, value, problem); });
  };

  if (!off(impl->options.probe_bind_address)) {
    auto listener = listen(kProbeFlag, impl->options.probe_bind_address);
    if (!listener) return tl::unexpected(listener.error());
    impl->probe_listener = std::move(*listener);
    const HealthOptions& checks = impl->options;
    impl->probe_listener->route("/healthz$",
                                [&](bool verbose) { return run_checks("healthz", checks.healthz, verbose); });
    impl->probe_listener->route("/readyz$",
                                [&](bool verbose) { return run_checks("readyz", checks.readyz, verbose); });
  }
  if (!off(impl->options.metrics_bind_address)) {
    impl->shared = impl->options.metrics_bind_address == impl->options.probe_bind_address;
    if (!impl->shared) {
      auto listener = listen(kMetricsFlag, impl->options.metrics_bind_address);
      if (!listener) return tl::unexpected(listener.error());
      impl->metrics_listener = std::move(*listener);
    }
    Listener& listener = impl->shared ? *impl->probe_listener : *impl->metrics_listener;
    listener.route("/metrics$", [collectable = impl->metrics](bool) { return scrape(*collectable); });
  }
  return std::unique_ptr<HealthServer>(new HealthServer(std::move(impl)));
}

std::uint16_t HealthServer::metrics_port() const {
  if (impl_->shared) return impl_->probe_listener->port();
  return impl_->metrics_listener ? impl_->metrics_listener->port() : std::uint16_t{0};
}

std::uint16_t HealthServer::probe_port() const {
  return impl_->probe_listener ? impl_->probe_listener->port() : std::uint16_t{0};
}

}  // namespace poolwarden::telemetry
