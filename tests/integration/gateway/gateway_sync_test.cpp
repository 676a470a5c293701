// The gateway feed's stories, told to a real HAProxy.
#include "gateway_bench.h"
#include "http_client.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// Who answered, or the status.
std::string answer(const HaproxyProcess& haproxy) {
  const ClientAnswer got =
      HttpClient(haproxy.ip(), HaproxyProcess::kPort).post(R"({"prompt":"The future of AI is"})");
  return got.status == 200 ? got.text : std::to_string(got.status);
}

TEST(GatewaySync, FollowsTheList) {
  Replica a("a", fresh_ip()), b("b", fresh_ip());
  GatewayBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.haproxy.start());
  EXPECT_EQ(answer(bench.haproxy), "503");
  bench.start_sync();
  bench.publish({endpoint_of(a)});
  ASSERT_TRUE(eventually([&] { return bench.ready(); })) << bench.logged();
  EXPECT_EQ(bench.state_of(a), AdminState::kReady);
  EXPECT_EQ(answer(bench.haproxy), "a");

  bench.publish({endpoint_of(b)});
  ASSERT_TRUE(bench.becomes(b, AdminState::kReady));
  EXPECT_EQ(answer(bench.haproxy), "b");
  EXPECT_TRUE(bench.becomes(a, AdminState::kMaintenance));

  bench.publish({endpoint_of(a), endpoint_of(b, api::EndpointState::kDraining)});
  ASSERT_TRUE(bench.becomes(a, AdminState::kReady));
  EXPECT_TRUE(bench.becomes(b, AdminState::kMaintenance));
  EXPECT_EQ(answer(bench.haproxy), "a");
  bench.publish({});
  EXPECT_TRUE(bench.becomes(a, AdminState::kMaintenance));
  EXPECT_EQ(answer(bench.haproxy), "503");
  bench.stop();
  EXPECT_THAT(bench.logged(), HasSubstr("withdrawn from HAProxy"));
  EXPECT_THAT(bench.logged(), HasSubstr("latency_seconds="));
}

TEST(GatewaySync, ALongGenerationOutlivesItsWithdrawal) {
  Replica a("a", fresh_ip()), b("b", fresh_ip());
  a.behave(Behaviour::kHold);
  GatewayBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.haproxy.start());
  bench.start_sync();
  bench.publish({endpoint_of(a)});
  ASSERT_TRUE(bench.becomes(a, AdminState::kReady));
  auto generation = std::async(std::launch::async, [&] { return answer(bench.haproxy); });
  ASSERT_TRUE(eventually([&] { return a.requests() == 1; }));

  bench.publish({endpoint_of(b)});
  ASSERT_TRUE(bench.becomes(b, AdminState::kReady));
  EXPECT_EQ(bench.state_of(a), AdminState::kDrain);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(answer(bench.haproxy), "b");
  std::this_thread::sleep_for(1'200ms);  // two polls and a check of HAProxy's
  EXPECT_EQ(bench.state_of(a), AdminState::kDrain) << "it is still at work";
  EXPECT_EQ(generation.wait_for(0s), std::future_status::timeout);
  a.release();
  EXPECT_EQ(generation.get(), "a");
  EXPECT_EQ(a.requests(), 1);
  EXPECT_TRUE(bench.becomes(a, AdminState::kMaintenance));
}

TEST(GatewaySync, AnEndpointThatComesBackWhileItDrainsServesAgain) {
  Replica a("a", fresh_ip()), b("b", fresh_ip());
  a.behave(Behaviour::kHold);
  GatewayBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.haproxy.start());
  bench.start_sync();
  bench.publish({endpoint_of(a)});
  ASSERT_TRUE(bench.becomes(a, AdminState::kReady));
  auto generation = std::async(std::launch::async, [&] { return answer(bench.haproxy); });
  ASSERT_TRUE(eventually([&] { return a.requests() == 1; }));
  bench.publish({endpoint_of(b)});
  ASSERT_TRUE(bench.becomes(a, AdminState::kDrain));
  bench.publish({endpoint_of(a)});
  ASSERT_TRUE(bench.becomes(a, AdminState::kReady));
  a.release();
  EXPECT_EQ(generation.get(), "a");
  EXPECT_EQ(answer(bench.haproxy), "a");
}

