#include "telemetry/http_server.h"

#include "unit/telemetry/raw_client.h"

#include <ctime>
#include <fcntl.h>
#include <list>
#include <optional>
#include <stdexcept>
#include <sys/resource.h>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::telemetry {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::size_t kMaxRequest = 8u << 10;
constexpr std::size_t kBody = 32u << 20;  // more than the kernel takes for a client that does not read
constexpr HttpServerOptions kPatient{.timeout = 10min};  // no test waits for that
constexpr HttpServerOptions kHasty{.timeout = 200ms};

HttpAnswer echo(const HttpRequest& request) {
  if (request.path == "/throws") throw std::runtime_error("no");
  if (request.path == "/throws-a-number") throw 1;
  if (request.path == "/long") return {.body = std::string(kBody, 'x')};
  return {.body = fmt::format("{} {}", request.path, request.query)};
}

std::unique_ptr<HttpServer> serve_echo(HttpServerOptions options) {
  auto server = HttpServer::start({.host = "127.0.0.1", .port = 0}, echo, options);
  EXPECT_TRUE(server) << server.error();
  return server ? std::move(*server) : nullptr;
}

std::size_t count_answers(const std::string& text) {
  std::size_t answers = 0;
  for (std::size_t at = 0; (at = text.find("HTTP/1.1 ", at)) != std::string::npos; ++at) ++answers;
  return answers;
}

