// One accepted connection, with or without TLS, as Beast's parser reads it and the server writes it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/system/error_code.hpp>

namespace poolwarden::apiserver {

class Wire {
 public:
  using ErrorCode = boost::system::error_code;

  virtual ~Wire() = default;
  virtual bool handshake() = 0;
  virtual std::size_t read(void* data, std::size_t size, ErrorCode& error) = 0;
  virtual std::size_t write(const void* data, std::size_t size, ErrorCode& error) = 0;
  // The common name of the client's certificate; empty without one.
  virtual std::string peer_name() = 0;

  bool send(std::string_view bytes) {
    ErrorCode error;
    while (!bytes.empty() && !error) bytes.remove_prefix(write(bytes.data(), bytes.size(), error));
    return !error;
  }

  // What Beast asks of a stream to read from.
  template <class Buffers>
  std::size_t read_some(const Buffers& buffers, ErrorCode& error) {
    for (auto at = boost::asio::buffer_sequence_begin(buffers);
         at != boost::asio::buffer_sequence_end(buffers); ++at) {
      const boost::asio::mutable_buffer buffer = *at;
      if (buffer.size() > 0) return read(buffer.data(), buffer.size(), error);
    }
    return 0;
  }
  template <class Buffers>
  std::size_t read_some(const Buffers& buffers) {
    ErrorCode error;
    const std::size_t size = read_some(buffers, error);
    if (error) throw boost::system::system_error(error);
    return size;
  }
};

std::unique_ptr<Wire> plain_wire(boost::asio::ip::tcp::socket& socket);
std::unique_ptr<Wire> tls_wire(boost::asio::ip::tcp::socket& socket,
                               std::shared_ptr<boost::asio::ssl::context> context);

}  // namespace poolwarden::apiserver
