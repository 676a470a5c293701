// A small HTTP server for probes and scrapes: GET and HEAD, one request a connection.
//
// Whoever reaches the port may say anything, so everything is bounded. A request's head has at most 8 KiB;
// more is answered 431. A body is not read. A connection ends by its timeout, whether its client sends too
// slowly or reads too slowly. Answers that wait to be read are at most max_answers: an answer may be long.
//
// Of max_connections a new one takes the place of the one that has waited longest without a whole request. A
// server that turned new ones away would be closed to all as soon as some clients connect and say nothing,
// and then the kubelet restarts the pod. The kubelet's probe has nothing to fear: its request comes right
// after its handshake, long before so many others have connected after it.
//
// Owned by whoever started it. One thread of its own does everything and makes the answers, too, one after
// the other. So the handler must not wait for anything. Destroying the server cuts what is under way and
// returns when the thread has ended; not to be done in a handler.
#pragma once

#include "telemetry/bind_address.h"
#include "telemetry/http_message.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <tl/expected.hpp>

namespace poolwarden::telemetry {

// Called on the server's thread. What it throws is answered with 500.
using HttpHandler = std::function<HttpAnswer(const HttpRequest&)>;

struct HttpServerOptions {
  std::chrono::milliseconds timeout{2'000};  // of a connection, from its acceptance to its end
  std::size_t max_connections = 64;
  std::size_t max_answers = 8;  // fewer than max_connections, so that there is always one that can go
};

class HttpServer {
 public:
  // Listens and answers when it returns. An error is a sentence: why it cannot listen there.
  static tl::expected<std::unique_ptr<HttpServer>, std::string> start(const BindAddress& address,
                                                                      HttpHandler handler,
                                                                      HttpServerOptions options = {});
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::uint16_t port() const;  // the one listened on, also where any was asked for

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace poolwarden::telemetry
