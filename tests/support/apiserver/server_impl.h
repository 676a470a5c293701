// The server's inside. What each mutex guards is said at the member.
#pragma once

#include "support/apiserver/certificates.h"
#include "support/apiserver/server.h"

#include <atomic>
#include <condition_variable>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>

namespace poolwarden::apiserver {

struct Connection {
  explicit Connection(boost::asio::io_context& io) : socket(io) {}
  boost::asio::ip::tcp::socket socket;  // closed only under Impl::connections_mutex
  std::thread thread;
  bool done = false;  // under Impl::connections_mutex
};

struct Server::Impl {
  using SslContext = std::shared_ptr<boost::asio::ssl::context>;

  explicit Impl(ServerOptions server_options);
  Timestamp now() const { return std::chrono::system_clock::now() + options.clock_ahead; }  // to the model

  // Constant after start().
  ServerOptions options;
  Credentials credentials;
  std::map<ServerCertificate, SslContext> contexts;

  std::atomic<std::uint16_t> port{0};
  std::atomic<ServerCertificate> certificate;
  std::atomic<std::uint64_t> served{0};

  // Guards what follows, up to the next blank line. `changed` tells of new revisions and of the end.
  mutable std::mutex mutex;
  std::condition_variable changed;
  Model model;
  FaultSet faults;
  LogHandler log_handler;
  bool stopping = false;
  Timestamp refuse_until{};
  int listening = -1;  // the acceptor's descriptor, -1 while closed

  boost::asio::io_context io;  // before the sockets, which refer to it until they are gone
  mutable std::mutex connections_mutex;
  std::list<Connection> connections;

  boost::asio::ip::tcp::acceptor acceptor;  // the accept thread's, once it runs
  std::thread accept_thread;

  tl::expected<void, std::string> set_up_tls();
  tl::expected<void, std::string> write_files(const std::string& kubeconfig) const;
  tl::expected<void, std::string> listen(std::uint16_t on_port);
  std::string url() const;
  std::string kubeconfig() const;

  void accept_loop();
  void accept_until_refused();
  void reap();
  void serve(Connection& connection);  // connection.cpp
  void drop_connections();
  void refuse_for(std::chrono::milliseconds time);
  void stop();

  // Waits that end early when the server stops. False: it stops.
  bool pause(double seconds);
  kube::HttpResponse handle(const kube::HttpRequest& request, const RequestInfo& info);
};

}  // namespace poolwarden::apiserver
