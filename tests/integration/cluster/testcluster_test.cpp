// A cluster of real processes on loopback, driven through its API and by kubectl.
#include "support/apiserver/json_util.h"
#include "support/cluster/pod_facts.h"
#include "support/cluster/running_program.h"
#include "support/cluster/test_cluster.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <signal.h>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <nlohmann/json.hpp>

namespace poolwarden::cluster {
namespace {

using namespace std::chrono_literals;
using apiserver::text_at;
using nlohmann::json;
using testing::HasSubstr;

constexpr auto kPatience = 60s;

std::string deployment(const std::string& container_more = {}, const std::string& args = {}) {
  return fmt::format(R"(
apiVersion: apps/v1
kind: Deployment
metadata: {{name: vllm, namespace: default}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: vllm}}}}
  template:
    metadata: {{labels: {{app: vllm}}}}
    spec:
      terminationGracePeriodSeconds: 20
      containers:
      - name: server
        image: vllm/vllm-openai:v0.18.0
        args: ["--port", "8000"{}]
        ports: [{{name: http, containerPort: 8000}}]
        readinessProbe: {{httpGet: {{path: /health, port: http}}, periodSeconds: 1}}
{})",
                     args, container_more);
}

bool eventually(const std::function<bool()>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(20ms);
  }
  return true;
}

class Cluster : public testing::Test {
 protected:
  void SetUp() override {
    TestClusterOptions options;
    options.images["vllm-openai"] = {VLLM_SIM, "--host", "$(POD_IP)"};
    auto started = TestCluster::start(std::move(options));
    ASSERT_TRUE(started) << started.error();
    cluster_ = std::move(*started);
  }

  void apply(const std::string& yaml) {
    const auto loaded = cluster_->load(yaml);
    ASSERT_TRUE(loaded) << loaded.error();
  }
  std::vector<json> pods() {
    std::vector<json> result;
    cluster_->server().with_model([&](Model& model) {
      for (const ObjectPtr& pod : model.list(kube::kPods, "default")) result.push_back(pod->body());
    });
    return result;
  }
  std::vector<json> ready_pods() {
    std::vector<json> result = pods();
    std::erase_if(result, [](const json& pod) { return !is_ready(pod) || is_deleting(pod); });
    return result;
  }
  bool wait_for_ready(std::size_t count) {
    return eventually([&] { return ready_pods().size() == count && pods().size() == count; });
  }
  int request(kube::HttpMethod method, const std::string& target, const json& body = nullptr) {
    kube::HttpRequest what;
    what.method = method;
    what.target = target;
    if (!body.is_null()) {
      what.body = body.dump();
      what.content_type = "application/merge-patch+json";
    }
    return cluster_->server().request(what).status;
  }
  static httplib::Result complete(const json& pod, int tokens) {
    httplib::Client client(text_at(pod, {"status", "podIP"}), 8000);
    client.set_read_timeout(kPatience);
    const json body = {{"model", "facebook/opt-125m"}, {"prompt", "hi"}, {"max_tokens", tokens}};
    return client.Post("/v1/completions", body.dump(), "application/json");
  }
  static std::string name_of(const json& pod) { return text_at(pod, {"metadata", "name"}); }

  std::unique_ptr<TestCluster> cluster_;
};

TEST_F(Cluster, PodsServeOnAddressesOfTheirOwnAndKnowTheirNames) {
  apply(deployment());
  ASSERT_TRUE(wait_for_ready(2));
  std::set<std::string> addresses;
  for (const json& pod : ready_pods()) {
    const auto answer = complete(pod, 1);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->get_header_value("x-inference-pod"), name_of(pod));
    addresses.insert(text_at(pod, {"status", "podIP"}));
  }
  EXPECT_EQ(addresses.size(), 2U);
}

TEST_F(Cluster, ScalesAndReplaces) {
  apply(deployment());
  ASSERT_TRUE(wait_for_ready(2));
  EXPECT_EQ(request(kube::HttpMethod::kPatch, kube::resource_path(kube::kDeployments, "default", "vllm"),
                    {{"spec", {{"replicas", 3}}}}),
            200);
  ASSERT_TRUE(wait_for_ready(3));
  const std::string gone = name_of(pods().front());
  EXPECT_EQ(request(kube::HttpMethod::kDelete, kube::resource_path(kube::kPods, "default", gone)), 200);
  ASSERT_TRUE(wait_for_ready(3));
  for (const json& pod : pods()) EXPECT_NE(name_of(pod), gone);
}

