// The stand-in API server on a socket: HTTP/1.1, TLS, keep-alive, watch streams, and misbehaviour on demand.
//
// Owns its Model and guards it with one mutex; every method here may be called from any thread. One thread a
// connection, at most `max_connections`. It serves loopback addresses only. Besides the API it answers
// /healthz, /livez, /readyz, and /faults (see faults.h; it also takes {"drop_connections": true} and
// {"refuse_seconds": N}).
#pragma once

#include "support/apiserver/faults.h"
#include "support/apiserver/model.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

namespace poolwarden::apiserver {

enum class ServerCertificate : std::uint8_t { kGood, kUntrusted, kExpired, kWrongName };

struct ServerOptions {
  std::string address = "127.0.0.1";  // any of 127.0.0.0/8
  std::uint16_t port = 0;             // 0: a free one
  bool tls = true;                    // false: plain HTTP, for benchmarks
  // Where ca.crt, client.crt, client.key, token and kubeconfig are written; made if missing. Empty: nothing
  // is written, the PEMs are in credentials().
  std::string directory;
  std::map<std::string, std::string> tokens = {{"poolwarden-token", "admin"}};  // token -> user
  ServerCertificate certificate = ServerCertificate::kGood;
  std::size_t max_connections = 2000;
  std::chrono::seconds clock_ahead{0};  // of its machine's, as its answers' Date says
  ModelOptions model;
};

struct Credentials {
  std::string ca_pem;
  std::string client_cert_pem;  // CN=admin
  std::string client_key_pem;
  std::string token;  // the first of ServerOptions::tokens
};

// kubectl logs: the kubelet's part. `write` sends a piece to the client and is false once the client has
// gone.
struct LogRequest {
  std::string ns;
  std::string pod;
  std::string container;  // empty: the only one
  bool follow = false;
  bool previous = false;
  bool timestamps = false;
  std::optional<std::int64_t> tail_lines;
};
using LogWriter = std::function<bool(std::string_view)>;
// Runs on the connection's thread, without the model's lock, and may block while following. An error is
// sent to the client as 400 with this message (only before the first write).
using LogHandler = std::function<tl::expected<void, std::string>(const LogRequest&, const LogWriter&)>;

class Server {
 public:
  static tl::expected<std::unique_ptr<Server>, std::string> start(ServerOptions options);
  ~Server();  // stop()
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  void stop();
  std::uint16_t port() const;
  std::string url() const;  // "https://127.0.0.1:6443"
  const Credentials& credentials() const;
  std::string kubeconfig() const;       // its text
  std::string kubeconfig_path() const;  // empty when no directory was given

  // Runs `work` with the model locked and wakes the watches afterwards. Keep it short.
  void with_model(const std::function<void(Model&)>& work);
  // A request as if it had come in by the network, at the present time.
  kube::HttpResponse request(const kube::HttpRequest& request, const RequestInfo& info = {});
  // Blocks until the model's revision differs from `seen`, the timeout passes or the server stops. Returns
  // the revision.
  std::uint64_t wait_for_change(std::uint64_t seen, std::chrono::milliseconds timeout);

  void set_log_handler(LogHandler handler);

  void with_faults(const std::function<void(FaultSet&)>& work);
  void drop_connections();                          // closes all there are
  void refuse_for(std::chrono::milliseconds time);  // stops listening, then listens again on the same port
  void use_certificate(ServerCertificate certificate);  // for connections from now on
  std::size_t connections() const;
  std::uint64_t requests_served() const;

  struct Impl;

 private:
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace poolwarden::apiserver
