// The operator as a process, over real HTTP and TLS, while its API server misbehaves: whatever happens, the
// list becomes true again and the process lives.
#include "api/time.h"
#include "operator_bench.h"

#include <chrono>
#include <csignal>
#include <string>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::integration {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

const json kPoolSpec = {{"selector", {{"matchLabels", {{"app", "vllm"}}}}},
                        {"targetPorts", {{{"number", 8000}}}}};

// What strikes, and whether connections are cut so that it strikes at once.
struct Row {
  const char* situation;
  std::vector<json> faults;
  bool cut = true;
};

void PrintTo(const Row& row, std::ostream* out) {
  *out << row.situation;
}

class UnderFault : public testing::TestWithParam<Row> {};

TEST_P(UnderFault, TheListBecomesTrue) {
  OperatorBench bench;
  bench.install_crd();
  bench.create_pods(3);
  bench.create_pool("vllm", kPoolSpec);
  ASSERT_NO_FATAL_FAILURE(bench.start());
  ASSERT_TRUE(bench.publishes("vllm", {"vllm-0", "vllm-1", "vllm-2"})) << bench.output();

  for (const json& rule : GetParam().faults) ASSERT_NO_FATAL_FAILURE(bench.fault(rule));
  if (GetParam().cut) bench.server().drop_connections();
  bench.terminate("vllm-1");
  EXPECT_TRUE(bench.publishes("vllm", {"vllm-0", "vllm-2"})) << bench.output();

  bench.server().with_faults([](apiserver::FaultSet& faults) {
    EXPECT_GT(faults.struck(), 0U) << "the fault never struck";
    faults.clear();
  });
  bench.terminate("vllm-0");
  EXPECT_TRUE(bench.publishes("vllm", {"vllm-2"})) << bench.output();
  ASSERT_NO_FATAL_FAILURE(bench.stop());
}

json rule(const char* fault, const char* verb, const char* resource, json more = json::object()) {
  json made = {{"fault", fault}, {"verb", verb}, {"resource", resource}};
  made.update(more);
  return made;
}

INSTANTIATE_TEST_SUITE_P(
    Faults, UnderFault,
    testing::Values(
        Row{"watch lines arrive byte by byte", {rule("split", "watch", "pods", {{"bytes", 1}})}},
        Row{"watch lines arrive in odd pieces", {rule("split", "watch", "pods", {{"bytes", 173}})}},
        Row{"a watch says nothing for a while",
            {rule("stall", "watch", "pods", {{"seconds", 3}, {"count", 1}})}},
        Row{"a list is cut in its middle",
            {rule("gone_at_connect", "watch", "pods", {{"count", 1}}),
             rule("cut", "list", "pods", {{"bytes", 500}, {"count", 2}})}},
        Row{"a watch is cut in the middle of a line", {rule("cut", "watch", "pods", {{"count", 1}})}},
        Row{"watches end as soon as they begin", {rule("empty_stream", "watch", "pods", {{"count", 4}})}},
        Row{"410 at connect", {rule("gone_at_connect", "watch", "pods", {{"count", 1}})}},
        Row{"410 inside the stream", {rule("gone_in_stream", "watch", "pods", {{"count", 1}})}},
        Row{"an error inside the stream", {rule("error_in_stream", "watch", "pods", {{"count", 1}})}},
        Row{"conflicts on the ConfigMap", {rule("conflict", "update", "configmaps", {{"count", 3}})}, false},
        Row{"429 with Retry-After on the ConfigMap",
            {rule("too_many_requests", "update", "configmaps", {{"count", 2}, {"seconds", 1}})},
            false},
        Row{"429 on watch and list",
            {rule("too_many_requests", "watch", "pods", {{"count", 1}, {"seconds", 1}}),
             rule("too_many_requests", "list", "pods", {{"count", 1}, {"seconds", 1}})}},
        Row{"500 on the ConfigMap", {rule("internal_error", "update", "configmaps", {{"count", 3}})}, false},
        Row{"500 everywhere for a while", {rule("internal_error", "", "", {{"count", 12}})}},
        Row{"a proxy's page instead of lists",
            {rule("gone_at_connect", "watch", "pods", {{"count", 1}}),
             rule("html", "list", "pods", {{"count", 2}})}},
        Row{"broken JSON in a watch", {rule("garbage", "watch", "pods", {{"count", 2}})}},
        Row{"broken JSON in a list",
            {rule("gone_at_connect", "watch", "pods", {{"count", 1}}),
             rule("garbage", "list", "pods", {{"count", 1}})}},
        Row{"a line of 100 MB", {rule("huge_line", "watch", "pods", {{"count", 1}})}},
        Row{"stale lists",
            {rule("gone_at_connect", "watch", "pods", {{"count", 1}}),
             rule("stale_list", "list", "pods", {{"count", 2}, {"bytes", 5}})}},
        Row{"slow writes",
            {rule("delay_before", "update", "configmaps", {{"seconds", 2}, {"count", 2}})},
            false},
        Row{"answers that come late",
            {rule("delay_after", "update", "configmaps", {{"seconds", 2}, {"count", 2}})},
            false},
        Row{"answers that are lost", {rule("lost_answer", "update", "configmaps", {{"count", 1}})}, false},
        Row{"connections closed without an answer", {rule("drop_connection", "", "", {{"count", 6}})}}));