TEST(GatewaySync, HaproxyRestartsWithoutApiServer_GetsItsList) {
  Replica a("a", fresh_ip());
  GatewayBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.haproxy.start());
  bench.start_sync();
  bench.publish({endpoint_of(a)});
  ASSERT_TRUE(eventually([&] { return bench.ready(); }));
  bench.api.go_away();
  EXPECT_EQ(answer(bench.haproxy), "a");
  bench.haproxy.kill();
  ASSERT_TRUE(eventually([&] { return !bench.ready(); }));
  EXPECT_THAT(*bench.sync->readiness_problem(), HasSubstr("has not been given the list"));
  ASSERT_NO_FATAL_FAILURE(bench.haproxy.start());
  ASSERT_TRUE(bench.becomes(a, AdminState::kReady)) << bench.logged();
  EXPECT_EQ(answer(bench.haproxy), "a");
  EXPECT_TRUE(eventually([&] { return bench.ready(); }));

  Replica b("b", fresh_ip());
  bench.publish({endpoint_of(b)});
  bench.api.come_back();
  EXPECT_TRUE(bench.becomes(b, AdminState::kReady)) << "the list published meanwhile";
  bench.stop();
  EXPECT_THAT(bench.logged(), HasSubstr("HAProxy was restarted or reloaded"));
  EXPECT_THAT(bench.logged(), HasSubstr("the API server cannot be read"));
}

TEST(GatewaySync, HaproxyIsReloaded_NoRequestFails) {
  Replica a("a", fresh_ip()), b("b", fresh_ip());
  GatewayBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.serve(a, b));
  bench.publish({endpoint_of(a)});
  ASSERT_TRUE(bench.becomes(b, AdminState::kMaintenance));
  std::atomic<bool> over = false;
  auto load = std::async(std::launch::async, [&] {
    std::vector<std::string> others;
    while (!over) {
      if (std::string got = answer(bench.haproxy); got != "a") others.push_back(std::move(got));
    }
    return others;
  });
  for (int i = 0; i < 3; ++i) ASSERT_NO_FATAL_FAILURE(bench.haproxy.reload());
  const auto told = [&] {
    return bench.logged().find("HAProxy was restarted or reloaded") != std::string::npos;
  };
  EXPECT_TRUE(eventually(told)) << bench.logged();
  // What is kept is enough: nobody gives this one the list.
  bench.stop();
  ASSERT_NO_FATAL_FAILURE(bench.haproxy.reload());
  for (int i = 0; i < 20; ++i) EXPECT_EQ(answer(bench.haproxy), "a");
  EXPECT_EQ(bench.state_of(b), AdminState::kMaintenance);
  over = true;
  EXPECT_THAT(load.get(), testing::IsEmpty());
}

TEST(GatewaySync, HaproxyIsAwayForLong_WhatItHadIsForgotten) {
  Replica a("a", fresh_ip());
  GatewayBench bench;
  bench.away = 300ms;
  ASSERT_NO_FATAL_FAILURE(bench.haproxy.start());
  bench.start_sync();
  bench.publish({endpoint_of(a)});
  const auto kept = [&] { return contents_of(bench.haproxy.state_path()); };
  ASSERT_TRUE(eventually([&] { return kept().find(a.ip()) != std::string::npos; }));
  bench.haproxy.kill();
  EXPECT_TRUE(eventually([&] { return kept() == kEmptyStateFile; }));
  ASSERT_NO_FATAL_FAILURE(bench.haproxy.start());
  EXPECT_TRUE(bench.becomes(a, AdminState::kReady)) << "it gets the list";
}

