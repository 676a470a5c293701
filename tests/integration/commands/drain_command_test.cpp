// `drain` and `delete` as programs: beside the operator, without one, and when it does not go as asked.
#include "command_bench.h"

#include <csignal>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::integration {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

bool is_asked(const json& pod) {
  return pod.contains("/metadata/annotations/poolwarden.io~1drain"_json_pointer);
}

TEST(DrainCommand, APodAndBack) {
  CommandBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.start_pool(2, 4));
  const Said said = bench.run({"drain", "vllm-0"});
  EXPECT_EQ(said.code, 0) << said.err << bench.output();
  EXPECT_THAT(said.out,
              AllOf(HasSubstr("pod default/vllm-0: draining for "), HasSubstr("in flight not known"),
                    HasSubstr("pod default/vllm-0 is drained, and stays off the list"),
                    HasSubstr("poolwarden drain vllm-0 -n default --undo"), Not(HasSubstr("\r"))));
  EXPECT_EQ(bench.serving("vllm-0"), "drained");
  EXPECT_EQ(bench.run({"drain", "pod/vllm-0"}).code, 0) << "drained already";

  EXPECT_THAT(bench.run({"why", "vllm-0"}).out, HasSubstr("delete it: poolwarden delete vllm-0 -n default"));
  const Said undone = bench.run({"drain", "vllm-0", "--undo"});
  EXPECT_EQ(undone.code, 0) << undone.err;
  EXPECT_TRUE(bench.becomes("vllm-0", "true"));
  EXPECT_FALSE(is_asked(bench.pod("vllm-0")));
  EXPECT_THAT(bench.run({"drain", "vllm-0", "--undo"}).out, HasSubstr("nothing to undo"));
}

TEST(DrainCommand, WithoutWaiting) {
  CommandBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.start_pool(1, 60));
  const Said said = bench.run({"drain", "vllm-0", "--no-wait"});
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("asked to drain"));
  EXPECT_TRUE(bench.becomes("vllm-0", "draining"));
}

TEST(DrainCommand, TooLate) {
  CommandBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.start_pool(1, 60));
  const Said said = bench.run({"delete", "vllm-0", "--timeout=2s"});
  EXPECT_EQ(said.code, 1);
  EXPECT_THAT(said.err, AllOf(ContainsRegex("not drained within [2-9] s"), HasSubstr("has not been deleted"),
                              HasSubstr("drain vllm-0 -n default --undo")));
  EXPECT_FALSE(bench.pod("vllm-0").contains("failed")) << "never deleted before it is drained";
}

TEST(DrainCommand, Interrupted) {
  CommandBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.start_pool(1, 60));
  const auto program = bench.begin({"drain", "vllm-0"});
  ASSERT_TRUE(program->wait_for_line("draining", 20s)) << program->output();
  program->signal(SIGINT);
  EXPECT_EQ(program->wait_for_exit(10s), 130);
  EXPECT_THAT(program->output(), AllOf(HasSubstr("interrupted: pod default/vllm-0"),
                                       HasSubstr("stays asked to drain"), HasSubstr("--undo")));
  EXPECT_TRUE(is_asked(bench.pod("vllm-0")));
}

TEST(DrainCommand, CancelledBySomeoneElse) {
  CommandBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.start_pool(1, 60));
  const auto program = bench.begin({"drain", "vllm-0"});
  ASSERT_TRUE(program->wait_for_line("draining", 20s)) << program->output();
  EXPECT_EQ(bench.run({"drain", "vllm-0", "--undo"}).code, 0);
  EXPECT_EQ(program->wait_for_exit(20s), 1);
  EXPECT_THAT(program->output(), HasSubstr("someone took the request to drain it off"));
}

TEST(DrainCommand, DeletedBySomeoneElse) {
  CommandBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.start_pool(1, 60));
  const auto program = bench.begin({"delete", "vllm-0"});
  ASSERT_TRUE(program->wait_for_line("draining", 20s)) << program->output();
  bench.terminate("vllm-0");
  EXPECT_EQ(program->wait_for_exit(20s), 1);
  EXPECT_THAT(program->output(), HasSubstr("deleted by someone before it was drained"));
}

TEST(DrainCommand, ReplacedMeanwhile) {
  CommandBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.start_pool(1, 60));
  const auto program = bench.begin({"delete", "vllm-0"});
  ASSERT_TRUE(program->wait_for_line("draining", 20s)) << program->output();
  bench.request(kube::HttpMethod::kDelete, std::string(kPodsPath) + "vllm-0", {{"gracePeriodSeconds", 0}});
  bench.make_pods(1);
  EXPECT_EQ(program->wait_for_exit(20s), 0);
  EXPECT_THAT(program->output(), HasSubstr("is gone"));
  EXPECT_FALSE(is_asked(bench.pod("vllm-0"))) << "the namesake is left alone";
  EXPECT_FALSE(bench.pod("vllm-0").contains("failed"));
}

