// What a call to the API server costs this side of the network, and what an event of a watch costs: CPU time
// of the transport that the operator uses, over TLS, and of the same call with bare Asio and OpenSSL. The
// difference is the price of our transport, cpprestsdk included. The stand-in API server is another process,
// so that its work does not count.
#include "kube/cpprest_transport.h"
#include "kube/kubeconfig.h"
#include "support/apiserver/server.h"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using poolwarden::apiserver::Server;
using poolwarden::apiserver::ServerOptions;
using poolwarden::kube::ClusterAccess;
using poolwarden::kube::HttpMethod;
using poolwarden::kube::HttpRequest;
using poolwarden::kube::HttpResponse;
using poolwarden::kube::Transport;
using poolwarden::kube::TransportError;
using Clock = std::chrono::steady_clock;

constexpr std::string_view kConfigMaps = "/api/v1/namespaces/default/configmaps";
constexpr std::size_t kListBytes = 12'000;  // of a pool of 50

struct Options {
  int calls = 500;
  int per_second = 50;
};

// The server in a process of its own, which ends with this one.
class ServerProcess {
 public:
  ServerProcess()
      : directory_(std::filesystem::temp_directory_path() / fmt::format("poolwarden-bench-{}", ::getpid())) {
    int ready[2];
    if (::pipe(ready) != 0) throw std::runtime_error("no pipe");
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("no process for the server");
    if (pid_ == 0) serve(ready[1]);
    ::close(ready[1]);
    char byte = 0;
    const bool started = ::read(ready[0], &byte, 1) == 1;
    ::close(ready[0]);
    if (!started) throw std::runtime_error("the stand-in API server did not start");
  }
  ~ServerProcess() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  std::string kubeconfig() const { return (directory_ / "kubeconfig").string(); }

 private:
  [[noreturn]] void serve(int ready) const {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ServerOptions options;
    options.directory = directory_.string();
    const auto server = Server::start(options);
    if (!server || ::write(ready, "x", 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }

  std::filesystem::path directory_;
  pid_t pid_ = -1;
};

std::string config_map(int turn) {
  const nlohmann::json map = {{"apiVersion", "v1"},
                              {"kind", "ConfigMap"},
                              {"metadata", {{"name", "list"}}},
                              {"data", {{"list", std::to_string(turn) + std::string(kListBytes, 'x')}}}};
  return map.dump();
}

double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

HttpResponse send(Transport& transport, HttpMethod method, std::string target, std::string body) {
  HttpRequest request;
  request.method = method;
  request.target = std::move(target);
  request.body = std::move(body);
  request.content_type = "application/json";
  std::promise<tl::expected<HttpResponse, TransportError>> answered;
  transport.send(std::move(request), [&](auto answer) { answered.set_value(std::move(answer)); });
  auto answer = answered.get_future().get();
  if (!answer) throw std::runtime_error(answer.error().message);
  if (answer->status >= 300) throw std::runtime_error(answer->body);
  return std::move(*answer);
}

// CPU time of one call, when there are so many a second: `call` is given its number.
template <class Call>
double measure(const Options& options, Call call) {
  call(0);
  const double before = cpu_seconds();
  const auto start = Clock::now();
  for (int turn = 1; turn <= options.calls; ++turn) {
    std::this_thread::sleep_until(start + std::chrono::microseconds(1'000'000 / options.per_second) * turn);
    call(turn);
  }
  return (cpu_seconds() - before) / options.calls;
}

// One connection, kept, on the caller's thread.
class BareClient {
 public:
  explicit BareClient(const ClusterAccess& access)
      : token_(std::get<poolwarden::kube::BearerToken>(access.credential).token) {
    context_.set_verify_mode(asio::ssl::verify_peer);
    context_.add_certificate_authority(asio::buffer(access.ca_pem));
    const asio::ip::tcp::endpoint server(asio::ip::make_address(access.host), access.port);
    boost::beast::get_lowest_layer(stream_).connect(server);
    stream_.handshake(asio::ssl::stream_base::client);
  }

  void put(const std::string& target, std::string body) {
    http::request<http::string_body> request{http::verb::put, target, 11, std::move(body)};
    request.set(http::field::host, "localhost");
    request.set(http::field::authorization, "Bearer " + token_);
    request.set(http::field::content_type, "application/json");
    request.set(http::field::accept, "application/json");
    request.prepare_payload();
    http::write(stream_, request);
    http::response<http::string_body> answer;
    http::read(stream_, buffer_, answer);
    if (answer.result_int() >= 300) throw std::runtime_error(answer.body());
  }

 private:
  std::string token_;
  asio::io_context io_;
  asio::ssl::context context_{asio::ssl::context::tls_client};
  boost::beast::flat_buffer buffer_;
  asio::ssl::stream<boost::beast::tcp_stream> stream_{io_, context_};
};

// Throws events away, and says when the first one has come: what it took to connect is no event's cost.
class Discard final : public poolwarden::kube::StreamHandler {
 public:
  void on_head(const HttpResponse&) override {}
  void on_data(std::string_view) override {
    if (!std::exchange(begun_, true)) began_.set_value();
  }
  void on_end(std::optional<TransportError>) override {}
  void wait_for_the_first() { began_.get_future().get(); }

 private:
  bool begun_ = false;
  std::promise<void> began_;
};

void run(const Options& options) {
  const ServerProcess server;
  const auto access =
      poolwarden::kube::load_kubeconfig({server.kubeconfig()}, "", poolwarden::kube::MissingFile::kIsAnError);
  if (!access) throw std::runtime_error(access.error().message);
  const std::string target = std::string(kConfigMaps) + "/list";

  auto made = poolwarden::kube::make_cpprest_transport(*access);
  if (!made) throw std::runtime_error(made.error().message);
  Transport& transport = **made;
  send(transport, HttpMethod::kPost, std::string(kConfigMaps), config_map(0));
  const auto put = [&](int turn) { send(transport, HttpMethod::kPut, target, config_map(turn)); };
  const double call = measure(options, put);
  double watched = 0;
  {
    HttpRequest watch;
    watch.target = std::string(kConfigMaps) + "?watch=true";
    const auto events = std::make_shared<Discard>();
    const auto stream = transport.stream(std::move(watch), std::chrono::minutes(5), events);
    events->wait_for_the_first();
    watched = measure(options, put);
  }
  BareClient bare(*access);
  const double bare_call = measure(options, [&](int turn) { bare.put(target, config_map(turn)); });

  fmt::print("| a call with {} KB there and back | {:.2f} |\n", kListBytes / 1000, call * 1000);
  fmt::print("| the same with bare Asio and OpenSSL | {:.2f} |\n", bare_call * 1000);
  fmt::print("| an event of a watch, {} KB | {:.2f} |\n", kListBytes / 1000, (watched - call) * 1000);
}

}  // namespace

// bench_transport [CALLS PER_SECOND]
int main(int argc, char** argv) {
  try {
    Options options;
    if (argc == 3) options = {.calls = std::stoi(argv[1]), .per_second = std::stoi(argv[2])};
    fmt::print("| {} a second | CPU ms |\n| --- | --- |\n", options.per_second);
    run(options);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_transport: {}\n", error.what());
    return 1;
  }
}