TEST(GatewaySync, StateThatCannotBeKept_IsToldAndTheListIsHeld) {
  Replica a("a", fresh_ip());
  GatewayBench bench;
  std::filesystem::create_directory(bench.haproxy.state_path());
  ASSERT_NO_FATAL_FAILURE(bench.haproxy.start());
  bench.start_sync();
  bench.publish({endpoint_of(a)});
  EXPECT_TRUE(eventually([&] { return bench.ready(); })) << bench.logged();
  EXPECT_EQ(answer(bench.haproxy), "a");
  EXPECT_TRUE(eventually([&] { return bench.logged().find("pool.state for HAProxy") != std::string::npos; }))
      << bench.logged();
}

TEST(GatewaySync, WaitsForAHaproxyThatComesLater) {
  Replica a("a", fresh_ip());
  GatewayBench bench;
  bench.start_sync();
  EXPECT_THAT(*bench.sync->readiness_problem(), HasSubstr("has not been read yet"));
  bench.publish({endpoint_of(a)});
  ASSERT_TRUE(
      eventually([&] { return bench.logged().find("there is no HAProxy socket") != std::string::npos; }));
  EXPECT_FALSE(bench.ready());
  ASSERT_NO_FATAL_FAILURE(bench.haproxy.start());
  EXPECT_TRUE(bench.becomes(a, AdminState::kReady)) << bench.logged();
  EXPECT_TRUE(eventually([&] { return bench.ready(); }));
  EXPECT_EQ(bench.sync->loop_problem(), std::nullopt);
}

TEST(GatewaySync, ConfigMapGoneOrUnreadable_KeepsLastList) {
  Replica a("a", fresh_ip()), b("b", fresh_ip());
  GatewayBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.haproxy.start());
  bench.start_sync();
  bench.publish({endpoint_of(a)});
  ASSERT_TRUE(bench.becomes(a, AdminState::kReady));
  const std::string nonsense[] = {
      "", "{", "[]", "{\"kind\":\"EndpointSet\"}", "null", std::string(5'000, '[')};
  for (const std::string& text : nonsense) bench.api.publish_text(text);
  bench.api.remove();
  ASSERT_TRUE(eventually([&] { return bench.logged().find("the ConfigMap is gone") != std::string::npos; }))
      << bench.logged();
  std::this_thread::sleep_for(700ms);  // a poll
  EXPECT_EQ(bench.state_of(a), AdminState::kReady);
  EXPECT_TRUE(bench.ready());
  EXPECT_EQ(answer(bench.haproxy), "a");
  bench.publish({endpoint_of(b)});
  EXPECT_TRUE(bench.becomes(b, AdminState::kReady));
}

TEST(GatewaySync, LeavesHaproxyAsItIsWhenItEndsAndTakesItUpAgain) {
  Replica a("a", fresh_ip()), b("b", fresh_ip());
  GatewayBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.haproxy.start());
  bench.start_sync();
  bench.publish({endpoint_of(a), endpoint_of(b)});
  ASSERT_TRUE(bench.becomes(b, AdminState::kReady));
  const auto before = bench.servers();
  bench.stop();
  EXPECT_EQ(bench.servers(), before);
  bench.start_sync();
  ASSERT_TRUE(eventually([&] { return bench.ready(); }));
  EXPECT_EQ(bench.servers(), before) << "nothing was to be done";
}

TEST(GatewaySync, UndoesWhatSomeoneElseDid) {
  Replica a("a", fresh_ip());
  GatewayBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.haproxy.start());
  bench.start_sync();
  bench.publish({endpoint_of(a)});
  ASSERT_TRUE(bench.becomes(a, AdminState::kReady));
  ASSERT_TRUE(HaproxySocket(UnixPath{bench.haproxy.socket_path()})
                  .ask({"set server pool/pod-1 state maint", "set server pool/pod-7 addr 127.0.0.9 port 9",
                        "set server pool/pod-7 state ready"}));
  EXPECT_TRUE(eventually([&] {
    const auto servers = bench.servers();
    return servers.size() == 64 && servers[0].admin == AdminState::kReady &&
           servers[6].admin == AdminState::kMaintenance;
  }));
}