// Between the read and the write, which only the UID in the patch can tell.
TEST(DrainCommand, ReplacedBeforeItIsAsked) {
  CommandBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.start_pool(1, 60));
  bench.fault({{"fault", "delay_before"},
               {"verb", "patch"},
               {"resource", "pods"},
               {"user", "admin"},
               {"seconds", 2},
               {"count", 1}});
  const auto program = bench.begin({"drain", "vllm-0"});
  ASSERT_TRUE(eventually([&bench] {
    bool writing = false;
    bench.server().with_faults([&writing](apiserver::FaultSet& faults) { writing = faults.struck() > 0; });
    return writing;
  })) << program->output();
  bench.request(kube::HttpMethod::kDelete, std::string(kPodsPath) + "vllm-0", {{"gracePeriodSeconds", 0}});
  bench.make_pods(1);
  EXPECT_EQ(program->wait_for_exit(30s), 1) << program->output();
  EXPECT_THAT(program->output(), HasSubstr("was replaced or deleted meanwhile"));
  EXPECT_FALSE(is_asked(bench.pod("vllm-0")));
}

TEST(DrainCommand, Refused) {
  CommandBench bench;
  bench.store_pool(1, json::object());
  const auto refuse = [&bench](const std::vector<std::string>& arguments, const std::string& words) {
    const Said said = bench.run(arguments);
    EXPECT_EQ(said.code, 1) << testing::PrintToString(arguments) << said.out;
    EXPECT_THAT(said.err, HasSubstr(words));
    EXPECT_FALSE(is_asked(bench.pod("vllm-0")));
  };
  refuse({"drain", "nope"}, "there is no pod nope in namespace default, and no node of that name");
  refuse({"drain", "pod/nope"}, "there is no pod nope in namespace default");
  refuse({"drain", "node/nope"}, "there is no node nope");
  refuse({"delete", "n1"}, "there is no pod n1");

  bench.deny("patch", "pods");
  refuse({"drain", "vllm-0"}, "needs verb patch on pods in namespace default (RBAC)");
  bench.deny("get", "pods");
  refuse({"delete", "vllm-0"}, "needs verb get on pods in namespace default (RBAC)");
  bench.deny("get", "nodes");
  refuse({"drain", "nope"}, "whether a node has that name cannot be told");
  refuse({"drain", "node/n1"}, "needs verb get on nodes (RBAC)");
  bench.allow_all();

  bench.server().with_model([](apiserver::Model& model) {
    model.set_admission([](const apiserver::AdmissionRequest& request) -> std::optional<std::string> {
      if (request.verb != "patch" || request.resource != "pods") return std::nullopt;
      return "a policy of ours forbids annotations";
    });
  });
  refuse({"drain", "vllm-0"}, "a policy of ours forbids annotations");
  bench.server().with_model([](apiserver::Model& model) { model.set_admission({}); });

  bench.patch(std::string(kPodsPath) + "vllm-0", {{"metadata", {{"labels", {{"app", "other"}}}}}});
  refuse({"drain", "vllm-0"}, "is in no pool: its labels match none of vllm (app=vllm)");
  refuse({"delete", "vllm-0"}, "kubectl delete pod vllm-0 -n default deletes it at once");
}

// On these addresses nobody listens, and so who is asked refuses the connection.
TEST(LoopbackEngines, AreAskedOnlyIfAllowed) {
  struct Row {
    std::vector<std::string> flags;
    const char* told;
  };
  for (const Row& row :
       {Row{{}, "its address is 127.77.0.1: that is a loopback address, which is not asked"},
        Row{{"--allow-loopback-engines"}, "http://127.77.0.1:8000/metrics refused the connection"}}) {
    CommandBench bench;
    ASSERT_NO_FATAL_FAILURE(bench.start_pool(1, 600, row.flags));
    ASSERT_EQ(bench.run({"drain", "vllm-0", "--no-wait"}).code, 0);
    std::string told;
    EXPECT_TRUE(eventually([&] {
      told = bench.pool("vllm").value("/status/endpoints/0/message"_json_pointer, "");
      return told.find(row.told) != std::string::npos;
    })) << told;
  }
}