TEST(HttpServer, WhatIsAskedAndWhatIsAnswered) {
  const auto server = serve_echo(kPatient);
  ASSERT_NE(server, nullptr);
  struct Row {
    std::string request;
    std::string status;
    std::string end;
  };
  const Row rows[] = {
      {"GET /a HTTP/1.1\r\n\r\n", "200 OK", "\r\n\r\n/a "},
      {"GET /a?b=c&d HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", "\r\n\r\n/a b=c&d"},
      {"GET /a HTTP/1.0\r\n\r\n", "200 OK", "\r\n\r\n/a "},
      {"HEAD /a HTTP/1.1\r\n\r\n", "200 OK", "\r\n\r\n"},
      {"POST /a HTTP/1.1\r\n\r\n", "405 Method Not Allowed", "only GET and HEAD are answered here\n"},
      {"BREW /a HTTP/1.1\r\n\r\n", "405 Method Not Allowed", "only GET and HEAD are answered here\n"},
      {"GET /throws HTTP/1.1\r\n\r\n", "500 Internal Server Error", "\r\n\r\ninternal error\n"},
      {"GET /throws-a-number HTTP/1.1\r\n\r\n", "500 Internal Server Error", "\r\n\r\ninternal error\n"},
      // A body is not waited for.
      {"GET /a HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", "200 OK", "\r\n\r\n/a "},
      {"GET /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", "200 OK", "\r\n\r\n/a "},
      {"GET /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", "200 OK", "\r\n\r\n/a "},
      {"POST /a HTTP/1.1\r\nContent-Length: 20000\r\n\r\n" + std::string(20'000, 'x'), "405 ", "here\n"},
      // The second is not answered.
      {"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n", "200 OK", "\r\n\r\n/a "},
  };
  for (const Row& row : rows) {
    const std::string answer = answer_to(server->port(), row.request);
    EXPECT_THAT(answer,
                AllOf(StartsWith("HTTP/1.1 " + row.status), EndsWith(row.end),
                      HasSubstr("\r\nConnection: close\r\n"), HasSubstr("\r\nCache-Control: no-store\r\n")))
        << row.request.substr(0, 100);
    EXPECT_EQ(count_answers(answer), 1) << row.request.substr(0, 100);
  }
  EXPECT_THAT(ask(server->port(), "HEAD /a"), HasSubstr("\r\nContent-Length: 3\r\n"));
  EXPECT_THAT(ask(server->port(), "PUT /a"), HasSubstr("\r\nAllow: GET, HEAD\r\n"));
}

TEST(HttpServer, Garbage) {
  const auto server = serve_echo(kPatient);
  ASSERT_NE(server, nullptr);
  const std::string rows[] = {
      "\r\n\r\n",
      "garbage\r\n\r\n",
      "\x16\x03\x01\x02",  // the begin of a TLS handshake
      std::string(1, '\0'),
      "GET  HTTP/1.1\r\n\r\n",
      std::string("GET /\0 HTTP/1.1\r\n\r\n", 20),
      "GET / HTTP/2.0\r\n\r\n",
      "GET / HTTP/1.1\r\nno colon\r\n\r\n",
      "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
  };
  for (const std::string& row : rows) {
    EXPECT_THAT(answer_to(server->port(), row), StartsWith("HTTP/1.1 400 Bad Request\r\n")) << row;
  }
  const RawClient half(server->port());
  half.say("GET / HTT");
  half.say_no_more();
  EXPECT_THAT(half.rest(), StartsWith("HTTP/1.1 400 Bad Request\r\n"));
  const RawClient nothing(server->port());
  nothing.say_no_more();
  EXPECT_EQ(nothing.rest(), "");
}

TEST(HttpServer, ARequestHasAtMostEightKibibytes) {
  const auto server = serve_echo(kPatient);
  ASSERT_NE(server, nullptr);
  const auto of_size = [](std::size_t size) {
    std::string request = "GET / HTTP/1.1\r\na: ";
    request.append(size - request.size() - 4, 'x');
    return request + "\r\n\r\n";
  };
  EXPECT_THAT(answer_to(server->port(), of_size(kMaxRequest)), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer_to(server->port(), of_size(kMaxRequest + 1)), StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(answer_to(server->port(), "GET /" + std::string(kMaxRequest, 'x')),
              StartsWith("HTTP/1.1 431 "));
}

// A parser that counts only what it has not read yet would never come to an end.
TEST(HttpServer, HeadersOneByOneAreCountedTogether) {
  const auto server = serve_echo(kPatient);
  ASSERT_NE(server, nullptr);
  const RawClient client(server->port());
  client.say("GET / HTTP/1.1\r\n");
  for (std::size_t said = 0; said < 2 * kMaxRequest && !client.hears_within(0ms);) {
    const std::string_view field = "a: b\r\n";
    client.say(field);
    said += field.size();
  }
  EXPECT_THAT(client.rest(), StartsWith("HTTP/1.1 431 "));
}

TEST(HttpServer, AnEndlessRequestLineIsCut) {
  const auto server = serve_echo(kPatient);
  ASSERT_NE(server, nullptr);
  const RawClient client(server->port());
  constexpr std::size_t kFarTooMuch = 1u << 30;
  const std::string piece(64u << 10, 'x');
  std::size_t said = 0;
  while (said < kFarTooMuch && client.say(piece)) said += piece.size();
  EXPECT_LT(said, kFarTooMuch);
  EXPECT_THAT(ask(server->port(), "GET /"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST(HttpServer, AByteAtATimeLastsUntilTheDeadline) {
  const auto server = serve_echo(kHasty);
  ASSERT_NE(server, nullptr);
  const RawClient client(server->port());
  const std::string request = "GET /" + std::string(kMaxRequest - 100, 'x');
  std::size_t said = 0;
  while (said < request.size() && !client.hears_within(5ms)) client.say(request.substr(said++, 1));
  EXPECT_LT(said, request.size());
  EXPECT_EQ(client.rest(), "");
}

TEST(HttpServer, SilenceLastsUntilTheDeadline) {
  const auto server = serve_echo(kHasty);
  ASSERT_NE(server, nullptr);
  EXPECT_EQ(RawClient(server->port()).rest(), "");
}

TEST(HttpServer, WhoReadsNothingIsCutAtTheDeadline) {
  const auto server = serve_echo(kHasty);
  ASSERT_NE(server, nullptr);
  const RawClient reader(server->port());
  reader.say("GET /long HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(reader.hears_within(1min));
  EXPECT_EQ(RawClient(server->port()).rest(), "");  // one that came later has been cut by now
  EXPECT_LT(reader.rest().size(), kBody);
}

TEST(HttpServer, SilentClientsMakeRoomForOneWhoAsks) {
  const auto server = serve_echo(kPatient);
  ASSERT_NE(server, nullptr);
  std::list<RawClient> silent;
  for (int clients = 0; clients < 500; ++clients) silent.emplace_back(server->port());
  EXPECT_THAT(ask(server->port(), "GET /"), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(silent.front().rest(), "");
  silent.back().say("GET / HTTP/1.1\r\n\r\n");
  EXPECT_THAT(silent.back().rest(), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST(HttpServer, WhoHasAnAnswerMakesRoomFirst) {
  const auto server = serve_echo({.timeout = kPatient.timeout, .max_connections = 2, .max_answers = 1});
  ASSERT_NE(server, nullptr);
  const RawClient waits(server->port());
  const RawClient answered(server->port());
  answered.say("GET /1 HTTP/1.1\r\n\r\n");
  EXPECT_THAT(answered.rest(), EndsWith("/1 "));
  EXPECT_THAT(ask(server->port(), "GET /2"), EndsWith("/2 "));
  waits.say("GET /3 HTTP/1.1\r\n\r\n");
  EXPECT_THAT(waits.rest(), EndsWith("/3 "));
}

TEST(HttpServer, WhoReadsNothingMakesRoomForAnotherAnswer) {
  const auto server = serve_echo({.timeout = kPatient.timeout, .max_connections = 8, .max_answers = 1});
  ASSERT_NE(server, nullptr);
  const RawClient reader(server->port());
  reader.say("GET /long HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(reader.hears_within(1min));
  EXPECT_GT(ask(server->port(), "GET /long").size(), kBody);
  EXPECT_LT(reader.rest().size(), kBody);
}

TEST(HttpServer, EndsWithClientsInEveryStage) {
  auto server = serve_echo(kPatient);
  ASSERT_NE(server, nullptr);
  const RawClient silent(server->port());
  const RawClient begun(server->port());
  begun.say("GET /");
  const RawClient reader(server->port());
  reader.say("GET /long HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(reader.hears_within(1min));
  const RawClient answered(server->port());
  answered.say("GET / HTTP/1.1\r\n\r\n");
  EXPECT_THAT(answered.rest(), StartsWith("HTTP/1.1 200 OK\r\n"));
  server.reset();
  EXPECT_EQ(silent.rest(), "");
  EXPECT_EQ(begun.rest(), "");
  EXPECT_LT(reader.rest().size(), kBody);
}

// Leaves the process exactly one descriptor as long as it lives.
class OneDescriptor {
 public:
  OneDescriptor() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const base::Fd first_free(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    rlimit now = before_;
    now.rlim_cur = static_cast<rlim_t>(first_free.get()) + 1;
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &now), 0);
  }
  ~OneDescriptor() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  OneDescriptor(const OneDescriptor&) = delete;
  OneDescriptor& operator=(const OneDescriptor&) = delete;

 private:
  rlimit before_{};
};

TEST(HttpServer, WithoutDescriptorsItWaitsAndThenAccepts) {
  const auto server = serve_echo(kPatient);
  ASSERT_NE(server, nullptr);
  std::optional<OneDescriptor> few(std::in_place);
  const RawClient client(server->port());
  client.say("GET / HTTP/1.1\r\n\r\n");
  const std::clock_t before = std::clock();  // of processor time
  EXPECT_FALSE(client.hears_within(300ms));
  EXPECT_LT(std::clock() - before, CLOCKS_PER_SEC / 10) << "it tries without a pause";
  few.reset();
  EXPECT_THAT(client.rest(), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST(HttpServer, AllAddressesAreNotHalfOfThem) {
  const auto first = serve_echo(kPatient);
  ASSERT_NE(first, nullptr);
  const auto second = HttpServer::start({.host = "", .port = first->port()}, echo);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error(), "the address is already in use by another process");
}

TEST(HttpRequest, HasAParameter) {
  struct Row {
    std::string query;
    bool has;
  };
  const Row rows[] = {
      {"", false},          {"verbose", true},     {"verbose=", true},   {"verbose=false", true},
      {"a&verbose", true},  {"verbose&a=1", true}, {"verbosely", false}, {"a=verbose", false},
      {"&&verbose&", true}, {"=verbose", false},   {"&", false}};
  for (const Row& row : rows) {
    HttpRequest request;
    request.query = row.query;
    EXPECT_EQ(request.has("verbose"), row.has) << row.query;
  }
}

}  // namespace
}  // namespace poolwarden::telemetry