// The example's configuration, with something else in one of its places.
std::string changed_config(const TempDir& directory, const std::string& what, const std::string& instead) {
  std::string config = contents_of(POOLWARDEN_HAPROXY_CFG);
  const std::size_t at = config.find(what);
  EXPECT_NE(at, std::string::npos);
  config.replace(at, what.size(), instead);
  const std::string path = directory.file("changed.cfg");
  std::ofstream(path) << config;
  return path;
}

// Each client is pinned to the server that it had first.
std::string pinning_config(const TempDir& directory) {
  const std::string backend = "\nbackend pool\n";
  return changed_config(directory, backend, backend + "    stick-table type ip size 1k\n    stick on src\n");
}

TEST(GatewaySync, BackendThatPinsClients_WithdrawsByMaintenance) {
  const TempDir directory;
  Replica a("a", fresh_ip()), b("b", fresh_ip());
  GatewayBench bench(pinning_config(directory));
  bench.withdraw_by = WithdrawBy::kMaintenance;
  ASSERT_NO_FATAL_FAILURE(bench.haproxy.start());
  bench.start_sync();
  bench.publish({endpoint_of(a)});
  ASSERT_TRUE(bench.becomes(a, AdminState::kReady));
  EXPECT_EQ(answer(bench.haproxy), "a");
  bench.publish({endpoint_of(a), endpoint_of(b)});
  ASSERT_TRUE(bench.becomes(b, AdminState::kReady));
  for (int i = 0; i < 6; ++i) EXPECT_EQ(answer(bench.haproxy), "a") << "it is pinned";
  a.behave(Behaviour::kHold);
  auto generation = std::async(std::launch::async, [&] { return answer(bench.haproxy); });
  ASSERT_TRUE(eventually([&] { return a.requests() == 8; }));
  bench.publish({endpoint_of(b)});
  ASSERT_TRUE(bench.becomes(a, AdminState::kMaintenance));
  for (int i = 0; i < 6; ++i) EXPECT_EQ(answer(bench.haproxy), "b") << "though it was pinned elsewhere";
  a.release();
  EXPECT_EQ(generation.get(), "a") << "what was under way goes on";
}

// ---- Weights by zone

api::Endpoint endpoint_in(const std::string& zone, const Replica& replica) {
  api::Endpoint out = endpoint_of(replica);
  out.zone = zone;
  return out;
}

class ZoneWeightsOfHaproxy : public testing::Test {
 protected:
  void start(GatewayBench& bench) {
    bench.weights = ZoneWeights{{{"near", 100}, {"far", 25}}, 10};
    ASSERT_NO_FATAL_FAILURE(bench.haproxy.start());
    bench.start_sync();
    bench.publish({endpoint_in("near", near), endpoint_in("far", far)});
    ASSERT_TRUE(bench.becomes(near, AdminState::kReady)) << bench.logged();
    ASSERT_TRUE(bench.becomes(far, AdminState::kReady)) << bench.logged();
  }
  bool weigh(GatewayBench& bench, std::int64_t of_near, std::int64_t of_far) const {
    return bench.weight_of(near) == of_near && bench.weight_of(far) == of_far;
  }

  Replica near{"near", fresh_ip()};
  Replica far{"far", fresh_ip()};
};

TEST_F(ZoneWeightsOfHaproxy, ShareTheRequestsThatAreAtWork) {
  near.behave(Behaviour::kHold);
  far.behave(Behaviour::kHold);
  GatewayBench bench;
  ASSERT_NO_FATAL_FAILURE(start(bench));
  EXPECT_TRUE(weigh(bench, 100, 25)) << "already when they were made ready";
  std::vector<std::future<std::string>> generations;
  for (int i = 1; i <= 10; ++i) {
    generations.push_back(std::async(std::launch::async, [&] { return answer(bench.haproxy); }));
    ASSERT_TRUE(eventually([&] { return near.requests() + far.requests() == i; }));
  }
  EXPECT_EQ(near.requests(), 8);
  EXPECT_EQ(far.requests(), 2);
  near.release();
  far.release();
}

