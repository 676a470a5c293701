// What exchange() makes of whatever may be found at the other end.
#include "gateway/http_exchange.h"

#include "haproxy_process.h"

#include <arpa/inet.h>
#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

void answer(int fd, std::string_view bytes) {
  (void)::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

// Reads each request's head, and does to the connection what it was told.
class Peer {
 public:
  explicit Peer(std::function<void(int)> act) : act_(std::move(act)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    EXPECT_EQ(::listen(listener_, 4), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] {
      for (int fd; (fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
        read_request(fd);
        act_(fd);
        ::close(fd);
      }
    });
  }
  explicit Peer(std::string bytes) : Peer([bytes = std::move(bytes)](int fd) { answer(fd, bytes); }) {}
  ~Peer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }

  HttpTarget target() const { return {"127.0.0.1", port_}; }
  std::string heard() const {
    const std::lock_guard lock(mutex_);
    return heard_;
  }

 private:
  void read_request(int fd) {
    std::string all;
    char c = 0;
    std::size_t end = std::string::npos;
    while (::recv(fd, &c, 1, 0) == 1) {
      all += c;
      if (end == std::string::npos && all.ends_with("\r\n\r\n")) {
        const auto length = all.find("Content-Length: ");
        end = all.size() + (length == std::string::npos ? 0 : std::stoul(all.substr(length + 16)));
      }
      if (all.size() == end) break;
    }
    const std::lock_guard lock(mutex_);
    heard_ = all;
  }

  std::function<void(int)> act_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::string heard_;
  std::thread thread_;
};

kube::Result<HttpAnswer> get(const HttpTarget& target, std::chrono::milliseconds within = 5s,
                             const std::string& path = "/clusters?format=json") {
  return exchange(target, HttpMethod::kGet, path, {}, std::chrono::steady_clock::now() + within);
}

TEST(HttpExchange, AsksAndHears) {
  const Peer peer("HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\n{\"a\"and more");
  HttpTarget target = peer.target();
  target.prefix = "/v1";
  target.key = "s3cret";
  const auto heard = exchange(target, HttpMethod::kPost, "/workers", R"({"url":"x"})",
                              std::chrono::steady_clock::now() + 5s);
  ASSERT_TRUE(heard) << heard.error().message;
  EXPECT_EQ(heard->status, 201);
  EXPECT_TRUE(heard->ok());
  EXPECT_EQ(heard->body, "{\"a\"");
  EXPECT_THAT(peer.heard(), AllOf(HasSubstr("POST /v1/workers HTTP/1.1\r\n"),
                                  HasSubstr("\r\nAuthorization: Bearer s3cret\r\n"),
                                  HasSubstr("\r\nContent-Type: application/json\r\n"),
                                  HasSubstr("\r\nHost: 127.0.0.1:" + std::to_string(target.port) + "\r\n"),
                                  HasSubstr("\r\n\r\n{\"url\":\"x\"}")));
  ASSERT_TRUE(
      exchange(peer.target(), HttpMethod::kDelete, "/workers/1", {}, std::chrono::steady_clock::now() + 5s));
  EXPECT_THAT(peer.heard(),
              AllOf(HasSubstr("DELETE /workers/1 HTTP/1.1\r\n"), Not(HasSubstr("Authorization"))));
}

TEST(HttpExchange, EveryStatusIsAnAnswerAndNoRedirectIsFollowed) {
  const Peer away("HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n");
  const auto redirect = get(away.target());
  ASSERT_TRUE(redirect);
  EXPECT_FALSE(redirect->ok());
  EXPECT_EQ(redirect->told(), "302, a redirect to http://192.0.2.1/");
  const Peer broken("HTTP/1.1 503 No\r\nContent-Length: 11\r\n\r\nno\x1bway\nmore");
  const auto refusal = get(broken.target());
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->told(), "503: no?way");
}

TEST(HttpExchange, LooksNamesUp) {
  const Peer peer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
  const auto heard = get({"localhost", peer.target().port});
  ASSERT_TRUE(heard) << heard.error().message;
  EXPECT_EQ(heard->body, "{}");
  const auto nowhere = get({"no-such-host.invalid", 80});
  ASSERT_FALSE(nowhere);
  EXPECT_THAT(nowhere.error().message, HasSubstr("GET http://no-such-host.invalid:80/clusters"));
}

TEST(HttpExchange, SaysThatNobodyListens) {
  const auto error = get({fresh_ip(), 9});
  ASSERT_FALSE(error);
  EXPECT_EQ(error.error().cls, kube::ErrorClass::kRetry);
  EXPECT_THAT(error.error().message, HasSubstr("nothing listens on http://127."));
}

TEST(HttpExchange, ReturnsAtItsDeadline) {
  std::atomic<bool> over{false};
  const Peer silent([&](int) {
    while (!over) std::this_thread::sleep_for(5ms);
  });
  const Peer dripping([&](int fd) {
    answer(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (!over) {
      answer(fd, "1\r\nx\r\n");
      std::this_thread::sleep_for(5ms);
    }
  });
  for (const Peer* peer : {&silent, &dripping}) {
    const auto start = std::chrono::steady_clock::now();
    const auto late = get(peer->target(), 150ms);
    EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().reason, "Timeout");
    EXPECT_THAT(late.error().message, HasSubstr("no complete answer within 150 ms"));
  }
  over = true;
}

TEST(HttpExchange, AnswersWithoutAnEndAreErrors) {
  const std::string piece(64 << 10, 'x');
  const Peer body([&](int fd) {
    answer(fd, "HTTP/1.1 200 OK\r\n\r\n");
    for (int i = 0; i < 300; ++i) answer(fd, piece);
  });
  const auto endless = get(body.target(), 20s);
  ASSERT_FALSE(endless);
  EXPECT_EQ(endless.error().reason, kube::kAnswerTooLarge);
  const Peer promised("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nx");
  EXPECT_FALSE(get(promised.target())) << "nothing is made ready for what is only promised";
  const Peer head([&](int fd) {
    answer(fd, "HTTP/1.1 200 OK\r\nA: ");
    for (int i = 0; i < 300; ++i) answer(fd, piece);
  });
  EXPECT_EQ(get(head.target(), 20s).error().reason, "NotHttp");
}

TEST(HttpExchange, NonsenseIsAnError) {
  for (const char* bytes : {"", "SSH-2.0-OpenSSH\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
                            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
                            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "\x16\x03\x01"}) {
    const Peer peer{std::string(bytes)};
    const auto answered = get(peer.target());
    ASSERT_FALSE(answered) << bytes;
    EXPECT_THAT(answered.error().message, HasSubstr(peer.target().to_string())) << bytes;
  }
}

TEST(HttpExchange, NothingOfTwoLinesIsSent) {
  const Peer peer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  for (const char* path : {"", "clusters", "/a b", "/a\r\nB: c", "/\xc3\xa4"})
    EXPECT_FALSE(get(peer.target(), 5s, path)) << path;
  HttpTarget target = peer.target();
  target.key = "secret\r\nB: c";
  const auto refused = get(target);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, Not(HasSubstr("secret")));
  EXPECT_EQ(peer.heard(), "");
}

}  // namespace
}  // namespace poolwarden::gateway
