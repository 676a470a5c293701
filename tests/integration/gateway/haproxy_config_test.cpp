// What examples/gateway/haproxy.cfg promises in its comments.
#include "gateway_bench.h"
#include "http_client.h"

#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

class HaproxyConfig : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NO_FATAL_FAILURE(bench.haproxy.start()); }

  void serve(std::vector<const Replica*> replicas) {
    bench.start_sync();
    std::vector<api::Endpoint> endpoints;
    for (const Replica* replica : replicas) endpoints.push_back(endpoint_of(*replica));
    bench.publish(endpoints);
    for (const Replica* replica : replicas) ASSERT_TRUE(bench.becomes(*replica, AdminState::kReady));
  }
  int status(const std::string& body = "{}") {
    return HttpClient(bench.haproxy.ip(), HaproxyProcess::kPort).post(body).status;
  }

  GatewayBench bench;
};

TEST(HaproxyConfigFile, IsValidWithoutWarnings) {
  int code = -1;
  const std::string output = check_config(POOLWARDEN_HAPROXY_CFG, &code);
  EXPECT_EQ(code, 0) << output;
  EXPECT_THAT(output, HasSubstr("Configuration file is valid"));
  EXPECT_THAT(output, Not(HasSubstr("WARNING")));
}

TEST_F(HaproxyConfig, ReplicaDoesNotAnswer_AnotherDoes) {
  for (const Behaviour behaviour : {Behaviour::kRefuse, Behaviour::kHangUp, Behaviour::kHalfHeader}) {
    Replica good("good", fresh_ip()), bad("bad", fresh_ip());
    bad.behave(behaviour);
    serve({&good, &bad});
    for (int i = 0; i < 10; ++i) EXPECT_EQ(status(std::string(60'000, 'x')), 200);
    EXPECT_GT(bad.requests(), 0) << "else nothing was tried again";
    bench.stop();
  }
}

TEST_F(HaproxyConfig, MostReplicasGone_AreSkipped) {
  Replica good("good", fresh_ip(), 20ms), one("one", fresh_ip()), two("two", fresh_ip());
  serve({&good, &one, &two});
  one.abort();
  two.abort();
  for (int i = 0; i < 30; ++i) EXPECT_EQ(status(), 200);
}

TEST_F(HaproxyConfig, AnAnswerThatHadBegunIsNeverAskedForTwice) {
  Replica a("a", fresh_ip()), b("b", fresh_ip());
  a.behave(Behaviour::kHalfAnswer);
  b.behave(Behaviour::kHalfAnswer);
  serve({&a, &b});
  EXPECT_EQ(status(), 0) << "cut, and seen as cut";
  EXPECT_EQ(a.requests() + b.requests(), 1);
}

TEST_F(HaproxyConfig, AllFullIsSaidAfterAFewTries) {
  Replica a("a", fresh_ip()), b("b", fresh_ip());
  a.behave(Behaviour::kRefuse);
  b.behave(Behaviour::kRefuse);
  serve({&a, &b});
  EXPECT_EQ(status(), 503);
  EXPECT_EQ(a.requests() + b.requests(), 7);
}

TEST_F(HaproxyConfig, ABodyLargerThanABufferIsServed) {
  Replica a("a", fresh_ip());
  serve({&a});
  EXPECT_EQ(status(std::string(1'000'000, 'x')), 200);
}

// Its server is parked once it is idle, so it is seen there.
TEST_F(HaproxyConfig, ClientHangsUp_RequestEndsOnReplica) {
  Replica a("a", fresh_ip());
  a.behave(Behaviour::kHold);
  serve({&a});
  HttpClient client(bench.haproxy.ip(), HaproxyProcess::kPort);
  auto asked = std::async(std::launch::async, [&client] { return client.post("{}").status; });
  EXPECT_TRUE(eventually([&a] { return a.requests() == 1; }));
  client.hang_up();
  EXPECT_EQ(asked.get(), 0);
  bench.publish({});
  EXPECT_TRUE(bench.becomes(a, AdminState::kMaintenance)) << "the replica works on, for nobody";
}

TEST_F(HaproxyConfig, IsReadyOnceAReplicaIs) {
  HttpClient client(bench.haproxy.ip(), HaproxyProcess::kPort);
  EXPECT_EQ(client.get("/-/ready").status, 503);
  Replica a("a", fresh_ip());
  serve({&a});
  EXPECT_EQ(client.get("/-/ready").status, 200);
}

}  // namespace
}  // namespace poolwarden::gateway
