#include "engine/connection.h"

#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream_base.hpp>
#include <fmt/format.h>

namespace poolwarden::engine {

void Connection::secure(TlsContexts::Context context, base::Shared<api::EngineTls> tls) {
  context_ = std::move(context);
  settings_ = std::move(tls);
  tls_.emplace(socket_, *context_);
}

void Connection::open(const boost::asio::ip::tcp::endpoint& peer, Opened done) {
  ip_ = peer.address().to_string();
  socket_.lowest_layer().async_connect(peer, [this, done = std::move(done)](const Error& error) {
    is_connected_ = !error;
    if (error || !tls_) return done(error);
    expect_peer(tls_->native_handle(), *settings_, ip_);
    tls_->async_handshake(Stream::client, [this, done](const Error& failed) {
      is_open_ = !failed;
      done(failed);
    });
  });
}

void Connection::read_some(const boost::asio::mutable_buffer& buffer, Read done) {
  if (tls_) {
    tls_->async_read_some(buffer, std::move(done));
  } else {
    socket_.async_read_some(buffer, std::move(done));
  }
}

void Connection::close() {
  Error ignored;
  socket_.lowest_layer().close(ignored);
}

std::string Connection::describe(const Error& error) {
  if (!tls_ || !is_connected_) return {};
  const bool is_of_tls = error.category() == boost::asio::error::get_ssl_category();
  if (!is_open_) {
    std::string refused = refusal_of_certificate(tls_->native_handle(), *settings_, ip_);
    if (!refused.empty()) return "is not trusted: " + refused;
    if (is_of_tls) return fmt::format("did not shake hands in TLS ({})", error.message());
    if (error == boost::asio::ssl::error::stream_truncated || error == boost::asio::error::eof ||
        error == boost::asio::error::connection_reset)
      return "ended the connection in the TLS handshake";
  }
  if (is_of_tls) return fmt::format("broke off TLS ({})", error.message());
  if (error == boost::asio::ssl::error::stream_truncated)
    return "ended the connection before its answer was complete";
  return {};
}

}  // namespace poolwarden::engine
