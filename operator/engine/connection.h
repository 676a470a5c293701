// One connection to an engine, in plain TCP or in TLS, with every byte counted that comes on it.
//
// TLS takes in much that is no answer: certificates, tickets, alerts. An engine may send of those without an
// end. So bytes are counted as they come from the socket, and beyond the limit the connection is broken.
//
// Owned and used by the one thread of its io_context. Whoever begins an operation keeps the connection until
// that ends. close() ends all of them.
#pragma once

#include "api/inference_pool.h"
#include "base/shared.h"
#include "engine/engine_tls.h"

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/system/error_code.hpp>

namespace poolwarden::engine {

// What TLS and HTTP read from: Asio's AsyncReadStream and AsyncWriteStream.
class CountedSocket {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  using executor_type = Socket::executor_type;
  using lowest_layer_type = Socket::lowest_layer_type;

  CountedSocket(boost::asio::io_context& io, std::size_t limit) : socket_(io), limit_(limit) {}

  executor_type get_executor() { return socket_.get_executor(); }
  lowest_layer_type& lowest_layer() { return socket_.lowest_layer(); }
  const lowest_layer_type& lowest_layer() const { return socket_.lowest_layer(); }
  std::size_t received() const { return received_; }

  template <class Buffers, class Handler>
  void async_read_some(const Buffers& buffers, Handler&& handler) {
    socket_.async_read_some(buffers, [this, handler = std::forward<Handler>(handler)](
                                         boost::system::error_code error, std::size_t count) mutable {
      received_ += count;
      if (received_ > limit_) error = boost::beast::http::error::body_limit;
      handler(error, error ? 0 : count);
    });
  }
  template <class Buffers, class Handler>
  void async_write_some(const Buffers& buffers, Handler&& handler) {
    socket_.async_write_some(buffers, std::forward<Handler>(handler));
  }

 private:
  Socket socket_;
  const std::size_t limit_;
  std::size_t received_ = 0;
};

class Connection {
 public:
  using Error = boost::system::error_code;
  using Opened = std::function<void(const Error&)>;
  using Read = std::function<void(const Error&, std::size_t)>;

  Connection(boost::asio::io_context& io, std::size_t limit) : socket_(io, limit) {}

  // Before open(): what is said is said in TLS.
  void secure(TlsContexts::Context context, base::Shared<api::EngineTls> tls);
  // Connects, and shakes hands.
  void open(const boost::asio::ip::tcp::endpoint& peer, Opened done);
  bool is_connected() const { return is_connected_; }  // it may still shake hands
  void read_some(const boost::asio::mutable_buffer& buffer, Read done);
  // Calls `write` with the stream to write on.
  template <class Write>
  void write(Write write) {
    if (tls_) {
      write(*tls_);
    } else {
      write(socket_);
    }
  }
  void close();

  std::size_t received() const { return socket_.received(); }
  // What a person is told of an error of TLS; empty: it is none.
  std::string describe(const Error& error);

 private:
  using Stream = boost::asio::ssl::stream<CountedSocket&>;

  CountedSocket socket_;
  TlsContexts::Context context_;
  base::Shared<api::EngineTls> settings_;
  std::optional<Stream> tls_;
  std::string ip_;
  bool is_connected_ = false;
  bool is_open_ = false;
};

}  // namespace poolwarden::engine
