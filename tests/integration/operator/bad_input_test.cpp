// What a person gets to read when something is wrong around the operator: the thing, and the fix.
#include "operator_bench.h"

#include <chrono>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::integration {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;

const json kSpec = {{"selector", {{"matchLabels", {{"app", "vllm"}}}}},
                    {"targetPorts", {{{"number", 8000}}}}};

// Exit code and output of an operator that cannot start.
void expect_refusal(OperatorBench& bench, const std::vector<std::string>& flags,
                    const testing::Matcher<std::string>& words) {
  ASSERT_NO_FATAL_FAILURE(bench.start(flags));
  const auto code = bench.program().wait_for_exit(20s);
  ASSERT_TRUE(code) << "it does not end: " << bench.output();
  EXPECT_EQ(*code, 1);
  EXPECT_THAT(bench.output(), words);
}

TEST(BadInput, MalformedKubeconfig) {
  OperatorBench bench;
  bench.write_file("broken", "clusters: [");
  expect_refusal(bench, {"--kubeconfig", bench.directory() + "/broken"}, HasSubstr("broken"));
  bench.write_file("empty", "");
  expect_refusal(bench, {"--kubeconfig", bench.directory() + "/empty"}, HasSubstr("empty"));
  expect_refusal(bench, {"--kubeconfig", bench.directory() + "/missing"}, HasSubstr("missing"));
  expect_refusal(bench, {"--context", "nowhere"}, HasSubstr("nowhere"));
}

TEST(BadInput, AddressInUse) {
  OperatorBench bench;
  bench.install_crd();
  expect_refusal(bench, {"--metrics-bind-address=127.0.0.1:" + std::to_string(bench.server().port())},
                 HasSubstr("--metrics-bind-address"));
  expect_refusal(bench, {"--health-probe-bind-address=nonsense"}, HasSubstr("--health-probe-bind-address"));
}

TEST(BadInput, UnreachableServerIsNoReasonToEnd) {
  OperatorBench bench;
  bench.server().stop();
  ASSERT_NO_FATAL_FAILURE(bench.start());
  ASSERT_TRUE(bench.program().wait_for_line("cannot read pods", 20s)) << bench.output();
  EXPECT_TRUE(eventually([&] { return bench.probe("/readyz").starts_with("500"); }))
      << bench.probe("/readyz");
  EXPECT_THAT(bench.probe("/healthz"), HasSubstr("200"));
  ASSERT_NO_FATAL_FAILURE(bench.stop());
}

TEST(BadInput, UntrustedServer) {
  apiserver::ServerOptions options;
  options.certificate = apiserver::ServerCertificate::kUntrusted;
  OperatorBench bench(options);
  ASSERT_NO_FATAL_FAILURE(bench.start());
  const auto line = bench.program().wait_for_line("cannot read pods", 20s);
  ASSERT_TRUE(line) << bench.output();
  EXPECT_THAT(*line, HasSubstr("certificate"));
  ASSERT_NO_FATAL_FAILURE(bench.stop());
}

TEST(BadInput, CrdNotInstalled) {
  OperatorBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.start());
  const auto line = bench.program().wait_for_line("cannot read inferencepools", 20s);
  ASSERT_TRUE(line) << bench.output();
  EXPECT_THAT(*line, HasSubstr("kubectl apply -f crds/"));
  // Installed while it waits, it goes on by itself.
  bench.install_crd();
  bench.create_pods(1);
  bench.create_pool("vllm", kSpec);
  EXPECT_TRUE(bench.publishes("vllm", {"vllm-0"})) << bench.output();
}

TEST(BadInput, MissingRbac) {
  OperatorBench bench;
  bench.install_crd();
  bench.create_pods(1);
  bench.create_pool("vllm", kSpec);
  bench.server().with_model([](apiserver::Model& model) {
    model.set_deny_rules({{"", "create", "configmaps"}});
  });
  ASSERT_NO_FATAL_FAILURE(bench.start());
  EXPECT_TRUE(eventually([&] {
    return bench.condition("vllm", "EndpointsPublished").starts_with("False Forbidden");
  })) << bench.condition("vllm", "EndpointsPublished")
      << bench.output();
  EXPECT_THAT(bench.condition("vllm", "EndpointsPublished"),
              AllOf(HasSubstr("create"), HasSubstr("configmaps")));
  bench.server().with_model([](apiserver::Model& model) { model.set_deny_rules({}); });
  EXPECT_TRUE(bench.publishes("vllm", {"vllm-0"})) << bench.output();
}

TEST(BadInput, FullDiskForLogs) {
  OperatorBench bench;
  bench.install_crd();
  bench.create_pods(2);
  bench.create_pool("vllm", kSpec);
  ASSERT_NO_FATAL_FAILURE(bench.start({}, "/dev/full"));
  ASSERT_TRUE(bench.publishes("vllm", {"vllm-0", "vllm-1"}));
  bench.terminate("vllm-0");
  EXPECT_TRUE(bench.publishes("vllm", {"vllm-1"}));
  ASSERT_NO_FATAL_FAILURE(bench.stop());
}

}  // namespace
}  // namespace poolwarden::integration
