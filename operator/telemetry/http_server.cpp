#include "telemetry/http_server.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/system/error_code.hpp>
#include <fmt/format.h>

namespace poolwarden::telemetry {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::size_t kMaxHead = 8u << 10;
constexpr std::string_view kEndOfHead = "\r\n\r\n";
// Read and thrown away after the answer. A connection that is closed with bytes unread is reset, and the
// client may then lose the answer.
constexpr std::size_t kMaxDiscarded = 64u << 10;
// Until the next try when none can be accepted: without descriptors, say, the socket stays readable.
constexpr std::chrono::milliseconds kAcceptPause{100};

std::string why_not(const error_code& error) {
  if (error == asio::error::address_in_use) return "the address is already in use by another process";
  if (error == asio::error::access_denied) {
    return "permission denied (ports below 1024 need CAP_NET_BIND_SERVICE)";
  }
  if (error == boost::system::errc::address_not_available) return "this machine has no such address";
  return fmt::format("cannot listen: {}", error.message());
}

// No method begins with anything else.
bool is_letter(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

}  // namespace

// All of it happens on the one thread, but for listen(), run(), port() and the destructor.
class HttpServer::Impl {
 public:
  Impl(HttpHandler handler, HttpServerOptions options) : handler_(std::move(handler)), options_(options) {}
  ~Impl() {
    io_.stop();
    if (thread_.joinable()) thread_.join();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  error_code listen(const BindAddress& address);
  void run() {
    accept();
    thread_ = std::thread([this] { io_.run(); });
  }
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

 private:
  class Connection;
  // In this order they make room for others.
  enum class Stage { kAnswered, kReading, kAnswering };

  error_code listen_at(const tcp::endpoint& endpoint);
  void accept();
  void admit(tcp::socket socket);
  void limit_answers();
  HttpAnswer answer(const HttpRequest& request) const;
  void ended(const Connection& connection);

  const HttpHandler handler_;
  const HttpServerOptions options_;
  asio::io_context io_{1};
  tcp::acceptor acceptor_{io_};
  asio::steady_timer pause_{io_};
  std::vector<std::shared_ptr<Connection>> connections_;  // the oldest first; at most max_connections
  std::thread thread_;                                    // last: it uses all of the above
};

// One client: its head is read, it gets its answer, and what else it sends is thrown away until it hangs up.
// close() is the only way out, once.
//
// The head is gathered whole before it is parsed: Beast's own limit does not count the fields that it has
// read already, so a client that sends them one at a time may send them without end.
class HttpServer::Impl::Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Impl& owner, tcp::socket socket)
      : owner_(owner), socket_(std::move(socket)), deadline_(owner.io_) {}

  Stage stage() const { return stage_; }

  void begin() {
    deadline_.expires_after(owner_.options_.timeout);
    deadline_.async_wait([self = shared_from_this()](const error_code& error) {
      if (!error) self->close();
    });
    read();
  }

  void close() {
    if (!socket_.is_open()) return;
    const auto self = shared_from_this();
    error_code ignored;
    socket_.close(ignored);
    deadline_.cancel();
    owner_.ended(*this);
  }

 private:
  void read();
  void on_bytes(const error_code& error, std::size_t size);
  void answer(std::string_view head);
  void refuse(unsigned status, const char* why) { send({.status = status, .body = why}, true); }
  void send(const HttpAnswer& answer, bool with_body);
  void hang_up();
  void discard();
  // A step of the exchange, which is not taken any more when the connection has been closed in between.
  template <class Next>
  auto then(Next next) {
    return [self = shared_from_this(), next](const error_code& error, std::size_t size) {
      if (self->socket_.is_open()) next(*self, error, size);
    };
  }

  Impl& owner_;
  tcp::socket socket_;
  asio::steady_timer deadline_;
  Stage stage_ = Stage::kReading;
  std::array<char, kMaxHead> bytes_;
  std::size_t used_ = 0;  // of bytes_; when it has its answer, what has been thrown away
};

void HttpServer::Impl::Connection::read() {
  socket_.async_read_some(asio::buffer(bytes_) + used_,
                          then([](Connection& connection, const error_code& error, std::size_t size) {
                            connection.on_bytes(error, size);
                          }));
}

void HttpServer::Impl::Connection::on_bytes(const error_code& error, std::size_t size) {
  if (error == asio::error::eof && used_ > 0) return refuse(400, "the request is not complete\n");
  if (error) return close();
  const std::size_t looked_at = used_ - std::min(used_, kEndOfHead.size() - 1);
  used_ += size;
  const std::string_view all(bytes_.data(), used_);
  if (const std::size_t end = all.find(kEndOfHead, looked_at); end != std::string_view::npos) {
    return answer(all.substr(0, end + kEndOfHead.size()));
  }
  // Who asks for https by mistake reads so at once, and does not wait for an answer to its handshake.
  if (!is_letter(all.front())) return refuse(400, "this is not a request in HTTP/1.1\n");
  if (used_ == bytes_.size()) return refuse(431, "a request may have 8 KiB\n");
  read();
}

