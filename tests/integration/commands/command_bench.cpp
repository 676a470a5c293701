#include "command_bench.h"

#include <fstream>

namespace poolwarden::integration {
namespace {

using namespace std::chrono_literals;

std::string read_all(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

Said CommandBench::run_program(std::vector<std::string> argv,
                               std::vector<std::pair<std::string, std::string>> env) {
  cluster::SpawnSpec spec;
  spec.argv = {"/bin/sh",
               "-c",
               "out=$1 err=$2; shift 2; exec \"$@\" >\"$out\" 2>\"$err\"",
               "sh",
               directory() + "/out",
               directory() + "/err"};
  spec.argv.insert(spec.argv.end(), argv.begin(), argv.end());
  spec.env = std::move(env);
  Said said;
  auto program = cluster::RunningProgram::start(spec);
  if (!program) {
    ADD_FAILURE() << program.error();
    return said;
  }
  said.code = (*program)->wait_for_exit(90s).value_or(-1);
  said.out = read_all(directory() + "/out");
  said.err = read_all(directory() + "/err");
  return said;
}

Said CommandBench::run(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), POOLWARDEN);
  arguments.insert(arguments.end(), {"--kubeconfig", kubeconfig()});
  return run_program(std::move(arguments));
}

std::unique_ptr<cluster::RunningProgram> CommandBench::begin(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), POOLWARDEN);
  arguments.insert(arguments.end(), {"--kubeconfig", kubeconfig()});
  auto program = cluster::RunningProgram::start({.argv = std::move(arguments), .env = {}});
  if (!program) {
    ADD_FAILURE() << program.error();
    return nullptr;
  }
  return std::move(*program);
}

void CommandBench::make_pods(int count) {
  create_pods(count);
  for (int i = 0; i < count; ++i) {
    const std::string ip = "127.77.0." + std::to_string(i + 1);
    patch(kPodsPath + ("vllm-" + std::to_string(i)) + "/status",
          {{"status", {{"podIP", ip}, {"podIPs", {{{"ip", ip}}}}}}});
  }
}

void CommandBench::start_pool(int count, int seconds, const std::vector<std::string>& flags) {
  install_crd();
  make_pods(count);
  create_pool("vllm", {{"selector", {{"matchLabels", {{"app", "vllm"}}}}},
                       {"targetPorts", {{{"number", 8000}}}},
                       {"drain", {{"timeoutSeconds", seconds}}}});
  start(flags);
  for (int i = 0; i < count; ++i) ASSERT_TRUE(becomes("vllm-" + std::to_string(i), "true")) << output();
}

void CommandBench::store_pool(int count, const json& status) {
  install_crd();
  make_pods(count);
  create_pool("vllm",
              {{"selector", {{"matchLabels", {{"app", "vllm"}}}}}, {"targetPorts", {{{"number", 8000}}}}});
  patch(std::string(kPoolsPath) + "vllm/status", {{"status", status}});
}

json CommandBench::pod(const std::string& name) {
  return request(kube::HttpMethod::kGet, kPodsPath + name);
}

std::string CommandBench::serving(const std::string& name) {
  return pod(name).value("/metadata/labels/poolwarden.io~1serving"_json_pointer, "-");
}

bool CommandBench::becomes(const std::string& name, const std::string& wanted) {
  return eventually([&] { return serving(name) == wanted; }, 30s);
}

void CommandBench::load(const std::string& manifest) {
  server().with_model([&](apiserver::Model& model) {
    const auto loaded = model.load(read_all(manifest), std::chrono::system_clock::now());
    ASSERT_TRUE(loaded) << loaded.error();
  });
}

void CommandBench::patch(const std::string& target, const json& body) {
  const json made = request(kube::HttpMethod::kPatch, target, body, "application/merge-patch+json");
  ASSERT_FALSE(made.contains("failed")) << made.dump();
}

void CommandBench::deny(const std::string& verb, const std::string& resource) {
  server().with_model([&](apiserver::Model& model) { model.set_deny_rules({{"", verb, resource}}); });
}

void CommandBench::allow_all() {
  server().with_model([](apiserver::Model& model) { model.set_deny_rules({}); });
}

}  // namespace poolwarden::integration
