// A client at the level of its socket: says what no HTTP library would say, or nothing at all.
#pragma once

#include "base/fd.h"
#include "support/loopback.h"

#include <chrono>
#include <cstdint>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/socket.h>

#include <gtest/gtest.h>

namespace poolwarden::telemetry {

class RawClient {
 public:
  explicit RawClient(std::uint16_t port) : socket_(test::connect_to_loopback(port)) {
    EXPECT_GE(socket_.get(), 0);
  }

  // False: the server has hung up.
  bool say(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  void say_no_more() const { ::shutdown(socket_.get(), SHUT_WR); }

  // An answer, or the end of the connection.
  bool hears_within(std::chrono::milliseconds time) const {
    pollfd poller{socket_.get(), POLLIN, 0};
    return ::poll(&poller, 1, static_cast<int>(time.count())) > 0;
  }

  // All that comes until the server hangs up.
  std::string rest() const {
    std::string all;
    char buffer[4096];
    for (ssize_t n = 0; (n = ::recv(socket_.get(), buffer, sizeof(buffer), 0)) > 0;) {
      all.append(buffer, static_cast<std::size_t>(n));
    }
    return all;
  }

 private:
  base::Fd socket_;
};

// The whole answer to these bytes.
inline std::string answer_to(std::uint16_t port, std::string_view bytes) {
  const RawClient client(port);
  client.say(bytes);
  return client.rest();
}

// The whole answer, head and body, to "METHOD path".
inline std::string ask(std::uint16_t port, const std::string& what) {
  return answer_to(port, what + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
}

}  // namespace poolwarden::telemetry
