// What a namespace full of hostile objects costs another one: the time from the bytes of a pod's watch event
// to the write of its list, while thousands of objects of the first namespace are there and change.
//
// Real decoder, caches, decision and core, on the real clock; no sockets and no threads. So what is measured
// is the work that stands before that write. It prints one line without the noise and one with it.
#include "bench/hollow_pod.h"
#include "bench/memory_operator.h"
#include "support/allocated.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace {

using nlohmann::json;
using poolwarden::bench::HollowPod;
using poolwarden::bench::MemoryOperator;
using poolwarden::bench::PodReady;
using poolwarden::test::bytes_in_use;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr const char* kPods = "/api/v1/pods";
constexpr int kCalmPods = 50;
constexpr int kTurns = 200;
// Of the noise: each of its pods is in so many pools, and so many of them change before a pod elsewhere goes.
constexpr int kPools = 50;
constexpr int kChanges = 100;

json metadata(const std::string& ns, const std::string& name, json labels = json::object()) {
  return {{"name", name},           {"namespace", ns}, {"uid", ns + "-" + name},
          {"resourceVersion", "1"}, {"generation", 1}, {"labels", std::move(labels)}};
}

json noisy_pod(int number, bool ready, const std::string& app) {
  const std::string name = fmt::format("noise-{}", number);
  json labels = {{"app", app}, {"number", name}};
  if (app == "orphan") labels["poolwarden.io/serving"] = "true";
  const std::string ip =
      fmt::format("10.{}.{}.{}", 128 + number / 62'500, number / 250 % 250, number % 250 + 1);
  json conditions = json::array();
  for (const char* type : {"Ready", "ContainersReady"})
    conditions.push_back({{"type", type}, {"status", ready ? "True" : "False"}});
  return {
      {"apiVersion", "v1"},
      {"kind", "Pod"},
      {"metadata", metadata("noisy", name, std::move(labels))},
      {"spec",
       {{"nodeName", poolwarden::bench::node_object(number % poolwarden::bench::kNodes)["metadata"]["name"]},
        {"containers", json::array({{{"name", "main"}}})}}},
      {"status",
       {{"phase", "Running"},
        {"podIP", ip},
        {"podIPs", json::array({{{"ip", ip}}})},
        {"conditions", std::move(conditions)}}}};
}

class World {
 public:
  explicit World(int noise) : noisy_pods_(noise * 2 / 5) {
    operator_.put_nodes();
    operator_.put_pool("default", "calm", "calm");
    for (int pod = 0; pod < kCalmPods; ++pod)
      operator_.api().put(path_of(calm_pod(pod, PodReady::kYes)),
                          poolwarden::bench::pod_object(calm_pod(pod, PodReady::kYes)));
    if (noise > 0) make_noise(noise / 5);
    const std::size_t before = bytes_in_use();
    operator_.start();
    run_for(3s);
    memory_ = bytes_in_use() - before;
  }

  std::size_t memory() const { return memory_; }

  // The time until the list of the calm pool was written without a pod; nothing if it never was.
  std::optional<double> withdraw(int turn) {
    for (int i = 0; i < kChanges && noisy_pods_ > 0; ++i) {
      const int number = (turn * kChanges + i) % noisy_pods_;
      const bool ready = (turn * kChanges + i) / noisy_pods_ % 2 == 1;
      feed(fmt::format("/api/v1/namespaces/noisy/pods/noise-{}", number),
           noisy_pod(number, ready, "noise")["status"]);
    }
    operator_.step();
    const int pod = turn % kCalmPods;
    const auto took = change(pod, PodReady::kNo);
    change(pod, PodReady::kYes);
    return took;
  }

 private:
  static HollowPod calm_pod(int number, PodReady ready) {
    return {.number = number, .ready = ready, .app = "calm"};
  }
  static std::string path_of(const HollowPod& pod) {
    return "/api/v1/namespaces/default/pods/" + poolwarden::bench::pod_name(pod);
  }

  // Two fifths of it are pods of pools that overlap; orphans, budgets and ConfigMaps are a fifth each.
  void make_noise(int fifth) {
    for (int i = 0; i < kPools; ++i) operator_.put_pool("noisy", fmt::format("pool-{}", i), "noise");
    for (int i = 0; i < 3 * fifth; ++i)
      operator_.api().put(fmt::format("/api/v1/namespaces/noisy/pods/noise-{}", i),
                          noisy_pod(i, true, i < noisy_pods_ ? "noise" : "orphan"));
    for (int i = 0; i < fifth; ++i) {
      const std::string name = fmt::format("noise-{}", i);
      operator_.api().put("/apis/policy/v1/namespaces/noisy/poddisruptionbudgets/" + name,
                          {{"apiVersion", "policy/v1"},
                           {"kind", "PodDisruptionBudget"},
                           {"metadata", metadata("noisy", name)},
                           {"spec", {{"selector", {{"matchLabels", {{"app", name}}}}}}}});
      operator_.api().put(
          "/api/v1/namespaces/noisy/configmaps/" + name,
          {{"apiVersion", "v1"},
           {"kind", "ConfigMap"},
           {"metadata", metadata("noisy", name, {{"app.kubernetes.io/managed-by", "poolwarden"}})},
           {"data", {{"endpoints.json", std::string(5'000, 'x')}}}});
    }
  }

  void feed(const std::string& path, const json& status) {
    operator_.api().feed(
        kPods, operator_.api().change(path, [&status](json& object) { object["status"] = status; }));
  }
  std::optional<double> change(int number, PodReady ready) {
    const HollowPod pod = calm_pod(number, ready);
    std::optional<Clock::time_point> written;
    operator_.api().on_write([&](const poolwarden::kube::HttpRequest& request) {
      if (!written && request.target.find("/default/configmaps/") != std::string::npos)
        written = Clock::now();
    });
    const auto start = Clock::now();
    feed(path_of(pod), poolwarden::bench::pod_object(pod)["status"]);
    while (!written && Clock::now() < start + 10s) operator_.step();
    operator_.api().on_write({});
    if (!written) return std::nullopt;
    return std::chrono::duration<double>(*written - start).count();
  }

  void run_for(Clock::duration time) {
    for (const auto end = Clock::now() + time; Clock::now() < end;) operator_.step();
  }

  static poolwarden::control::CoreOptions options() {
    poolwarden::control::CoreOptions out;
    out.stopwatch = &Clock::now;
    return out;
  }

  int noisy_pods_;
  std::size_t memory_ = 0;
  MemoryOperator operator_{options()};
};

int measure(int noise) {
  World world(noise);
  std::vector<double> milliseconds;
  for (int turn = 0; turn < kTurns; ++turn) {
    const auto seconds = world.withdraw(turn);
    if (!seconds) {
      fmt::print(stderr, "a withdrawal beside {} noisy objects led to no write within 10 s\n", noise);
      return EXIT_FAILURE;
    }
    milliseconds.push_back(*seconds * 1e3);
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  const auto quantile = [&](std::size_t percent) {
    return milliseconds[(milliseconds.size() - 1) * percent / 100];
  };
  fmt::print(
      "{:>6} noisy objects: withdrawal p50 {:.3f} ms, p99 {:.3f} ms, worst {:.3f} ms; the operator keeps "
      "{:.1f} MiB\n",
      noise, quantile(50), quantile(99), milliseconds.back(),
      static_cast<double>(world.memory()) / (1U << 20));
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  const int noise = argc > 1 ? std::atoi(argv[1]) : 50'000;
  const int quiet = measure(0);
  return quiet == EXIT_SUCCESS ? measure(noise) : quiet;
}
