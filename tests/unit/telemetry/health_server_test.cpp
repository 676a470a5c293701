#include "telemetry/health_server.h"

#include "telemetry/metrics.h"
#include "unit/telemetry/raw_client.h"

#include <atomic>
#include <list>
#include <stdexcept>
#include <string>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

namespace poolwarden::telemetry {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class HealthServerTest : public testing::Test {
 protected:
  std::unique_ptr<HealthServer> start(HealthOptions options) {
    auto server = HealthServer::start(std::move(options), metrics_.collectable());
    EXPECT_TRUE(server) << server.error();
    return server ? std::move(*server) : nullptr;
  }
  std::string problem_with(HealthOptions options) {
    const auto server = HealthServer::start(std::move(options), metrics_.collectable());
    return server ? "it started" : server.error();
  }

  Metrics metrics_{{.version = "0.1.0", .commit = "abc", .compiler = "gcc"}};
};

TEST_F(HealthServerTest, ProbesSayOkAndNoMoreWhenWell) {
  const auto server = start({.metrics_bind_address = "0",
                             .probe_bind_address = "127.0.0.1:0",
                             .healthz = {},
                             .readyz = {{"pods-synced", [] { return std::nullopt; }}}});
  ASSERT_NE(server, nullptr);
  EXPECT_EQ(server->metrics_port(), 0);
  EXPECT_THAT(ask(server->probe_port(), "GET /healthz"),
              AllOf(StartsWith("HTTP/1.1 200 OK"), EndsWith("\r\n\r\nok")));
  EXPECT_THAT(ask(server->probe_port(), "GET /readyz"), EndsWith("\r\n\r\nok"));
  EXPECT_THAT(ask(server->probe_port(), "GET /readyz?verbose"),
              EndsWith("\r\n\r\n[+]ping ok\n[+]pods-synced ok\nreadyz check passed\n"));
  EXPECT_THAT(ask(server->probe_port(), "HEAD /healthz"),
              AllOf(HasSubstr("Content-Length: 2\r\n"), EndsWith("\r\n\r\n")));
}

TEST_F(HealthServerTest, AFailingCheckSaysWhichAndWhy) {
  std::atomic<bool> synced = false;
  const auto server = start(
      {.metrics_bind_address = "0",
       .probe_bind_address = "127.0.0.1:0",
       .healthz = {{"loop", [] { return std::nullopt; }}},
       .readyz = {{"pods-synced",
                   [&]() -> std::optional<std::string> {
                     if (synced) return std::nullopt;
                     return "the first list has not come";
                   }},
                  {"broken", []() -> std::optional<std::string> { throw std::runtime_error("thrown"); }}}});
  ASSERT_NE(server, nullptr);
  EXPECT_THAT(ask(server->probe_port(), "GET /readyz"),
              AllOf(StartsWith("HTTP/1.1 500 "),
                    EndsWith("[+]ping ok\n[-]pods-synced failed: the first list has not come\n"
                             "[-]broken failed: the check itself failed: thrown\nreadyz check failed\n")));
  EXPECT_THAT(ask(server->probe_port(), "GET /healthz"), StartsWith("HTTP/1.1 200 OK"));
  synced = true;
  EXPECT_THAT(ask(server->probe_port(), "GET /readyz"), HasSubstr("[+]pods-synced ok\n"));
}

TEST_F(HealthServerTest, ServesTheMetrics) {
  const auto server =
      start({.metrics_bind_address = "127.0.0.1:0", .probe_bind_address = "0", .healthz = {}, .readyz = {}});
  ASSERT_NE(server, nullptr);
  EXPECT_EQ(server->probe_port(), 0);
  const std::string answer = ask(server->metrics_port(), "GET /metrics");
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain; version=0.0.4"));
  EXPECT_THAT(answer, HasSubstr("\npoolwarden_leader 0\n"));
  EXPECT_THAT(ask(server->metrics_port(), "GET /healthz"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(ask(server->metrics_port(), "GET /metrics/more"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(ask(server->metrics_port(), "POST /metrics"), StartsWith("HTTP/1.1 405 "));
}

TEST_F(HealthServerTest, ServesThePageBesideTheMetrics) {
  const auto server = start({.metrics_bind_address = "127.0.0.1:0",
                             .probe_bind_address = ":0",
                             .healthz = {},
                             .readyz = {},
                             .status_page = {[] { return "<p>all is well</p>"; }, "default-src 'none'"}});
  ASSERT_NE(server, nullptr);
  EXPECT_THAT(
      ask(server->metrics_port(), "GET /"),
      AllOf(StartsWith("HTTP/1.1 200 OK"), HasSubstr("\r\nContent-Type: text/html; charset=utf-8\r\n"),
            HasSubstr("\r\nContent-Security-Policy: default-src 'none'\r\n"),
            EndsWith("\r\n\r\n<p>all is well</p>")));
  EXPECT_THAT(ask(server->metrics_port(), "HEAD /"), EndsWith("\r\n\r\n"));
  EXPECT_THAT(ask(server->metrics_port(), "POST /"), StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(ask(server->metrics_port(), "GET /metrics"), Not(HasSubstr("Content-Security-Policy")));
  EXPECT_THAT(ask(server->probe_port(), "GET /"), StartsWith("HTTP/1.1 404 "));
}

TEST_F(HealthServerTest, OneAddressMayServeBoth) {
  // A port that was free a moment ago.
  std::string address;
  {
    const auto probe = start(
        {.metrics_bind_address = "0", .probe_bind_address = "127.0.0.1:0", .healthz = {}, .readyz = {}});
    ASSERT_NE(probe, nullptr);
    address = fmt::format("127.0.0.1:{}", probe->probe_port());
  }
  const auto server =
      start({.metrics_bind_address = address, .probe_bind_address = address, .healthz = {}, .readyz = {}});
  ASSERT_NE(server, nullptr);
  EXPECT_EQ(server->metrics_port(), server->probe_port());
  EXPECT_THAT(ask(server->probe_port(), "GET /healthz"), StartsWith("HTTP/1.1 200 OK"));
  EXPECT_THAT(ask(server->probe_port(), "GET /metrics"), StartsWith("HTTP/1.1 200 OK"));
}

TEST_F(HealthServerTest, AllAddresses) {
  const auto server =
      start({.metrics_bind_address = ":0", .probe_bind_address = "0", .healthz = {}, .readyz = {}});
  ASSERT_NE(server, nullptr);
  EXPECT_NE(server->metrics_port(), 0);
  EXPECT_THAT(ask(server->metrics_port(), "GET /metrics"), StartsWith("HTTP/1.1 200 OK"));
}

TEST_F(HealthServerTest, AnAddressInUseIsNamedWithItsFlagAndTheFix) {
  const auto first =
      start({.metrics_bind_address = "0", .probe_bind_address = "127.0.0.1:0", .healthz = {}, .readyz = {}});
  ASSERT_NE(first, nullptr);
  const std::string address = fmt::format("127.0.0.1:{}", first->probe_port());
  EXPECT_THAT(
      problem_with({.metrics_bind_address = address, .probe_bind_address = "0", .healthz = {}, .readyz = {}}),
      AllOf(StartsWith("--metrics-bind-address=" + address + ": the address is already in use"),
            HasSubstr("\"0\" to switch it off")));
}

TEST_F(HealthServerTest, AMalformedAddressIsNamedWithItsFlag) {
  EXPECT_THAT(
      problem_with({.metrics_bind_address = "0", .probe_bind_address = "8081", .healthz = {}, .readyz = {}}),
      StartsWith("--health-probe-bind-address=8081: the port is missing; give it as \":8080\""));
}

TEST_F(HealthServerTest, OneAddressForBothRefusesWhatItRefusesForEach) {
  const auto server =
      start({.metrics_bind_address = ":0", .probe_bind_address = ":0", .healthz = {}, .readyz = {}});
  ASSERT_NE(server, nullptr);
  EXPECT_THAT(ask(server->probe_port(), "POST /healthz"), StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(ask(server->probe_port(), "GET /"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(ask(server->probe_port(), "GET /healthz"), HasSubstr("\r\nCache-Control: no-store\r\n"));
}

TEST_F(HealthServerTest, MetricsThatCannotBeReadAreAFailedAnswer) {
  class Broken : public prometheus::Collectable {
   public:
    std::vector<prometheus::MetricFamily> Collect() const override { throw std::runtime_error("no"); }
  };
  const auto server = HealthServer::start(
      {.metrics_bind_address = "127.0.0.1:0", .probe_bind_address = "0", .healthz = {}, .readyz = {}},
      std::make_shared<Broken>());
  ASSERT_TRUE(server) << server.error();
  EXPECT_THAT(ask((*server)->metrics_port(), "GET /metrics"), StartsWith("HTTP/1.1 500 "));
  EXPECT_THAT(ask((*server)->metrics_port(), "GET /"), StartsWith("HTTP/1.1 404 "));
}

TEST_F(HealthServerTest, ASlowScrapeHoldsNoProbeOfAnotherAddress) {
  class Slow : public prometheus::Collectable {
   public:
    std::vector<prometheus::MetricFamily> Collect() const override {
      begun = true;
      while (!may_end) std::this_thread::yield();
      return {};
    }
    mutable std::atomic<bool> begun = false;
    std::atomic<bool> may_end = false;
  };
  const auto slow = std::make_shared<Slow>();
  const auto server = HealthServer::start(
      {.metrics_bind_address = "127.0.0.1:0", .probe_bind_address = ":0", .healthz = {}, .readyz = {}}, slow);
  ASSERT_TRUE(server) << server.error();
  const RawClient scraper((*server)->metrics_port());
  scraper.say("GET /metrics HTTP/1.1\r\n\r\n");
  while (!slow->begun) std::this_thread::yield();
  EXPECT_THAT(ask((*server)->probe_port(), "GET /healthz"), StartsWith("HTTP/1.1 200 OK"));
  slow->may_end = true;
  EXPECT_THAT(scraper.rest(), StartsWith("HTTP/1.1 200 OK"));
}

TEST_F(HealthServerTest, SilentClients_ProbesStillAnswered) {
  const auto server =
      start({.metrics_bind_address = "0", .probe_bind_address = "127.0.0.1:0", .healthz = {}, .readyz = {}});
  ASSERT_NE(server, nullptr);
  std::list<RawClient> silent;
  for (int clients = 0; clients < 500; ++clients) {
    silent.emplace_back(server->probe_port());
    if (clients % 100 == 0) {
      EXPECT_THAT(ask(server->probe_port(), "GET /healthz"), StartsWith("HTTP/1.1 200 OK"));
    }
  }
  EXPECT_THAT(ask(server->probe_port(), "GET /healthz"), StartsWith("HTTP/1.1 200 OK"));
}

TEST(ParseBindAddress, Table) {
  struct Row {
    std::string text;
    std::string host;
    int port;
  };
  const Row good[] = {
      {":8080", "", 8080},         {"127.0.0.1:8080", "127.0.0.1", 8080}, {"[::1]:0", "::1", 0},
      {"0.0.0.0:1", "0.0.0.0", 1}, {"[::]:65535", "::", 65535},
  };
  for (const Row& row : good) {
    const auto address = parse_bind_address(row.text);
    ASSERT_TRUE(address) << row.text << ": " << address.error();
    EXPECT_EQ(address->host, row.host) << row.text;
    EXPECT_EQ(address->port, row.port) << row.text;
  }
  struct Bad {
    std::string text;
    std::string problem;
  };
  const Bad bad[] = {
      {"8080", "the port is missing"},
      {"localhost:8080", "\"localhost\" is not an IP address"},
      {":", "\"\" is not a port from 0 to 65535"},
      {":65536", "\"65536\" is not a port from 0 to 65535"},
      {":-1", "\"-1\" is not a port from 0 to 65535"},
      {":80 ", "\"80 \" is not a port from 0 to 65535"},
      {":http", "\"http\" is not a port from 0 to 65535"},
      {"::1:80", "\"::1\" is not an IP address"},
      {"[127.0.0.1]:80", "\"127.0.0.1\" is not an IP address"},
      {"[]:80", "\"[]\" is not an IP address"},
      {"127.0.0.1:80,0.0.0.0:81", "\"127.0.0.1:80,0.0.0.0\" is not an IP address"},
  };
  for (const Bad& row : bad) {
    const auto address = parse_bind_address(row.text);
    ASSERT_FALSE(address) << row.text;
    EXPECT_EQ(address.error(), row.problem) << row.text;
  }
}

}  // namespace
}  // namespace poolwarden::telemetry
