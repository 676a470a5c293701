#include "https_server.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cctype>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

namespace poolwarden::test {
namespace {

void must(bool ok, const char* what) {
  if (!ok) {
    throw std::runtime_error(std::string("test server: ") + what);
  }
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

SSL_CTX* make_context(const HttpsServer::Options& options) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  must(context != nullptr, "context");
  BIO* bio = BIO_new_mem_buf(options.certificate_pem.data(), -1);
  X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  bio = BIO_new_mem_buf(options.key_pem.data(), -1);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  must(SSL_CTX_use_certificate(context, certificate) == 1 && SSL_CTX_use_PrivateKey(context, key) == 1,
       "identity");
  X509_free(certificate);
  EVP_PKEY_free(key);
  if (!options.client_authority_pem.empty()) {
    bio = BIO_new_mem_buf(options.client_authority_pem.data(), -1);
    X509* authority = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
    BIO_free(bio);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority);
    X509_free(authority);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  if (!options.groups.empty()) must(SSL_CTX_set1_groups_list(context, options.groups.c_str()) == 1, "groups");
  return context;
}

}  // namespace

bool ServerConnection::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto n = ssl_ != nullptr ? SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                                   : ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) {
      ERR_clear_error();
      return false;
    }
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

bool ServerConnection::reply(int status, std::string_view body, std::string_view extra_headers) {
  return send(
      fmt::format("HTTP/1.1 {} Some\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{}\r\n{}",
                  status, body.size(), extra_headers, body));
}

bool ServerConnection::begin_chunked(int status) {
  return send(fmt::format(
      "HTTP/1.1 {} Some\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", status));
}

bool ServerConnection::chunk(std::string_view data) {
  return send(fmt::format("{:x}\r\n{}\r\n", data.size(), data));
}

bool ServerConnection::pause(std::chrono::milliseconds time) {
  std::unique_lock lock(server_->mutex_);
  return !server_->stopped_.wait_for(lock, time, [this] { return server_->stopping_; });
}

bool ServerConnection::client_gone(std::chrono::milliseconds limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (std::chrono::steady_clock::now() < until) {
    pollfd poll_fd{fd_, POLLIN | POLLRDHUP, 0};
    if (::poll(&poll_fd, 1, 20) > 0 && (poll_fd.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0) {
      return true;
    }
    if (!pause(std::chrono::milliseconds(1))) {
      return false;
    }
  }
  return false;
}

bool ServerConnection::fill() {
  std::array<char, 16384> bytes{};
  const auto n = ssl_ != nullptr ? SSL_read(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                                 : ::recv(fd_, bytes.data(), bytes.size(), 0);
  if (n <= 0) {
    ERR_clear_error();
    return false;
  }
  buffer_.append(bytes.data(), static_cast<std::size_t>(n));
  return true;
}

bool ServerConnection::read_request(ServerRequest& request) {
  std::size_t end = 0;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    if (!fill()) {
      return false;
    }
  }
  std::string_view head(buffer_.data(), end);
  const auto next_line = [&head] {
    const auto eol = head.find("\r\n");
    const std::string_view line = head.substr(0, eol);
    head.remove_prefix(eol == std::string_view::npos ? head.size() : eol + 2);
    return line;
  };
  const std::string_view start = next_line();
  const auto first = start.find(' ');
  const auto last = start.rfind(' ');
  request.method = start.substr(0, first);
  request.target = start.substr(first + 1, last - first - 1);
  while (!head.empty()) {
    const std::string_view line = next_line();
    const auto colon = line.find(':');
    std::string_view value = line.substr(std::min(line.size(), colon + 1));
    value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
    request.headers[lower(std::string(line.substr(0, colon)))] = value;
  }
  buffer_.erase(0, end + 4);
  const auto length = request.headers.find("content-length");
  const std::size_t body = length == request.headers.end() ? 0 : std::stoul(length->second);
  while (buffer_.size() < body) {
    if (!fill()) {
      return false;
    }
  }
  request.body = buffer_.substr(0, body);
  buffer_.erase(0, body);
  return true;
}

HttpsServer::HttpsServer(Options options, Handler handler)
    : options_(std::move(options)), handler_(std::move(handler)) {
  ::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
  if (options_.tls) {
    context_ = make_context(options_);
  }
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  must(listener_ >= 0, "socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  must(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0, "bind");
  must(::listen(listener_, 256) == 0, "listen");
  must(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0, "getsockname");
  port_ = ntohs(address.sin_port);
  acceptor_ = std::jthread([this] { accept_all(); });
}

HttpsServer::~HttpsServer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    for (const int fd : fds_) {
      ::shutdown(fd, SHUT_RDWR);
    }
  }
  stopped_.notify_all();
  acceptor_.join();
  threads_.clear();
  ::close(listener_);
  SSL_CTX_free(context_);
}

void HttpsServer::accept_all() {
  while (true) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const std::lock_guard lock(mutex_);
    if (fd < 0 || stopping_) {
      if (fd >= 0) {
        ::close(fd);
      }
      return;
    }
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fds_.push_back(fd);
    threads_.emplace_back([this, fd] { serve(fd); });
  }
}

bool HttpsServer::handshake(ServerConnection& connection) {
  if (context_ == nullptr) {
    return true;
  }
  connection.ssl_ = SSL_new(context_);
  SSL_set_fd(connection.ssl_, connection.fd_);
  if (SSL_accept(connection.ssl_) != 1) {
    ERR_clear_error();
    // The client reads why before it finds the connection gone.
    ::shutdown(connection.fd_, SHUT_WR);
    connection.client_gone(std::chrono::seconds(10));
    return false;
  }
  if (const char* name = SSL_get_servername(connection.ssl_, TLSEXT_NAMETYPE_host_name)) {
    connection.server_name_ = name;
  }
  if (const X509* peer = SSL_get0_peer_certificate(connection.ssl_)) {
    std::array<char, 256> text{};
    X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, text.data(), text.size());
    connection.client_name_ = text.data();
  }
  return true;
}

void HttpsServer::serve(int fd) {
  ServerConnection connection;
  connection.server_ = this;
  connection.fd_ = fd;
  if (handshake(connection) && (options_.greeting.empty() || connection.send(options_.greeting))) {
    const int number = ++connections_;
    const int now_open = ++open_;
    int most = most_at_once_;
    while (now_open > most && !most_at_once_.compare_exchange_weak(most, now_open)) {
    }
    int count = 0;
    while (!connection.closing_) {
      ServerRequest request;
      if (!connection.read_request(request)) {
        break;
      }
      request.connection = number;
      request.on_connection = ++count;
      handler_(connection, request);
    }
    --open_;
  }
  const std::lock_guard lock(mutex_);
  SSL_free(connection.ssl_);  // without a close_notify, as a machine that crashes
  fds_.remove(fd);
  ::close(fd);
}

}  // namespace poolwarden::test
