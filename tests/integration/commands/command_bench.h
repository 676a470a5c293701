// Runs a command of the real binary, as a person would, against an OperatorBench's API server.
#pragma once

#include "integration/operator/operator_bench.h"
#include "support/cluster/running_program.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace poolwarden::integration {

struct Said {
  int code = -1;
  std::string out;
  std::string err;
};

class CommandBench : public OperatorBench {
 public:
  explicit CommandBench(apiserver::ServerOptions options = {}) : OperatorBench(std::move(options)) {}

  // With --kubeconfig, to its end.
  Said run(std::vector<std::string> arguments);
  // In the background; both streams are its output().
  std::unique_ptr<cluster::RunningProgram> begin(std::vector<std::string> arguments);
  // Any program and environment.
  Said run_program(std::vector<std::string> argv, std::vector<std::pair<std::string, std::string>> env = {});

  // As create_pods(), with addresses on loopback where nobody listens: engines that cannot be read.
  void make_pods(int count);
  // A pool "vllm" of app=vllm with `count` pods, drained within `seconds`; and the operator.
  void start_pool(int count, int seconds, const std::vector<std::string>& flags = {});
  // The same as objects alone, with that status, and no operator.
  void store_pool(int count, const json& status);

  json pod(const std::string& name);
  std::string serving(const std::string& pod);  // the label, or "-"
  bool becomes(const std::string& pod, const std::string& serving);
  void load(const std::string& manifest);  // a file
  void patch(const std::string& target, const json& body);
  void deny(const std::string& verb, const std::string& resource);
  void allow_all();
};

inline constexpr const char* kPodsPath = "/api/v1/namespaces/default/pods/";
inline constexpr const char* kPoolsPath = "/apis/poolwarden.io/v1alpha1/namespaces/default/inferencepools/";

}  // namespace poolwarden::integration