TEST_F(Cluster, APreStopSleepDelaysSigterm) {
  apply(deployment("        lifecycle: {preStop: {sleep: {seconds: 3}}}\n"));
  ASSERT_TRUE(wait_for_ready(2));
  const json pod = ready_pods().front();
  const auto asked = std::chrono::steady_clock::now();
  ASSERT_EQ(request(kube::HttpMethod::kDelete, kube::resource_path(kube::kPods, "default", name_of(pod))),
            200);
  EXPECT_TRUE(complete(pod, 1)) << "it still serves while preStop sleeps";
  const auto is_gone = [&] {
    const auto all = pods();
    return std::none_of(all.begin(), all.end(),
                        [&](const json& each) { return name_of(each) == name_of(pod); });
  };
  EXPECT_TRUE(eventually(is_gone));
  const auto took = std::chrono::steady_clock::now() - asked;
  EXPECT_GE(took, 2900ms);
}

TEST_F(Cluster, AnExecPreStopIsRunInThePodsEnvironment) {
  const std::string mark = fmt::format("{}/prestop-{}", testing::TempDir(), ::getpid());
  apply(deployment(fmt::format(
      "        lifecycle: {{preStop: {{exec: {{command: [\"sh\", \"-c\", \"echo $POD_NAME > {}\"]}}}}}}\n",
      mark)));
  ASSERT_TRUE(wait_for_ready(2));
  const std::string pod = name_of(ready_pods().front());
  ASSERT_EQ(request(kube::HttpMethod::kDelete, kube::resource_path(kube::kPods, "default", pod)), 200);
  EXPECT_TRUE(eventually([&] {
    std::string said;
    std::ifstream(mark) >> said;
    return said == pod;
  }));
  std::filesystem::remove(mark);
}

TEST_F(Cluster, AProcessThatIgnoresSigtermIsKilledAfterItsGrace) {
  apply(R"(
apiVersion: v1
kind: Pod
metadata: {name: stubborn, namespace: default}
spec:
  terminationGracePeriodSeconds: 2
  containers:
  - {name: c, image: none, command: ["sh", "-c", "trap '' TERM; while true; do sleep 1; done"]}
)");
  ASSERT_TRUE(wait_for_ready(1));
  ASSERT_EQ(request(kube::HttpMethod::kDelete, kube::resource_path(kube::kPods, "default", "stubborn")), 200);
  EXPECT_TRUE(eventually([&] { return pods().empty(); }));
}

TEST_F(Cluster, ACrashingContainerIsRestartedLaterAndLater) {
  apply(R"(
apiVersion: v1
kind: Pod
metadata: {name: flaky, namespace: default}
spec:
  containers:
  - {name: c, image: none, command: ["sh", "-c", "echo I fail; exit 3"]}
)");
  EXPECT_TRUE(eventually([&] {
    const auto all = pods();
    const json* status =
        all.empty() ? nullptr : apiserver::find_path(all[0], {"status", "containerStatuses"});
    return status != nullptr && !status->empty() &&
           text_at((*status)[0], {"state", "waiting", "reason"}) == "CrashLoopBackOff" &&
           apiserver::int_at((*status)[0], {"lastState", "terminated", "exitCode"}) == 3;
  }));
}

TEST_F(Cluster, AnUnknownImageSaysHowToNameIt) {
  apply(R"(
apiVersion: v1
kind: Pod
metadata: {name: lost, namespace: default}
spec: {containers: [{name: c, image: "no/such:image"}]}
)");
  EXPECT_TRUE(eventually([&] {
    const auto all = pods();
    const json* status =
        all.empty() ? nullptr : apiserver::find_path(all[0], {"status", "containerStatuses"});
    return status != nullptr && !status->empty() &&
           text_at((*status)[0], {"state", "waiting", "message"}).find("--image") != std::string::npos;
  }));
}

TEST_F(Cluster, HollowPodsHaveAStatusAndNoProcess) {
  apply(R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: many, namespace: default}
spec:
  replicas: 50
  selector: {matchLabels: {app: many}}
  template:
    metadata: {labels: {app: many}}
    spec: {containers: [{name: c, image: hollow}]}
)");
  EXPECT_TRUE(wait_for_ready(50));
}

// The binary, as the demo and people use it.
class Binary : public testing::Test {
 protected:
  void start(const std::vector<std::string>& options) {
    directory_ = fmt::format("{}/testcluster-{}", testing::TempDir(), ::getpid());
    kubeconfig_ = directory_ + ".kubeconfig";
    SpawnSpec spec{{TESTCLUSTER, "--kubeconfig", kubeconfig_, "--directory", directory_, "--image",
                    std::string("vllm-openai=") + VLLM_SIM + " --host $(POD_IP)"},
                   {}};
    spec.argv.insert(spec.argv.end(), options.begin(), options.end());
    auto started = RunningProgram::start(spec);
    ASSERT_TRUE(started) << started.error();
    program_ = std::move(*started);
    ASSERT_TRUE(program_->wait_for_line("get pods", kPatience)) << program_->output();
  }

