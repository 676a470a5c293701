// What the real operator costs and how fast it is, as a process of its own: its memory with so many pods, how
// long a start takes until everything is published, and, for pods deleted at a steady rate, the time from the
// DELETE request to the stored ConfigMap without the pod, and CPU for each delete. It talks HTTP and TLS to
// the stand-in API server, which runs in this process on the same machine: its own share is in the latencies.
#include "bench/hollow_pod.h"
#include "support/apiserver/server.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <signal.h>
#include <spawn.h>
#include <sstream>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

extern char** environ;

namespace {

using poolwarden::apiserver::AdmissionRequest;
using poolwarden::apiserver::Model;
using poolwarden::apiserver::Server;
using poolwarden::apiserver::ServerOptions;
using poolwarden::bench::HollowPod;
using poolwarden::kube::HttpMethod;
using poolwarden::kube::HttpRequest;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kPodsOfAnOther = 10;  // workload that no pool selects

struct Options {
  std::string operator_path;
  int pools = 20;
  int pods_per_pool = 50;
  int deletes = 200;
  int per_second = 50;
  int other_pods = 0;  // that no pool selects
};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// The operator as a child; killed with us.
class Operator {
 public:
  Operator(const std::string& path, const std::string& kubeconfig, const std::string& log) {
    std::vector<std::string> words = {path,
                                      "operator",
                                      "--kubeconfig",
                                      kubeconfig,
                                      "--metrics-bind-address",
                                      "0",
                                      "--health-probe-bind-address",
                                      "0"};
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    const int failed = ::posix_spawn(&pid_, path.c_str(), &files, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    if (failed != 0) throw std::runtime_error(fmt::format("cannot start {}: error {}", path, failed));
  }
  ~Operator() {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
    if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
  }
  Operator(const Operator&) = delete;
  Operator& operator=(const Operator&) = delete;

  // The exit code after SIGTERM.
  int stop() {
    int status = 0;
    ::kill(pid_, SIGTERM);
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  // "VmRSS" or "VmHWM" of /proc/<pid>/status, in MiB.
  double memory_mib(const std::string& field) const {
    std::istringstream status(read_file(fmt::format("/proc/{}/status", pid_)));
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with(field + ":")) return std::strtod(line.c_str() + field.size() + 1, nullptr) / 1024;
    }
    throw std::runtime_error("the operator is gone; see its log");
  }
  double cpu_seconds() const {
    const std::string stat = read_file(fmt::format("/proc/{}/stat", pid_));
    std::istringstream fields(stat.substr(stat.rfind(')') + 1));
    std::vector<std::string> values{std::istream_iterator<std::string>(fields), {}};
    return (std::stod(values.at(11)) + std::stod(values.at(12))) /
           static_cast<double>(::sysconf(_SC_CLK_TCK));
  }