TEST(DrainCommand, WhatAPoolSelectsMayNotBeRead) {
  CommandBench bench;
  bench.install_crd();
  bench.make_pods(2);
  bench.create_pool("vllm", {{"scaleTargetRef", {{"name", "vllm"}}}, {"targetPorts", {{{"number", 8000}}}}});
  bench.patch(std::string(kPoolsPath) + "vllm/status", {{"status",
                                                         {{"endpoints",
                                                           {{{"pod", "vllm-0"},
                                                             {"ip", "127.77.0.1"},
                                                             {"state", "ready"},
                                                             {"since", "2026-01-01T00:00:00Z"}}}}}}});
  bench.deny("get", "deployments");
  EXPECT_EQ(bench.run({"drain", "vllm-0", "--no-wait"}).code, 0) << "the status names it";
  const Said unsure = bench.run({"drain", "vllm-1", "--no-wait"});
  EXPECT_EQ(unsure.code, 1);
  EXPECT_THAT(unsure.err,
              AllOf(HasSubstr("whether pod default/vllm-1 is in a pool cannot be told"),
                    HasSubstr("needs verb get on deployments.apps"), Not(HasSubstr("kubectl delete"))));
  EXPECT_THAT(bench.run({"why", "vllm-1"}).out, HasSubstr("may be in a pool or not"));
}

TEST(DrainCommand, AmbiguousName) {
  CommandBench bench;
  bench.store_pool(1, json::object());
  bench.request(kube::HttpMethod::kPost, "/api/v1/nodes",
                {{"apiVersion", "v1"}, {"kind", "Node"}, {"metadata", {{"name", "vllm-0"}}}});
  const Said said = bench.run({"drain", "vllm-0"});
  EXPECT_EQ(said.code, 1);
  EXPECT_THAT(said.err, HasSubstr("say pod/vllm-0 or node/vllm-0"));
  EXPECT_EQ(bench.run({"drain", "pod/vllm-0", "--no-wait"}).code, 0);
}

TEST(DrainCommand, NoOperator_TimesOut) {
  CommandBench bench;
  bench.store_pool(1, json::object());
  bench.request(kube::HttpMethod::kPost, "/api/v1/namespaces",
                {{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "poolwarden-system"}}}});
  bench.request(kube::HttpMethod::kPost, "/apis/coordination.k8s.io/v1/namespaces/poolwarden-system/leases",
                {{"apiVersion", "coordination.k8s.io/v1"},
                 {"kind", "Lease"},
                 {"metadata", {{"name", "poolwarden"}}},
                 {"spec",
                  {{"holderIdentity", "gone"},
                   {"renewTime", "2026-01-01T00:00:00.000000Z"},
                   {"leaseDurationSeconds", 15}}}});
  const Said said = bench.run({"drain", "vllm-0", "--timeout", "12s"});
  EXPECT_EQ(said.code, 1);
  EXPECT_THAT(said.err, AllOf(HasSubstr("no operator seems to run: Lease poolwarden-system/poolwarden"),
                              ContainsRegex("not drained within 1[2-9] s")));
  EXPECT_FALSE(bench.pod("vllm-0").contains("failed"));
}

TEST(DrainCommand, OutlastsAServerThatIsAwayForAWhile) {
  CommandBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.start_pool(1, 8));
  const auto program = bench.begin({"drain", "vllm-0"});
  ASSERT_TRUE(program->wait_for_line("draining", 20s)) << program->output();
  bench.server().refuse_for(2s);
  bench.server().drop_connections();
  EXPECT_EQ(program->wait_for_exit(60s), 0) << program->output();
  EXPECT_THAT(program->output(), HasSubstr("is drained"));
}

TEST(DeleteCommand, DrainsFirst) {
  CommandBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.start_pool(2, 2));
  std::string label_at_delete;
  bench.server().with_model([&label_at_delete](apiserver::Model& model) {
    model.set_admission([&label_at_delete](
                            const apiserver::AdmissionRequest& request) -> std::optional<std::string> {
      if (request.verb == "delete" && request.resource == "pods")
        label_at_delete = request.before->value("/metadata/labels/poolwarden.io~1serving"_json_pointer, "-");
      return std::nullopt;
    });
  });
  const auto program = bench.begin({"delete", "vllm-0"});
  ASSERT_TRUE(program->wait_for_line("deleted", 30s)) << program->output();
  // The kubelet's part.
  bench.request(kube::HttpMethod::kDelete, std::string(kPodsPath) + "vllm-0", {{"gracePeriodSeconds", 0}});
  EXPECT_EQ(program->wait_for_exit(20s), 0) << program->output();
  EXPECT_THAT(program->output(),
              AllOf(HasSubstr("pod default/vllm-0 deleted"), HasSubstr("pod default/vllm-0 is gone")));
  EXPECT_TRUE(bench.publishes("vllm", {"vllm-1"}));
  bench.server().with_model([&](apiserver::Model& model) {
    EXPECT_EQ(label_at_delete, "drained");
    model.set_admission({});
  });
}

