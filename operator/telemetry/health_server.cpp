#include "telemetry/health_server.h"

#include "base/address.h"

#include <cerrno>
#include <exception>
#include <string_view>
#include <sys/socket.h>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <httplib.h>
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

std::string why_not(int error) {
  if (error == EADDRINUSE) return "the address is already in use by another process";
  if (error == EACCES) return "permission denied (ports below 1024 need CAP_NET_BIND_SERVICE)";
  if (error == EADDRNOTAVAIL) return "this machine has no such address";
  return fmt::format("cannot listen: {}", std::generic_category().message(error));
}

// One listening address and what is served there.
class Listener {
 public:
  static tl::expected<std::unique_ptr<Listener>, std::string> bind(const BindAddress& address) {
    auto listener = std::unique_ptr<Listener>(new Listener);
    if (!address.host.empty()) {
      if (listener->try_bind(address.host, address.port)) return listener;
    } else if (listener->try_bind("::", address.port) ||       // takes IPv4 too
               listener->try_bind("0.0.0.0", address.port)) {  // a kernel without IPv6
      return listener;
    }
    return tl::unexpected(why_not(listener->error_));
  }
  ~Listener() {
    if (!thread_.joinable()) return;
    server_.stop();
    thread_.join();
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  std::uint16_t port() const { return port_; }

  // All routes before run().
  void route(const char* path, Route answer) {
    server_.Get(path,
                [answer = std::move(answer)](const httplib::Request& request, httplib::Response& response) {
                  const Answer given = answer(request.has_param("verbose"));
                  response.status = given.status;
                  response.set_header("Cache-Control", "no-store");
                  response.set_content(given.body, given.type);
                });
  }

  void run() {
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    // stop() does nothing to a server that has not come to its loop yet.
    while (!server_.is_running()) std::this_thread::yield();
  }

 private:
  Listener() {
    // The library's own choice, SO_REUSEPORT, would let two operators share a port without a word.
    server_.set_socket_options([](int socket) {
      const int yes = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    });
    server_.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
    server_.set_keep_alive_max_count(1);
    server_.set_keep_alive_timeout(HealthServer::kRequestTimeout.count());
    server_.set_read_timeout(HealthServer::kRequestTimeout);
    server_.set_write_timeout(HealthServer::kRequestTimeout);
    server_.set_pre_routing_handler([](const httplib::Request& request, httplib::Response& response) {
      if (request.method == "GET" || request.method == "HEAD")
        return httplib::Server::HandlerResponse::Unhandled;
      response.status = 405;
      response.set_content("only GET and HEAD are answered here\n", "text/plain; charset=utf-8");
      return httplib::Server::HandlerResponse::Handled;
    });
    // What a route throws, a check or the metrics, is a failed answer.
    server_.set_exception_handler(
        [](const httplib::Request&, httplib::Response& response, const std::exception_ptr&) {
          response.status = 500;
          response.set_content("internal error\n", "text/plain; charset=utf-8");
        });
  }

  bool try_bind(const std::string& host, std::uint16_t port) {
    errno = 0;
    const int bound =
        port == 0 ? server_.bind_to_any_port(host) : (server_.bind_to_port(host, port) ? port : -1);
    error_ = errno;
    if (bound < 0) return false;
    port_ = static_cast<std::uint16_t>(bound);
    return true;
  }

  static constexpr std::size_t kThreads = 3;

  httplib::Server server_;
  std::thread thread_;
  std::uint16_t port_ = 0;
  int error_ = 0;
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
  const auto parts = base::split_host_port(text);
  if (!parts) return tl::unexpected<std::string>("the port is missing");
  const auto port = base::parse_port(parts->port);
  if (!port) return tl::unexpected(fmt::format("\"{}\" is not a port from 0 to 65535", parts->port));
  BindAddress address{.host = std::string(parts->host), .port = *port};
  if (address.host.empty()) return address;
  const bool is_v6 = address.host.find(':') != std::string::npos;
  if (is_v6 != parts->bracketed || !base::is_ip(address.host)) {
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
        .and_then([](const BindAddress& address) { return Listener::bind(address); })
        .map_error([&](const std::string& problem) { return complaint(flag, value, problem); });
  };

  if (!off(impl->options.probe_bind_address)) {
    auto listener = listen(kProbeFlag, impl->options.probe_bind_address);
    if (!listener) return tl::unexpected(listener.error());
    impl->probe_listener = std::move(*listener);
    const HealthOptions& checks = impl->options;
    impl->probe_listener->route("/healthz",
                                [&](bool verbose) { return run_checks("healthz", checks.healthz, verbose); });
    impl->probe_listener->route("/readyz",
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
    listener.route("/metrics", [collectable = impl->metrics](bool) { return scrape(*collectable); });
  }
  if (impl->probe_listener) impl->probe_listener->run();
  if (impl->metrics_listener) impl->metrics_listener->run();
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