 private:
  pid_t pid_ = -1;
};

std::string pool_name(int pool) {
  return fmt::format("pool-{}", pool);
}

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options) {
    directory_ = std::filesystem::temp_directory_path() / fmt::format("poolwarden-bench-{}", ::getpid());
    ServerOptions server;
    server.directory = directory_.string();
    auto started = Server::start(server);
    if (!started) throw std::runtime_error(started.error());
    server_ = std::move(*started);
    fill();
    server_->with_model([this](Model& model) {
      model.set_admission([this](const AdmissionRequest& write) {
        saw(write);
        return std::nullopt;
      });
    });
  }
  ~Bench() {
    server_->stop();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  void run() {
    const auto start = Clock::now();
    Operator process(options_.operator_path, server_->kubeconfig_path(),
                     (directory_ / "operator.log").string());
    wait_until("every endpoint is published",
               [this] { return published_ == options_.pools * options_.pods_per_pool; });
    const double cold_start = seconds_since(start);
    wait_for_rest();
    const double resident = process.memory_mib("VmRSS");
    const double cpu = process.cpu_seconds();
    delete_pods();
    const double cpu_each = (process.cpu_seconds() - cpu) * 1000 / options_.deletes;
    report(resident, process.memory_mib("VmHWM"), cold_start, cpu_each);
    if (const int code = process.stop(); code != 0)
      throw std::runtime_error(fmt::format("it ended with {}", code));
  }

 private:
  nlohmann::json request(HttpMethod method, std::string target, const nlohmann::json& body = nullptr) {
    HttpRequest request;
    request.method = method;
    request.target = std::move(target);
    if (!body.is_null()) {
      request.body = body.dump();
      request.content_type = "application/json";
    }
    const auto answer = server_->request(request);
    if (answer.status >= 300) throw std::runtime_error(fmt::format("{}: {}", request.target, answer.body));
    return nlohmann::json::parse(answer.body);
  }

  void fill() {
    server_->with_model([](Model& model) {
      const auto loaded = model.load(read_file(POOLWARDEN_CRD), std::chrono::system_clock::now());
      if (!loaded) throw std::runtime_error(loaded.error());
    });
    for (int node = 0; node < poolwarden::bench::kNodes; ++node) {
      nlohmann::json object = poolwarden::bench::node_object(node);
      object["metadata"].erase("uid");
      object["metadata"].erase("resourceVersion");
      request(HttpMethod::kPost, "/api/v1/nodes", object);
    }
    for (int pool = 0; pool < options_.pools; ++pool) {
      request(HttpMethod::kPost, "/apis/poolwarden.io/v1alpha1/namespaces/default/inferencepools",
              {{"apiVersion", "poolwarden.io/v1alpha1"},
               {"kind", "InferencePool"},
               {"metadata", {{"name", pool_name(pool)}}},
               {"spec",
                {{"selector", {{"matchLabels", {{"app", pool_name(pool)}}}}},
                 {"targetPorts", nlohmann::json::array({{{"number", 8000}}})}}}});
      for (int pod = 0; pod < options_.pods_per_pool; ++pod) create_pod(pod_of(pool, pod));
    }
    const int of_pools = options_.pools * options_.pods_per_pool;
    for (int pod = 0; pod < options_.other_pods; ++pod)
      create_pod({.number = of_pools + pod, .app = fmt::format("other-{}", pod / kPodsOfAnOther)}, "");
  }

  HollowPod pod_of(int pool, int pod) const {
    return {.number = pool * options_.pods_per_pool + pod, .app = pool_name(pool)};
  }

  // As an operator finds them that was there before. Else it would label them for minutes, 25 a second.
  void create_pod(const HollowPod& hollow, const char* serving = "true") {
    nlohmann::json pod = poolwarden::bench::pod_object(hollow);
    for (const char* field : {"uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"}) {
      pod["metadata"].erase(field);
    }
    pod["metadata"].erase("ownerReferences");  // of a ReplicaSet that is not there
    if (*serving != '\0') pod["metadata"]["labels"]["poolwarden.io/serving"] = serving;
    const nlohmann::json status = pod["status"];
    nlohmann::json created = request(HttpMethod::kPost, "/api/v1/namespaces/default/pods", pod);
    created["status"] = status;
    request(HttpMethod::kPut, path_of(hollow) + "/status", created);
  }

  static std::string path_of(const HollowPod& pod) {
    return "/api/v1/namespaces/default/pods/" + poolwarden::bench::pod_name(pod);
  }

  // Called by the server for each write, before it is stored, with its lock held.
  void saw(const AdmissionRequest& write) {
    const auto now = Clock::now();
    const std::lock_guard lock(mutex_);
    last_write_ = now;
    if (write.resource != "configmaps" || write.after == nullptr) return;
    const std::string& list = write.after->at("data").at("endpoints.txt").get_ref<const std::string&>();
    auto& lines = lines_[std::string(write.name)];
    published_ -= lines;
    lines = static_cast<int>(std::count(list.begin(), list.end(), '\n'));
    published_ += lines;
    const std::string& json = write.after->at("data").at("endpoints.json").get_ref<const std::string&>();
    // Of a large pool each write is of a shard: who was not on it has not left it.
    std::string& before = documents_[std::string(write.name)];
    auto& waiting = waiting_[pool_of(write.name)];
    std::erase_if(waiting, [&](const auto& deleted) {
      const std::string name = '"' + deleted.first + '"';
      if (json.find(name) != std::string::npos || before.find(name) == std::string::npos) return false;
      latencies_.push_back(std::chrono::duration<double, std::milli>(now - deleted.second).count());
      return true;
    });
    before = json;
  }
  static std::string pool_of(std::string_view list) {
    return std::string(list.substr(0, list.rfind("-endpoints")));
  }

  template <class Condition>
  void wait_until(const char* what, Condition condition) {
    const auto start = Clock::now();
    for (;;) {
      {
        const std::lock_guard lock(mutex_);
        if (condition()) return;
      }
      if (seconds_since(start) > 120) {
        throw std::runtime_error(fmt::format(
            "after two minutes, not yet: {}. The operator's log ends with:\n{}", what, last_lines()));
      }
      std::this_thread::sleep_for(milliseconds(5));
    }
  }
  // Labels and status have been written.
  void wait_for_rest() {
    wait_until("no writes for two seconds", [this] { return seconds_since(last_write_) > 2; });
  }
  std::string last_lines() const {
    const std::string log = read_file((directory_ / "operator.log").string());
    return log.substr(log.size() > 2000 ? log.size() - 2000 : 0);
  }

  void delete_pods() {
    const auto start = Clock::now();
    for (int i = 0; i < options_.deletes; ++i) {
      std::this_thread::sleep_until(start + std::chrono::seconds(i) / options_.per_second);
      const int pool = i % options_.pools;
      const HollowPod pod = pod_of(pool, i / options_.pools);
      {
        const std::lock_guard lock(mutex_);
        waiting_[pool_name(pool)][poolwarden::bench::pod_name(pod)] = Clock::now();
      }
      request(HttpMethod::kDelete, path_of(pod));
    }
    wait_until("every deleted pod is off its list",
               [this] { return static_cast<int>(latencies_.size()) == options_.deletes; });
  }

  void report(double resident, double peak, double cold_start, double cpu_each) {
    const std::lock_guard lock(mutex_);
    std::sort(latencies_.begin(), latencies_.end());
    const auto at = [this](double share) {
      return latencies_[static_cast<std::size_t>(share * static_cast<double>(latencies_.size() - 1))];
    };
    const std::string others =
        options_.other_pods == 0 ? "" : fmt::format(", and {} others", options_.other_pods);
    fmt::print("| {} in {}{} | {} at {}/s | {:.1f} | {:.1f} | {:.2f} | {:.1f} | {:.1f} | {:.2f} |\n",
               options_.pools * options_.pods_per_pool, options_.pools, others, options_.deletes,
               options_.per_second, resident, peak, cold_start, at(0.5), at(0.99), cpu_each);
  }

  const Options options_;
  std::filesystem::path directory_;
  std::unique_ptr<Server> server_;

  std::mutex mutex_;  // guards what follows; taken after the server's own
  Clock::time_point last_write_ = Clock::now();
  int published_ = 0;                                                        // lines of all lists
  std::map<std::string, int> lines_;                                         // by ConfigMap
  std::map<std::string, std::string> documents_;                             // by ConfigMap
  std::map<std::string, std::map<std::string, Clock::time_point>> waiting_;  // by pool, then pod
  std::vector<double> latencies_;                                            // milliseconds
};

}  // namespace

// bench_operator OPERATOR POOLS PODS_PER_POOL DELETES PER_SECOND [OTHER_PODS]; "header" prints the table's
// head instead.
int main(int argc, char** argv) {
  if (argc == 2 && std::string(argv[1]) == "header") {
    fmt::print(
        "| pods in pools | deletes | RSS MiB | peak MiB | start s | p50 ms | p99 ms | CPU ms a delete |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n");
    return 0;
  }
  if (argc != 6 && argc != 7) {
    fmt::print(stderr,
               "usage: bench_operator OPERATOR POOLS PODS_PER_POOL DELETES PER_SECOND [OTHER_PODS]\n");
    return 2;
  }
  try {
    Bench bench({.operator_path = argv[1],
                 .pools = std::stoi(argv[2]),
                 .pods_per_pool = std::stoi(argv[3]),
                 .deletes = std::stoi(argv[4]),
                 .per_second = std::stoi(argv[5]),
                 .other_pods = argc == 7 ? std::stoi(argv[6]) : 0});
    bench.run();
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_operator: {}\n", error.what());
    return 1;
  }
  return 0;
}
