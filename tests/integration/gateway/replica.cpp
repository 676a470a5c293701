#include "replica.h"

#include <arpa/inet.h>
#include <cstdlib>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

// Reads one request with Content-Length; false at the end of the connection.
bool read_request(int fd) {
  std::string bytes;
  char chunk[4096];
  std::size_t head = std::string::npos;
  std::size_t length = 0;
  while (true) {
    if (head == std::string::npos && (head = bytes.find("\r\n\r\n")) != std::string::npos) {
      const std::size_t field = bytes.find("ontent-length: ");
      const std::size_t upper = bytes.find("ontent-Length: ");
      const std::size_t at = std::min(field, upper);
      if (at < head) length = static_cast<std::size_t>(std::atoll(bytes.c_str() + at + 15));
    }
    if (head != std::string::npos && bytes.size() >= head + 4 + length) return true;
    const ssize_t got = ::recv(fd, chunk, sizeof(chunk), 0);
    if (got <= 0) return false;
    bytes.append(chunk, static_cast<std::size_t>(got));
  }
}

}  // namespace

Replica::Replica(std::string name, std::string ip, std::chrono::milliseconds delay)
    : name_(std::move(name)), ip_(std::move(ip)), delay_(delay) {
  start();
}

Replica::~Replica() {
  abort();
}

void Replica::start() {
  const bool v6 = ip_.find(':') != std::string::npos;
  const int listener = ::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  int bound = -1;
  if (v6) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(kPort);
    inet_pton(AF_INET6, ip_.c_str(), &address.sin6_addr);
    bound = ::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  } else {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(kPort);
    inet_pton(AF_INET, ip_.c_str(), &address.sin_addr);
    bound = ::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  }
  ASSERT_EQ(bound, 0) << ip_ << ": " << errno;
  ASSERT_EQ(::listen(listener, 256), 0);
  {
    const std::lock_guard lock(mutex_);
    running_ = true;
    released_ = false;
    listener_ = listener;
  }
  acceptor_ = std::thread([this, listener] { accept_loop(listener); });
}

void Replica::abort() {
  {
    const std::lock_guard lock(mutex_);
    if (!running_) return;
    running_ = false;
    ::shutdown(listener_, SHUT_RDWR);
    // What a killed process' kernel does with connections that have unread or unanswered data.
    for (const Connection& connection : connections_) {
      if (connection.fd < 0) continue;
      const linger reset{1, 0};
      ::setsockopt(connection.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
      ::shutdown(connection.fd, SHUT_RD);
    }
  }
  changed_.notify_all();
  acceptor_.join();
  for (Connection& connection : connections_) connection.thread.join();
  connections_.clear();
  ::close(listener_);
}

void Replica::release() {
  {
    const std::lock_guard lock(mutex_);
    released_ = true;
  }
  changed_.notify_all();
}

void Replica::accept_loop(int listener) {
  while (true) {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const std::lock_guard lock(mutex_);
    if (!running_) {
      ::close(fd);
      return;
    }
    Connection& connection = connections_.emplace_back();
    connection.fd = fd;
    connection.thread = std::thread([this, &connection, fd] {
      serve(fd);
      const std::lock_guard closing(mutex_);
      ::close(fd);
      connection.fd = -1;
    });
  }
}

void Replica::serve(int fd) {
  while (read_request(fd)) {
    ++requests_;
    if (!respond(fd)) return;
  }
}

bool Replica::respond(int fd) {
  const Behaviour behaviour = behaviour_;
  {
    std::unique_lock lock(mutex_);
    if (behaviour == Behaviour::kHold) changed_.wait(lock, [this] { return released_ || !running_; });
    if (delay_.count() > 0) changed_.wait_for(lock, delay_, [this] { return !running_; });
    if (!running_) return false;  // died over it: reset, by the linger option
  }
  const std::string whole = fmt::format(
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{}", name_.size(), name_);
  switch (behaviour) {
    case Behaviour::kAnswer:
    case Behaviour::kHold:
      ++answered_;
      return send_all(fd, whole);
    case Behaviour::kRefuse:
      return send_all(fd, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    case Behaviour::kHangUp:
      return false;
    case Behaviour::kHalfHeader:
      send_all(fd, std::string_view(whole).substr(0, 25));
      return false;
    case Behaviour::kHalfAnswer:
      send_all(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\nonce upon");
      // So that HAProxy has passed the beginning on before the end comes.
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      return false;
  }
  return false;
}

}  // namespace poolwarden::gateway