TEST(Operator, ServerAwayAndBack) {
  OperatorBench bench;
  bench.install_crd();
  bench.create_pods(2);
  bench.create_pool("vllm", kPoolSpec);
  ASSERT_NO_FATAL_FAILURE(bench.start());
  ASSERT_TRUE(bench.publishes("vllm", {"vllm-0", "vllm-1"})) << bench.output();
  bench.server().refuse_for(3s);
  bench.server().drop_connections();
  bench.terminate("vllm-1");
  EXPECT_EQ(bench.count("vllm"), 2U);
  EXPECT_TRUE(bench.publishes("vllm", {"vllm-0"})) << bench.output();
  EXPECT_TRUE(bench.program().wait_for_line("cannot read pods", 20s)) << bench.output();
  EXPECT_TRUE(bench.program().wait_for_line("reads pods again", 20s)) << bench.output();
}

TEST(Operator, ATrueListSurvivesKillAndRestart) {
  OperatorBench bench;
  bench.install_crd();
  bench.create_pods(2);
  bench.create_pool("vllm", kPoolSpec);
  ASSERT_NO_FATAL_FAILURE(bench.start());
  ASSERT_TRUE(bench.publishes("vllm", {"vllm-0", "vllm-1"})) << bench.output();
  bench.program().signal(SIGKILL);
  ASSERT_TRUE(bench.program().wait_for_exit(10s));
  bench.terminate("vllm-0");
  EXPECT_EQ(bench.count("vllm"), 2U);
  ASSERT_NO_FATAL_FAILURE(bench.start());
  EXPECT_TRUE(bench.publishes("vllm", {"vllm-1"})) << bench.output();
}

TEST(Operator, Withdrawal_GetsOneLineOneEventOneMeasurement) {
  OperatorBench bench;
  bench.install_crd();
  bench.create_pods(2);
  bench.create_pool("vllm", kPoolSpec);
  ASSERT_NO_FATAL_FAILURE(bench.start());
  ASSERT_TRUE(bench.publishes("vllm", {"vllm-0", "vllm-1"})) << bench.output();
  ASSERT_TRUE(eventually([&] { return bench.probe("/readyz").starts_with("200"); }))
      << bench.probe("/readyz");
  EXPECT_THAT(bench.probe("/healthz"), HasSubstr("200"));
  bench.terminate("vllm-0");
  ASSERT_TRUE(bench.publishes("vllm", {"vllm-1"})) << bench.output();
  const auto line = bench.program().wait_for_line("withdrew pod", 10s);
  ASSERT_TRUE(line) << bench.output();
  for (const char* part : {"default/vllm-0", "default/vllm", "Terminating", "latency_ms"}) {
    EXPECT_THAT(*line, HasSubstr(part));
  }
  EXPECT_TRUE(eventually([&] {
    const json events =
        bench.request(kube::HttpMethod::kGet, "/apis/events.k8s.io/v1/namespaces/default/events");
    return events.dump().find("\"Withdrawn\"") != std::string::npos;
  }));
}

// A Lease of this process's own: another operator of this host that runs for the same one would have the
// name.
std::vector<std::string> elected() {
  return {"--leader-elect", "--leader-elect-namespace=default",
          "--leader-elect-resource-name=poolwarden-" + std::to_string(getpid())};
}

json lease_of(OperatorBench& bench) {
  return bench.request(
      kube::HttpMethod::kGet,
      "/apis/coordination.k8s.io/v1/namespaces/default/leases/poolwarden-" + std::to_string(getpid()));
}

