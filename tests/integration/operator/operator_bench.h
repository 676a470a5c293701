// The real binary against the stand-in API server over TLS, and the few things a test does to both.
//
// Pods are written by the test as a kubelet would write them. Everything is on loopback; the operator ends
// with the object.
#pragma once

#include "support/apiserver/server.h"
#include "support/cluster/running_program.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::integration {

using nlohmann::json;

bool eventually(const std::function<bool()>& holds,
                std::chrono::milliseconds patience = std::chrono::seconds(60));

class OperatorBench {
 public:
  explicit OperatorBench(apiserver::ServerOptions options = {});
  ~OperatorBench();

  apiserver::Server& server() { return *server_; }
  std::string kubeconfig() const;
  const std::string& directory() const { return directory_; }
  void write_file(const std::string& name, const std::string& text) const;

  // Starts the operator with these flags after the usual ones. stderr goes to `log_to` if given.
  void start(const std::vector<std::string>& flags = {}, const std::string& log_to = {});
  // Another one beside it, which ends with the value.
  std::unique_ptr<cluster::RunningProgram> launch(const std::vector<std::string>& flags = {},
                                                  const std::string& log_to = {}) const;
  cluster::RunningProgram& program() { return *program_; }
  std::string output() const { return program_ ? program_->output() : std::string(); }
  void stop();  // SIGTERM, and its exit code must be 0

  json request(kube::HttpMethod method, const std::string& target, const json& body = nullptr,
               const std::string& content_type = "application/json");
  void install_crd();
  void create_pool(const std::string& name, const json& spec);
  void create_pods(int count);  // "vllm-0" ..., ready, labelled app=vllm
  void terminate(const std::string& pod);
  json pool(const std::string& name);
  std::string condition(const std::string& pool, const std::string& type);  // "False NameTaken: message"
  std::vector<std::string> endpoints(const std::string& pool);
  std::size_t count(const std::string& pool) { return endpoints(pool).size(); }
  bool publishes(const std::string& pool, const std::vector<std::string>& pods);

  void fault(const json& rule);
  // One probe endpoint's answer, with its status in front: "200 ok".
  std::string probe(const std::string& path) { return probe(output(), path); }
  static std::string probe(const std::string& log,
                           const std::string& path);  // of the one that wrote that log

 private:
  std::string directory_;
  std::unique_ptr<apiserver::Server> server_;
  std::unique_ptr<cluster::RunningProgram> program_;
};

}  // namespace poolwarden::integration