TEST_F(ZoneWeightsOfHaproxy, OutliveRestartsPersonsAndOtherPods) {
  GatewayBench bench;
  ASSERT_NO_FATAL_FAILURE(start(bench));
  const auto right_again = [&] { return eventually([&] { return weigh(bench, 100, 25); }); };
  ASSERT_TRUE(HaproxySocket(UnixPath{bench.haproxy.socket_path()}).ask({"set server pool/pod-1 weight 3"}));
  EXPECT_TRUE(right_again()) << "a person's change";

  bench.stop();
  ASSERT_NO_FATAL_FAILURE(bench.haproxy.reload());
  EXPECT_TRUE(weigh(bench, 100, 25)) << "what is kept is enough";
  bench.haproxy.kill();
  std::filesystem::remove(bench.haproxy.state_path());
  ASSERT_NO_FATAL_FAILURE(bench.haproxy.start());
  EXPECT_EQ(bench.servers().front().weight, 1) << "all is forgotten";
  bench.start_sync();
  EXPECT_TRUE(right_again()) << bench.logged();

  bench.publish({endpoint_in("near", near)});
  ASSERT_TRUE(bench.becomes(far, AdminState::kMaintenance));
  Replica other("other", fresh_ip());
  bench.publish({endpoint_in("near", near), endpoint_in({}, other)});
  ASSERT_TRUE(bench.becomes(other, AdminState::kReady));
  EXPECT_EQ(bench.weight_of(far), 0) << "else its slot is not used again, which is what this is about";
  EXPECT_EQ(bench.weight_of(other), 10);
}

TEST_F(ZoneWeightsOfHaproxy, ThatHaproxyRefuses_AreToldAndAllServe) {
  const TempDir directory;
  GatewayBench bench(changed_config(directory, "balance leastconn", "balance static-rr"));
  ASSERT_NO_FATAL_FAILURE(start(bench));
  EXPECT_NE(answer(bench.haproxy), "503");
  EXPECT_TRUE(bench.logs("static LB algorithm")) << bench.logged();
  EXPECT_THAT(bench.logged(), HasSubstr("--haproxy-zone-weights needs"));
  EXPECT_FALSE(bench.ready()) << "HAProxy is not as it is to be";
  bench.publish({endpoint_in("near", near)});
  EXPECT_TRUE(bench.becomes(far, AdminState::kMaintenance)) << "lists are followed all the same";
}

TEST_F(ZoneWeightsOfHaproxy, WithoutTheFlagAreTheirOwners) {
  const TempDir directory;
  GatewayBench bench(changed_config(directory, "default-server check", "default-server weight 7 check"));
  ASSERT_NO_FATAL_FAILURE(bench.haproxy.start());
  bench.start_sync();
  bench.publish({endpoint_in("near", near), endpoint_in("far", far)});
  ASSERT_TRUE(bench.becomes(far, AdminState::kReady));
  ASSERT_TRUE(HaproxySocket(UnixPath{bench.haproxy.socket_path()}).ask({"set server pool/pod-1 weight 3"}));
  std::this_thread::sleep_for(700ms);  // a poll
  EXPECT_TRUE(weigh(bench, 3, 7) || weigh(bench, 7, 3));
}

TEST(GatewaySync, ServesIpv6) {
  Replica a("a", "::1");
  GatewayBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.haproxy.start());
  bench.start_sync();
  bench.publish({endpoint_of(a)});
  ASSERT_TRUE(bench.becomes(a, AdminState::kReady));
  EXPECT_EQ(answer(bench.haproxy), "a");
}

// ---- The pods' own events: nobody writes the list anew in these.

TEST(GatewaySync, PodThatTerminates_IsWithdrawnWithoutAList) {
  Replica a("a", fresh_ip()), b("b", fresh_ip());
  GatewayBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.serve(a, b));
  bench.api.set_pod("a", PodState::kTerminating);
  EXPECT_TRUE(bench.becomes(a, AdminState::kMaintenance));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(answer(bench.haproxy), "b");
  bench.api.end_pod("a");
  std::this_thread::sleep_for(700ms);  // a poll
  EXPECT_NE(bench.state_of(a), AdminState::kReady);
  EXPECT_EQ(bench.state_of(b), AdminState::kReady);
}