TEST(Operator, BackWithinItsLease_LeadsAtOnce) {
  OperatorBench bench;
  bench.install_crd();
  bench.create_pods(2);
  bench.create_pool("vllm", kSpec);
  ASSERT_NO_FATAL_FAILURE(bench.start(elected()));
  ASSERT_TRUE(bench.publishes("vllm", {"vllm-0", "vllm-1"})) << bench.output();
  const json before = lease_of(bench).at("spec");
  bench.program().signal(SIGKILL);
  ASSERT_TRUE(bench.program().wait_for_exit(10s));
  bench.terminate("vllm-0");
  ASSERT_NO_FATAL_FAILURE(bench.start(elected()));
  EXPECT_TRUE(bench.publishes("vllm", {"vllm-1"})) << bench.output();
  const json after = lease_of(bench).at("spec");
  EXPECT_EQ(after.at("holderIdentity"), before.at("holderIdentity"));
  EXPECT_EQ(after.at("acquireTime"), before.at("acquireTime")) << "had it waited, it would be another";
  EXPECT_EQ(after.at("leaseTransitions"), before.at("leaseTransitions"));
  EXPECT_NE(after.at("renewTime"), before.at("renewTime"));
}

TEST(Operator, ServersClockIsAnother_IsTheOneItGoesBy) {
  apiserver::ServerOptions options;
  options.clock_ahead = 2h;
  OperatorBench bench(options);
  bench.install_crd();
  ASSERT_NO_FATAL_FAILURE(bench.start(elected()));
  const auto renewed = [&bench] {
    const json lease = lease_of(bench);
    return api::parse_rfc3339(lease.value("/spec/renewTime"_json_pointer, ""));
  };
  EXPECT_TRUE(eventually([&] { return renewed() > std::chrono::system_clock::now() + 1h; }))
      << bench.output();
  EXPECT_TRUE(eventually([&] {
    return bench.output().find("this machine's clock is not the API server's") != std::string::npos;
  }));
  EXPECT_THAT(bench.output(), HasSubstr("ahead_seconds=-7"));
  ASSERT_NO_FATAL_FAILURE(bench.stop());
}

TEST(Operator, LeaderKilled_AStandbyWithdrawsBeforeItLeads) {
  OperatorBench bench;
  bench.install_crd();
  bench.create_pods(3);
  bench.create_pool("vllm", kSpec);
  ASSERT_NO_FATAL_FAILURE(bench.start(elected()));
  ASSERT_TRUE(bench.publishes("vllm", {"vllm-0", "vllm-1", "vllm-2"})) << bench.output();
  const auto standby = bench.launch(elected());
  ASSERT_TRUE(eventually([&] {
    return OperatorBench::probe(standby->output(), "/readyz").starts_with("200");
  })) << standby->output();
  bench.terminate("vllm-2");
  ASSERT_TRUE(bench.publishes("vllm", {"vllm-0", "vllm-1"}));
  const json before = lease_of(bench).at("spec");

  bench.terminate("vllm-0");
  bench.program().signal(SIGKILL);
  bench.terminate("vllm-1");
  ASSERT_TRUE(bench.program().wait_for_exit(10s));
  ASSERT_TRUE(bench.publishes("vllm", {})) << standby->output();
  EXPECT_EQ(lease_of(bench).at("spec").at("holderIdentity"), before.at("holderIdentity"));
  EXPECT_TRUE(standby->wait_for_line("withdrew pod in place of the leader", 10s)) << standby->output();
  EXPECT_THAT(standby->output(), testing::Not(HasSubstr("became the leader")));
}

TEST(Operator, TwoReplicasOneLeader) {
  OperatorBench bench;
  bench.install_crd();
  bench.create_pods(1);
  bench.create_pool("vllm", kPoolSpec);
  ASSERT_NO_FATAL_FAILURE(bench.start({"--leader-elect", "--leader-elect-namespace=default"}));
  ASSERT_TRUE(bench.publishes("vllm", {"vllm-0"})) << bench.output();
  EXPECT_TRUE(bench.program().wait_for_line("became the leader", 20s)) << bench.output();
  ASSERT_NO_FATAL_FAILURE(bench.stop());
  const json lease = bench.request(kube::HttpMethod::kGet,
                                   "/apis/coordination.k8s.io/v1/namespaces/default/leases/poolwarden");
  EXPECT_EQ(lease.value("/spec/holderIdentity"_json_pointer, "none"), "") << "released on a clean exit";
}

}  // namespace
}  // namespace poolwarden::integration