TEST(DeleteCommand, ForbiddenAtTheEnd) {
  CommandBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.start_pool(1, 1));
  bench.deny("delete", "pods");
  const Said said = bench.run({"delete", "vllm-0"});
  EXPECT_EQ(said.code, 1);
  EXPECT_THAT(said.err, HasSubstr("needs verb delete on pods in namespace default (RBAC)"));
}

TEST(DrainNode, EvictsWhatIsDrained) {
  CommandBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.start_pool(2, 1));
  bench.request(kube::HttpMethod::kPost, "/api/v1/namespaces/default/pods",
                {{"apiVersion", "v1"},
                 {"kind", "Pod"},
                 {"metadata", {{"name", "other"}}},
                 {"spec", {{"nodeName", "n1"}, {"containers", {{{"name", "c"}, {"image", "i"}}}}}}});
  const auto program = bench.begin({"drain", "n1"});
  // The kubelet's part, for as long as it takes.
  EXPECT_TRUE(eventually([&] {
    for (const char* name : {"vllm-0", "vllm-1"}) {
      const json pod = bench.pod(name);
      if (!pod.contains("/metadata/deletionTimestamp"_json_pointer)) continue;
      EXPECT_EQ(pod.value("/metadata/labels/poolwarden.io~1serving"_json_pointer, "-"), "drained");
      bench.request(kube::HttpMethod::kDelete, kPodsPath + std::string(name), {{"gracePeriodSeconds", 0}});
    }
    return program->wait_for_exit(10ms).has_value();
  })) << program->output()
      << bench.output();
  EXPECT_EQ(program->wait_for_exit(1s), 0);
  EXPECT_THAT(program->output(),
              AllOf(HasSubstr("node n1: cordoned"), HasSubstr("pod default/vllm-0: evicted"),
                    HasSubstr("pod default/vllm-1: evicted"), HasSubstr("no pool pod is left on it"),
                    HasSubstr("drain node/n1 --undo")));
  EXPECT_FALSE(bench.pod("other").contains("failed")) << "what is in no pool stays";
  const json node = bench.request(kube::HttpMethod::kGet, "/api/v1/nodes/n1");
  EXPECT_TRUE(node.value("/spec/unschedulable"_json_pointer, false));

  EXPECT_EQ(bench.run({"drain", "node/n1", "--undo"}).code, 0);
  EXPECT_FALSE(bench.request(kube::HttpMethod::kGet, "/api/v1/nodes/n1")
                   .value("/spec/unschedulable"_json_pointer, false));
  EXPECT_THAT(bench.run({"drain", "node/n1", "--undo"}).out, HasSubstr("nothing to undo"));
}

TEST(DrainNode, InterruptedAndOutOfTime) {
  CommandBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.start_pool(1, 120));
  const Said late = bench.run({"drain", "node/n1", "--timeout=1"});
  EXPECT_EQ(late.code, 1);
  EXPECT_THAT(late.err, AllOf(HasSubstr("not emptied within 1 s"), HasSubstr("stays cordoned"),
                              HasSubstr("1 left on it")));
  const auto program = bench.begin({"drain", "node/n1"});
  ASSERT_TRUE(program->wait_for_line("pod default/vllm-0: draining", 20s)) << program->output();
  program->signal(SIGTERM);
  EXPECT_EQ(program->wait_for_exit(10s), 130);
  EXPECT_THAT(program->output(),
              AllOf(HasSubstr("cordoned already"), HasSubstr("interrupted: node n1 stays cordoned"),
                    HasSubstr("drain node/n1 --undo")));
}

TEST(DrainNode, Forbidden) {
  CommandBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.start_pool(1, 1));
  const auto refuse = [&bench](const char* verb, const char* resource, const char* words) {
    bench.deny(verb, resource);
    const Said said = bench.run({"drain", "node/n1", "--timeout=30s"});
    EXPECT_EQ(said.code, 1) << said.out;
    EXPECT_THAT(said.err, HasSubstr(words));
    bench.allow_all();
  };
  refuse("patch", "nodes", "needs verb patch on nodes (RBAC)");
  refuse("create", "pods/eviction", "needs verb create on pods/eviction in namespace default (RBAC)");
}

}  // namespace
}  // namespace poolwarden::integration
