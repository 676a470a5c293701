#include "operator_bench.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <thread>

#include <fmt/format.h>
#include <httplib.h>

namespace poolwarden::integration {
namespace {

using namespace std::chrono_literals;

constexpr const char* kPools = "/apis/poolwarden.io/v1alpha1/namespaces/default/inferencepools";
constexpr const char* kPods = "/api/v1/namespaces/default/pods";

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

bool eventually(const std::function<bool()>& holds, std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(20ms);
  }
  return true;
}

OperatorBench::OperatorBench(apiserver::ServerOptions options) {
  std::string name = (std::filesystem::temp_directory_path() / "operator-test-XXXXXX").string();
  directory_ = ::mkdtemp(name.data());
  options.directory = directory_;
  auto started = apiserver::Server::start(std::move(options));
  if (!started) throw std::runtime_error(started.error());
  server_ = std::move(*started);
}

OperatorBench::~OperatorBench() {
  program_.reset();
  server_.reset();
  std::filesystem::remove_all(directory_);
}

std::string OperatorBench::kubeconfig() const {
  return server_->kubeconfig_path();
}

void OperatorBench::write_file(const std::string& name, const std::string& text) const {
  std::ofstream(directory_ + "/" + name) << text;
}

std::unique_ptr<cluster::RunningProgram> OperatorBench::launch(const std::vector<std::string>& flags,
                                                               const std::string& log_to) const {
  cluster::SpawnSpec spec;
  spec.argv = {POOLWARDEN,
               "operator",
               "--kubeconfig",
               kubeconfig(),
               "--metrics-bind-address=127.0.0.1:0",
               "--health-probe-bind-address=127.0.0.1:0"};
  spec.argv.insert(spec.argv.end(), flags.begin(), flags.end());
  if (!log_to.empty()) {
    std::string command = "exec \"$@\" 2>" + log_to;
    std::vector<std::string> wrapped = {"/bin/sh", "-c", command, "sh"};
    wrapped.insert(wrapped.end(), spec.argv.begin(), spec.argv.end());
    spec.argv = std::move(wrapped);
  }
  auto program = cluster::RunningProgram::start(spec);
  if (!program) throw std::runtime_error(program.error());
  return std::move(*program);
}

void OperatorBench::start(const std::vector<std::string>& flags, const std::string& log_to) {
  program_ = launch(flags, log_to);
}

void OperatorBench::stop() {
  program_->signal(SIGTERM);
  const auto code = program_->wait_for_exit(30s);
  ASSERT_TRUE(code) << "it does not end\n" << output();
  EXPECT_EQ(*code, 0) << output();
}

json OperatorBench::request(kube::HttpMethod method, const std::string& target, const json& body,
                            const std::string& content_type) {
  kube::HttpRequest request;
  request.method = method;
  request.target = target;
  if (!body.is_null()) {
    request.body = body.dump();
    request.content_type = content_type;
  }
  const auto answer = server_->request(request);
  auto document = json::parse(answer.body, nullptr, false);
  if (answer.status >= 300) return {{"failed", answer.status}, {"body", answer.body}};
  return document;
}

void OperatorBench::install_crd() {
  server_->with_model([](apiserver::Model& model) {
    const auto loaded = model.load(read_file(POOLWARDEN_CRD), std::chrono::system_clock::now());
    ASSERT_TRUE(loaded) << loaded.error();
  });
}

void OperatorBench::create_pool(const std::string& name, const json& spec) {
  const json made = request(kube::HttpMethod::kPost, kPools,
                            {{"apiVersion", "poolwarden.io/v1alpha1"},
                             {"kind", "InferencePool"},
                             {"metadata", {{"name", name}}},
                             {"spec", spec}});
  ASSERT_FALSE(made.contains("failed")) << made.dump();
}

void OperatorBench::create_pods(int count) {
  const json node = {{"apiVersion", "v1"}, {"kind", "Node"}, {"metadata", {{"name", "n1"}}}};
  request(kube::HttpMethod::kPost, "/api/v1/nodes", node);
  for (int i = 0; i < count; ++i) {
    const std::string name = "vllm-" + std::to_string(i);
    const std::string ip = "127.77.1." + std::to_string(i + 1);
    request(kube::HttpMethod::kPost, kPods,
            {{"apiVersion", "v1"},
             {"kind", "Pod"},
             {"metadata", {{"name", name}, {"labels", {{"app", "vllm"}}}}},
             {"spec", {{"nodeName", "n1"}, {"containers", {{{"name", "c"}, {"image", "i"}}}}}}});
    request(kube::HttpMethod::kPatch, std::string(kPods) + "/" + name + "/status",
            {{"status",
              {{"phase", "Running"},
               {"podIP", ip},
               {"podIPs", {{{"ip", ip}}}},
               {"conditions", {{{"type", "Ready"}, {"status", "True"}}}}}}},
            "application/merge-patch+json");
  }
}

void OperatorBench::terminate(const std::string& pod) {
  request(kube::HttpMethod::kDelete, std::string(kPods) + "/" + pod, {{"gracePeriodSeconds", 3600}});
}

json OperatorBench::pool(const std::string& name) {
  return request(kube::HttpMethod::kGet, std::string(kPools) + "/" + name);
}

std::string OperatorBench::condition(const std::string& name, const std::string& type) {
  for (const json& each : pool(name).value("/status/conditions"_json_pointer, json::array())) {
    if (each.value("type", "") != type) continue;
    return fmt::format("{} {}: {}", each.value("status", ""), each.value("reason", ""),
                       each.value("message", ""));
  }
  return "none";
}

std::vector<std::string> OperatorBench::endpoints(const std::string& name) {
  const json map =
      request(kube::HttpMethod::kGet, "/api/v1/namespaces/default/configmaps/" + name + "-endpoints");
  const json document = json::parse(map.value("/data/endpoints.json"_json_pointer, "null"), nullptr, false);
  std::vector<std::string> pods;
  if (!document.is_object()) return pods;
  for (const json& each : document.at("endpoints")) pods.push_back(each.at("pod"));
  return pods;
}

bool OperatorBench::publishes(const std::string& name, const std::vector<std::string>& pods) {
  return eventually([&] { return endpoints(name) == pods; });
}

void OperatorBench::fault(const json& rule) {
  const auto parsed = apiserver::parse_fault_rule(json::parse(rule.dump()));
  ASSERT_TRUE(parsed) << parsed.error();
  server_->with_faults([&parsed](apiserver::FaultSet& faults) { faults.add(*parsed); });
}

std::string OperatorBench::probe(const std::string& log, const std::string& path) {
  static const std::regex kPort("probe_port=\"?([0-9]+)");
  std::smatch port;
  if (!std::regex_search(log, port, kPort)) return "not started";
  httplib::Client client("127.0.0.1", std::stoi(port[1]));
  const auto answer = client.Get(path);
  return answer ? fmt::format("{} {}", answer->status, answer->body) : "no answer";
}

}  // namespace poolwarden::integration