TEST(GatewaySync, PodThatIsNotReady_IsWithdrawnUntilItIs) {
  Replica a("a", fresh_ip()), b("b", fresh_ip());
  GatewayBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.serve(a, b));
  bench.api.set_pod("a", PodState::kNotReady);
  ASSERT_TRUE(bench.becomes(a, AdminState::kMaintenance));
  bench.api.set_pod("a", PodState::kReady);
  EXPECT_TRUE(bench.becomes(a, AdminState::kReady));
  // Kubelets that are not heard of, and the last one that is not ready: for the list to decide.
  bench.api.set_pod("a", PodState::kUnknown);
  bench.api.set_pod("b", PodState::kUnknown);
  std::this_thread::sleep_for(300ms);
  EXPECT_EQ(bench.state_of(a), AdminState::kReady);
  EXPECT_EQ(bench.state_of(b), AdminState::kReady);
}

TEST(GatewaySync, PodDeletedByForce_IsWithdrawn_AndOneThatLostItsLabelIsNot) {
  Replica a("a", fresh_ip()), b("b", fresh_ip());
  GatewayBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.serve(a, b));
  bench.api.unlabel_pod("b");
  bench.api.end_pod("a");
  EXPECT_TRUE(bench.becomes(a, AdminState::kMaintenance));
  EXPECT_EQ(bench.state_of(b), AdminState::kReady);
}

TEST(GatewaySync, MayNotWatchPods_FollowsTheListAllTheSame) {
  Replica a("a", fresh_ip()), b("b", fresh_ip());
  GatewayBench bench;
  bench.api.forbid_pods();
  ASSERT_NO_FATAL_FAILURE(bench.haproxy.start());
  bench.start_sync();
  bench.publish({endpoint_of(a)});
  ASSERT_TRUE(bench.becomes(a, AdminState::kReady));
  bench.publish({endpoint_of(b)});
  EXPECT_TRUE(bench.becomes(b, AdminState::kReady));
  ASSERT_TRUE(eventually([&] { return bench.logged().find("pods cannot be watched") != std::string::npos; }));
}

TEST(GatewaySync, SaysInItsLeaseWhatTheGatewayHolds) {
  Replica a("a", fresh_ip());
  GatewayBench bench;
  bench.start_sync();
  bench.publish({endpoint_of(a)});
  std::this_thread::sleep_for(300ms);
  EXPECT_TRUE(bench.api.leases().empty()) << "there is no HAProxy yet";
  ASSERT_NO_FATAL_FAILURE(bench.haproxy.start());
  const auto said = [&](const std::string& revision) {
    const auto leases = bench.api.leases();
    return !leases.empty() && leases.back().find("\"poolwarden.io/applied-revisions\":\"" + revision +
                                                 "\"") != std::string::npos;
  };
  EXPECT_TRUE(eventually([&] { return said("1"); }));
  bench.publish({});
  EXPECT_TRUE(eventually([&] { return said("2"); }));
  const std::size_t writes = bench.api.leases().size();
  std::this_thread::sleep_for(1'200ms);
  EXPECT_EQ(bench.api.leases().size(), writes) << "at rest";
}

TEST(GatewaySync, SaysThatTheServersAreTooFew) {
  GatewayBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.haproxy.start());
  bench.start_sync();
  std::vector<api::Endpoint> many;
  for (int i = 1; i <= 70; ++i) {
    api::Endpoint endpoint;
    endpoint.pod = "pod" + std::to_string(i);
    endpoint.uid = endpoint.pod;
    endpoint.ip = "127.9.9." + std::to_string(i);
    endpoint.ports = {{8000, {}}};
    many.push_back(endpoint);
  }
  bench.publish(many);
  EXPECT_TRUE(
      eventually([&] { return bench.logged().find("HAProxy has no server left") != std::string::npos; }));
  EXPECT_THAT(bench.logged(), HasSubstr("unplaced=6"));
  EXPECT_TRUE(bench.ready()) << "what could be done is done";
}

}  // namespace
}  // namespace poolwarden::gateway