  // What a command prints, if it ends well.
  std::optional<std::string> kubectl(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"kubectl", "--kubeconfig", kubeconfig_});
    auto program = RunningProgram::start({arguments, {}});
    if (!program) return std::nullopt;
    const auto code = (*program)->wait_for_exit(kPatience);
    return code == 0 ? std::optional((*program)->output()) : std::nullopt;
  }
  static bool has_kubectl() {
    auto program = RunningProgram::start({{"kubectl", "version", "--client"}, {}});
    return program && (*program)->wait_for_exit(kPatience) == 0;
  }

  void TearDown() override {
    program_.reset();
    std::filesystem::remove_all(directory_);
    std::filesystem::remove(kubeconfig_);
  }

  std::string directory_;
  std::string kubeconfig_;
  std::unique_ptr<RunningProgram> program_;
};

TEST_F(Binary, IsDrivenByKubectl) {
  if (!has_kubectl()) GTEST_SKIP() << "kubectl is not installed";
  start({});
  const std::string file = fmt::format("{}/vllm-{}.yaml", testing::TempDir(), ::getpid());
  std::ofstream(file) << deployment();
  ASSERT_TRUE(kubectl({"apply", "-f", file}));
  ASSERT_TRUE(kubectl({"rollout", "status", "deployment/vllm", "--timeout=50s"}));
  auto follow = RunningProgram::start(
      {{"kubectl", "--kubeconfig", kubeconfig_, "logs", "--prefix", "-l", "app=vllm", "-f"}, {}});
  ASSERT_TRUE(follow) << follow.error();
  ASSERT_TRUE((*follow)->wait_for_line("vllm-sim", kPatience));
  const auto ips = kubectl({"get", "pods", "-o", "jsonpath={.items[*].status.podIP}"});
  ASSERT_TRUE(ips);
  httplib::Client client(ips->substr(0, ips->find_first_of(" \n")), 8000);
  client.set_read_timeout(kPatience);
  ASSERT_TRUE(client.Post("/v1/completions", R"({"model": "facebook/opt-125m", "prompt": "hi"})",
                          "application/json"));
  const auto line = (*follow)->wait_for_line("\"POST /v1/completions HTTP/1.1\" 200 OK", kPatience);
  ASSERT_TRUE(line) << (*follow)->output();
  EXPECT_THAT(*line, HasSubstr("[pod/vllm-"));
  ASSERT_TRUE(kubectl({"scale", "deployment/vllm", "--replicas=1"}));
  ASSERT_TRUE(kubectl({"rollout", "restart", "deployment/vllm"}));
  ASSERT_TRUE(kubectl({"rollout", "status", "deployment/vllm", "--timeout=50s"}));
  const auto history = kubectl({"rollout", "history", "deployment/vllm"});
  ASSERT_TRUE(history);
  EXPECT_THAT(*history, HasSubstr("2"));
  ASSERT_TRUE(kubectl({"delete", "pod", "-l", "app=vllm", "--timeout=50s"}));
  std::filesystem::remove(file);
}

// The processes whose command line contains `text`.
std::set<std::string> processes_with(const std::string& text) {
  std::set<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "cmdline");
    const std::string line{std::istreambuf_iterator<char>(file), {}};
    if (line.find(text) != std::string::npos) found.insert(entry.path().filename());
  }
  return found;
}

class NothingOutlivesIt : public Binary, public testing::WithParamInterface<int> {};

TEST_P(NothingOutlivesIt, AfterTheSignal) {
  // A mark by which the pods of this very cluster are known.
  const std::string mark = fmt::format("mark-{}-{}", ::getpid(), GetParam());
  const std::string file = fmt::format("{}/{}.yaml", testing::TempDir(), mark);
  std::ofstream(file) << deployment({}, fmt::format(R"(, "--served-model-name", "{}")", mark));
  start({"--apply", file});
  const auto running = [&] {
    auto found = processes_with(mark);
    found.erase(std::to_string(program_->pid()));  // it has the file's name on its own command line
    return found;
  };
  EXPECT_TRUE(eventually([&] { return running().size() == 2; }));
  program_->signal(GetParam());
  EXPECT_TRUE(program_->wait_for_exit(kPatience));
  EXPECT_TRUE(eventually([&] { return running().empty(); }));
  EXPECT_EQ(std::filesystem::exists(kubeconfig_), GetParam() == SIGKILL);
  std::filesystem::remove(file);
}

INSTANTIATE_TEST_SUITE_P(Signals, NothingOutlivesIt, testing::Values(SIGTERM, SIGINT, SIGKILL));

}  // namespace
}  // namespace poolwarden::cluster