void HttpServer::Impl::Connection::answer(std::string_view head) {
  const auto request = parse_request(head);
  if (!request) return send(request.error(), true);
  send(owner_.answer(*request), !request->is_head);
}

void HttpServer::Impl::Connection::send(const HttpAnswer& answer, bool with_body) {
  owner_.limit_answers();
  stage_ = Stage::kAnswering;
  const auto text = std::make_shared<const std::string>(to_text(answer, with_body));
  asio::async_write(socket_, asio::buffer(*text),
                    then([text](Connection& connection, const error_code& error, std::size_t) {
                      if (error) return connection.close();
                      connection.hang_up();
                    }));
}

void HttpServer::Impl::Connection::hang_up() {
  stage_ = Stage::kAnswered;
  used_ = 0;
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  discard();
}

void HttpServer::Impl::Connection::discard() {
  socket_.async_read_some(asio::buffer(bytes_),
                          then([](Connection& connection, const error_code& error, std::size_t size) {
                            connection.used_ += size;
                            if (error || connection.used_ > kMaxDiscarded) return connection.close();
                            connection.discard();
                          }));
}

error_code HttpServer::Impl::listen(const BindAddress& address) {
  if (!address.host.empty()) {
    error_code error;
    const auto ip = asio::ip::make_address(address.host, error);
    return error ? error : listen_at({ip, address.port});
  }
  const error_code error = listen_at({asio::ip::address_v6::any(), address.port});  // takes IPv4, too
  // Another's port is not taken for a kernel without IPv6: half of the addresses would be the other's.
  if (!error || error == asio::error::address_in_use) return error;
  return listen_at({asio::ip::address_v4::any(), address.port});
}

error_code HttpServer::Impl::listen_at(const tcp::endpoint& endpoint) {
  error_code error;
  error_code ignored;
  acceptor_.close(ignored);
  acceptor_.open(endpoint.protocol(), error);
  if (error) return error;
  // Connections of a process before this one do not keep the port. SO_REUSEPORT is not set: with it, two
  // operators would share a port without a word.
  acceptor_.set_option(tcp::acceptor::reuse_address(true), ignored);
  if (endpoint.address().is_v6()) acceptor_.set_option(asio::ip::v6_only(false), ignored);
  acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  return error;
}

void HttpServer::Impl::accept() {
  acceptor_.async_accept([this](const error_code& error, tcp::socket socket) {
    if (!error) {
      admit(std::move(socket));
      return accept();
    }
    pause_.expires_after(kAcceptPause);
    pause_.async_wait([this](const error_code& cancelled) {
      if (!cancelled) accept();
    });
  });
}

void HttpServer::Impl::admit(tcp::socket socket) {
  if (connections_.size() >= options_.max_connections) {
    // Of several in the same stage the first, which is the oldest.
    const auto first = std::min_element(connections_.begin(), connections_.end(),
                                        [](const auto& a, const auto& b) { return a->stage() < b->stage(); });
    (*first)->close();
  }
  connections_.push_back(std::make_shared<Connection>(*this, std::move(socket)));
  connections_.back()->begin();
}

// Makes room for one more.
void HttpServer::Impl::limit_answers() {
  const auto answering = [](const auto& connection) { return connection->stage() == Stage::kAnswering; };
  const auto count = std::count_if(connections_.begin(), connections_.end(), answering);
  if (static_cast<std::size_t>(count) < options_.max_answers) return;
  (*std::find_if(connections_.begin(), connections_.end(), answering))->close();
}

HttpAnswer HttpServer::Impl::answer(const HttpRequest& request) const {
  try {
    return handler_(request);
  } catch (...) {  // a library may throw anything, and a probe must not end the program
    return {.status = 500, .body = "internal error\n"};
  }
}

void HttpServer::Impl::ended(const Connection& connection) {
  std::erase_if(connections_, [&](const auto& one) { return one.get() == &connection; });
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

tl::expected<std::unique_ptr<HttpServer>, std::string> HttpServer::start(const BindAddress& address,
                                                                         HttpHandler handler,
                                                                         HttpServerOptions options) {
  auto impl = std::make_unique<Impl>(std::move(handler), options);
  if (const error_code error = impl->listen(address)) return tl::unexpected(why_not(error));
  impl->run();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

std::uint16_t HttpServer::port() const {
  return impl_->port();
}

}  // namespace poolwarden::telemetry
