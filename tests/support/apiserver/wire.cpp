#include "support/apiserver/wire.h"

#include <boost/asio/ssl/stream.hpp>
#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace poolwarden::apiserver {
namespace {

using boost::asio::ip::tcp;

class PlainWire : public Wire {
 public:
  explicit PlainWire(tcp::socket& socket) : socket_(socket) {}
  bool handshake() override { return true; }
  std::size_t read(void* data, std::size_t size, ErrorCode& error) override {
    return socket_.read_some(boost::asio::buffer(data, size), error);
  }
  std::size_t write(const void* data, std::size_t size, ErrorCode& error) override {
    return socket_.write_some(boost::asio::buffer(data, size), error);
  }
  std::string peer_name() override { return {}; }

 private:
  tcp::socket& socket_;
};

class TlsWire : public Wire {
 public:
  TlsWire(tcp::socket& socket, std::shared_ptr<boost::asio::ssl::context> context)
      : context_(std::move(context)), stream_(socket, *context_) {}
  bool handshake() override {
    ErrorCode error;
    stream_.handshake(boost::asio::ssl::stream_base::server, error);
    return !error;
  }
  std::size_t read(void* data, std::size_t size, ErrorCode& error) override {
    return stream_.read_some(boost::asio::buffer(data, size), error);
  }
  std::size_t write(const void* data, std::size_t size, ErrorCode& error) override {
    return stream_.write_some(boost::asio::buffer(data, size), error);
  }
  std::string peer_name() override {
    X509* certificate = SSL_get0_peer_certificate(stream_.native_handle());
    if (certificate == nullptr) return {};
    char name[256] = {};
    const int length =
        X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
    return length > 0 ? std::string(name, static_cast<std::size_t>(length)) : std::string();
  }

 private:
  std::shared_ptr<boost::asio::ssl::context> context_;
  boost::asio::ssl::stream<tcp::socket&> stream_;
};

}  // namespace

std::unique_ptr<Wire> plain_wire(tcp::socket& socket) {
  return std::make_unique<PlainWire>(socket);
}

std::unique_ptr<Wire> tls_wire(tcp::socket& socket, std::shared_ptr<boost::asio::ssl::context> context) {
  return std::make_unique<TlsWire>(socket, std::move(context));
}

}  // namespace poolwarden::apiserver
