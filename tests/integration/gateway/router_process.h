// A real router with a worker API under test, from its PyPI wheel (scripts/router.sh), and inference servers
// for it, on loopback addresses that no other process of the tests uses. Ended with SIGKILL.
#pragma once

#include "gateway/http_exchange.h"
#include "gateway/worker_answers.h"
#include "test_process.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace httplib {  // NOLINT(readability-identifier-naming)
class Server;
}

namespace poolwarden::gateway {

class RouterProcess {
 public:
  explicit RouterProcess(WorkerDialect dialect);  // nothing runs yet

  // Why it cannot be had here, for a skipped test.
  std::optional<std::string> missing() const;
  void start();  // returns once it lists its workers
  void kill() { process_.kill(); }

  HttpTarget target() const { return {ip_, kPort}; }
  static constexpr std::uint16_t kPort = 30000;
  std::vector<ObservedWorker> workers() const;
  // Serving, as the router says.
  bool has(const std::string& ip) const;
  std::string log() const;

 private:
  const WorkerDialect dialect_;
  const TempDir directory_;
  const std::string ip_;
  std::string program_;
  TestProcess process_;
};

// An inference server as routers ask for one: /health, /v1/models, /v1/completions, also as a stream.
class Engine {
 public:
  explicit Engine(std::string name, std::chrono::milliseconds health_takes = std::chrono::milliseconds(0));
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  static constexpr std::uint16_t kPort = 8000;
  const std::string& name() const { return name_; }
  const std::string& ip() const { return ip_; }
  int requests() const { return requests_; }
  std::chrono::steady_clock::time_point last_request() const;
  void go_on() { released_ = true; }        // streams end
  int streams() const { return streams_; }  // begun

 private:
  const std::string name_;
  const std::string ip_;
  const std::unique_ptr<httplib::Server> server_;
  std::atomic<int> requests_{0};
  std::atomic<int> streams_{0};
  std::atomic<bool> released_{false};
  mutable std::mutex mutex_;
  std::chrono::steady_clock::time_point last_request_;
  std::thread thread_;
};

// One request through the router: the status, and which engine answered.
struct Completion {
  int status = 0;
  std::string text;
};
Completion complete(const HttpTarget& router, bool stream = false);

}  // namespace poolwarden::gateway
