// The gateway feed's stories, told to a real nginx with the configuration and the template of examples/nginx.
#include "feed.h"
#include "gateway/template_gateway.h"
#include "http_client.h"
#include "nginx_process.h"
#include "replica.h"

#include <chrono>
#include <cstdio>
#include <fstream>
#include <future>
#include <memory>
#include <sys/stat.h>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

api::Endpoint endpoint_of(const Replica& replica, api::EndpointState state = api::EndpointState::kReady) {
  return endpoint_at(replica.name(), replica.ip(), Replica::kPort, state);
}

class NginxGateway : public testing::Test, protected Feed {
 protected:
  void SetUp() override {
    if (!nginx_program()) GTEST_SKIP() << "there is no nginx: apt-get install nginx-light";
  }
  void TearDown() override { stop(); }

  // nginx does not start without the file, which this writes.
  void start_both(NginxProcess& nginx, std::optional<Reload> reload = std::nullopt) {
    TemplateOptions options;
    options.templates = {{nginx.template_file(), nginx.pool_file()}};
    options.reload = reload ? *reload : Reload{ReloadProgram{*split_command(nginx.reload_command())}};
    options.names = {"vllm", "default"};
    gateway_ = std::make_unique<TemplateGateway>(std::move(options));
    start(*gateway_, "template");
    nginx.start();
  }
  // The operator has been told that this revision is held.
  bool confirmed(int revision) const {
    return eventually([&] {
      const auto leases = api.leases();
      return !leases.empty() && leases.back().find(fmt::format("\"{}\"", revision)) != std::string::npos;
    });
  }
  // Who answered, or the status.
  static std::string answer(const NginxProcess& nginx) {
    const ClientAnswer got =
        HttpClient(nginx.ip(), NginxProcess::kPort).post(R"({"prompt":"The future of AI is"})");
    return got.status == 200 ? got.text : std::to_string(got.status);
  }
  static ino_t inode(const std::string& path) {
    struct stat status {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0);
    return status.st_ino;
  }

 private:
  std::unique_ptr<TemplateGateway> gateway_;
};

TEST_F(NginxGateway, FollowsTheListAndIsBelievedOnceItHasIt) {
  Replica a("a", fresh_ip()), b("b", fresh_ip());
  NginxProcess nginx;
  ASSERT_NO_FATAL_FAILURE(start_both(nginx));
  EXPECT_EQ(answer(nginx), "503");
  publish({endpoint_of(a)});
  ASSERT_TRUE(confirmed(1)) << logged() << nginx.log();
  EXPECT_TRUE(ready());
  EXPECT_EQ(answer(nginx), "a");
  publish({endpoint_of(b), endpoint_of(a, api::EndpointState::kDraining)});
  ASSERT_TRUE(confirmed(2)) << logged() << nginx.log();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(answer(nginx), "b");

  const ino_t before = inode(nginx.pool_file());
  publish({endpoint_of(b)});
  ASSERT_TRUE(confirmed(3)) << logged();
  EXPECT_EQ(inode(nginx.pool_file()), before) << "its text is the same";
  EXPECT_EQ(answer(nginx), "b");
  stop();
  EXPECT_THAT(logged(), HasSubstr("withdrawn from the gateway"));
}

TEST_F(NginxGateway, ALongGenerationOutlivesTheReloadOfItsWithdrawal) {
  Replica a("a", fresh_ip()), b("b", fresh_ip());
  a.behave(Behaviour::kHold);
  NginxProcess nginx;
  ASSERT_NO_FATAL_FAILURE(start_both(nginx));
  publish({endpoint_of(a)});
  ASSERT_TRUE(confirmed(1)) << logged() << nginx.log();
  auto generation = std::async(std::launch::async, [&] { return answer(nginx); });
  ASSERT_TRUE(eventually([&] { return a.requests() == 1; }));
  publish({endpoint_of(b)});
  ASSERT_TRUE(confirmed(2)) << logged() << nginx.log();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(answer(nginx), "b");
  EXPECT_EQ(generation.wait_for(0s), std::future_status::timeout);
  a.release();
  EXPECT_EQ(generation.get(), "a");
  EXPECT_EQ(a.requests(), 1);
}

TEST_F(NginxGateway, AReloadThatFailsIsToldAndRetriedUntilItIsMended) {
  Replica a("a", fresh_ip()), b("b", fresh_ip());
  NginxProcess nginx;
  ASSERT_NO_FATAL_FAILURE(start_both(nginx));
  publish({endpoint_of(a)});
  ASSERT_TRUE(confirmed(1)) << logged() << nginx.log();
  const std::string good = contents_of(nginx.template_file());
  std::ofstream(nginx.template_file()) << "upstream {{pool}} {\n  sever {{pool}};\n}\n";
  ASSERT_TRUE(logs("unknown directive")) << logged();
  EXPECT_THAT(logged(), HasSubstr("failed with exit status 1"));
  publish({endpoint_of(b)});
  EXPECT_TRUE(eventually([&] { return !ready(); }));
  EXPECT_EQ(answer(nginx), "a") << "nginx goes on with what it had";
  std::ofstream(nginx.template_file()) << good;
  ASSERT_TRUE(confirmed(2)) << logged() << nginx.log();
  EXPECT_TRUE(ready());
  EXPECT_EQ(answer(nginx), "b");
}

TEST_F(NginxGateway, ASignalNeedsNoProgram) {
  Replica a("a", fresh_ip()), b("b", fresh_ip());
  NginxProcess nginx;
  ASSERT_NO_FATAL_FAILURE(start_both(nginx, *parse_reload_signal("HUP:" + nginx.pid_file())));
  publish({endpoint_of(a)});
  ASSERT_TRUE(confirmed(1)) << logged() << nginx.log();
  EXPECT_EQ(answer(nginx), "a");
  publish({endpoint_of(b)});
  ASSERT_TRUE(confirmed(2)) << logged() << nginx.log();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(answer(nginx), "b");
}

TEST_F(NginxGateway, TwoHundredChangesInARowLoseNothing) {
  Replica a("a", fresh_ip()), b("b", fresh_ip());
  NginxProcess nginx;
  ASSERT_NO_FATAL_FAILURE(start_both(nginx));
  for (int i = 1; i <= 200; ++i) {
    publish({endpoint_of(i % 2 == 0 ? a : b)});
    std::this_thread::sleep_for(10ms);
  }
  ASSERT_TRUE(confirmed(200)) << logged() << nginx.log();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(answer(nginx), "a");
  constexpr std::string_view kTold = "(SIGHUP) received";
  std::size_t reloads = 0;
  const std::string log = nginx.log();
  for (auto at = log.find(kTold); at != std::string::npos; at = log.find(kTold, at + 1)) ++reloads;
  EXPECT_LT(reloads, 100U) << "what comes during a reload is told with the next";
  std::printf("200 changes in a row: %zu reloads\n", reloads);
}

}  // namespace
}  // namespace poolwarden::gateway
