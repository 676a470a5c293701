// The operator's own share of a withdrawal: from the bytes of a pod's watch event to the ConfigMap write as
// it leaves for the network, with the real decoder, caches, decision and core. No sockets and no threads, so
// what is measured is work, not waiting.
#include "bench/hollow_pod.h"
#include "bench/memory_api.h"
#include "control/controller_metrics.h"
#include "control/operator_core.h"
#include "control/shell.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

namespace {

using poolwarden::api::Now;
using poolwarden::bench::HollowPod;
using poolwarden::bench::MemoryApi;
using poolwarden::bench::PodReady;
using poolwarden::control::ControllerMetrics;
using poolwarden::control::CoreOptions;
using poolwarden::control::Effects;
using poolwarden::control::Input;
using poolwarden::control::OperatorCore;
using poolwarden::control::Shell;
using Clock = std::chrono::steady_clock;

constexpr const char* kPods = "/api/v1/pods";

Now read_clocks() {
  return {Clock::now(), std::chrono::system_clock::now()};
}

nlohmann::json pool_object(const std::string& name) {
  return {{"apiVersion", "poolwarden.io/v1alpha1"},
          {"kind", "InferencePool"},
          {"metadata",
           {{"name", name},
            {"namespace", "default"},
            {"uid", "pool-" + name},
            {"resourceVersion", "1"},
            {"generation", 1}}},
          {"spec",
           {{"selector", {{"matchLabels", {{"app", name}}}}},
            {"targetPorts", nlohmann::json::array({{{"number", 8000}}})}}}};
}

// The operator on a cluster of `pools` pools with `pods` ready pods each, at rest.
class World {
 public:
  World(int pools, int pods) : pools_(pools), pods_(pods) {
    for (int node = 0; node < poolwarden::bench::kNodes; ++node) {
      const nlohmann::json object = poolwarden::bench::node_object(node);
      api_.put("/api/v1/nodes/" + object["metadata"]["name"].get<std::string>(), object);
    }
    for (int pool = 0; pool < pools; ++pool) {
      api_.put("/apis/poolwarden.io/v1alpha1/namespaces/default/inferencepools/" + pool_name(pool),
               pool_object(pool_name(pool)));
      for (int pod = 0; pod < pods; ++pod) {
        const HollowPod hollow = pod_of(pool, pod);
        api_.put(path_of(hollow), poolwarden::bench::pod_object(hollow));
      }
    }
    perform(core_.start(read_clocks()));
    settle();
  }

  // Everything is published, and a step writes nothing.
  bool at_rest() {
    for (int pool = 0; pool < pools_; ++pool) {
      std::ptrdiff_t published = 0;
      for (std::int32_t shard = 1;; ++shard) {
        const std::string name = poolwarden::api::shard_name(pool_name(pool) + "-endpoints", shard);
        const auto* map = api_.find("/api/v1/namespaces/default/configmaps/" + name);
        if (map == nullptr) break;
        const std::string text = (*map)["data"]["endpoints.txt"];
        published += std::count(text.begin(), text.end(), '\n');
      }
      if (published != pods_) return false;
    }
    return inputs_.empty();
  }

  // Withdraws one pod and takes it back; returns the time from the event's bytes to the write, or a negative
  // one if no write came.
  double withdraw(int turn) {
    const HollowPod ready = pod_of(turn % pools_, (turn / pools_) % pods_);
    HollowPod unready = ready;
    unready.ready = PodReady::kNo;
    const std::string path = path_of(ready);
    const std::string event = api_.change(
        path, [&](nlohmann::json& pod) { pod["status"] = poolwarden::bench::pod_object(unready)["status"]; });
    Clock::time_point written{};
    api_.on_write([&](const poolwarden::kube::HttpRequest& request) {
      if (written == Clock::time_point{} && request.target.find("/configmaps/") != std::string::npos) {
        written = Clock::now();
      }
    });
    const auto start = Clock::now();
    api_.feed(kPods, event);
    step();
    const double seconds = std::chrono::duration<double>(written - start).count();
    api_.on_write({});
    settle();

    api_.feed(kPods, api_.change(path, [&](nlohmann::json& pod) {
      pod["status"] = poolwarden::bench::pod_object(ready)["status"];
    }));
    settle();
    return seconds;
  }

 private:
  static std::string pool_name(int pool) { return fmt::format("pool-{}", pool); }
  static std::string path_of(const HollowPod& pod) {
    return "/api/v1/namespaces/default/pods/" + poolwarden::bench::pod_name(pod);
  }
  HollowPod pod_of(int pool, int pod) const { return {.number = pool * pods_ + pod, .app = pool_name(pool)}; }

  void perform(Effects effects) { shell_.perform(effects); }
  void step() {
    std::vector<Input> inputs = std::exchange(inputs_, {});
    perform(core_.step(inputs, read_clocks()));
  }
  void settle() {
    while (!inputs_.empty()) step();
  }

  int pools_;
  int pods_;
  std::vector<Input> inputs_;
  MemoryApi api_;
  ControllerMetrics metrics_;
  OperatorCore core_{CoreOptions{}, metrics_};
  Shell shell_{api_, "", &Clock::now, [this](Input input) { inputs_.push_back(std::move(input)); },
               [](const poolwarden::engine::LoadRequest&, auto) {}};
};

double quantile(std::vector<double>& samples, double q) {
  if (samples.empty()) return 0;
  const auto nth = samples.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(samples.size() - 1));
  std::nth_element(samples.begin(), nth, samples.end());
  return *nth;
}

void BM_withdrawal(benchmark::State& state) {
  World world(static_cast<int>(state.range(0)), static_cast<int>(state.range(1)));
  if (!world.at_rest()) {
    state.SkipWithError("the world did not come to rest with every endpoint published");
    return;
  }
  int turn = 0;
  std::vector<double> microseconds;
  for (auto _ : state) {
    const double seconds = world.withdraw(turn++);
    if (seconds < 0) {
      state.SkipWithError("a withdrawal led to no write");
      return;
    }
    state.SetIterationTime(seconds);
    microseconds.push_back(seconds * 1e6);
  }
  state.counters["p50_us"] = quantile(microseconds, 0.50);
  state.counters["p99_us"] = quantile(microseconds, 0.99);
}
BENCHMARK(BM_withdrawal)
    ->ArgNames({"pools", "pods"})
    ->Args({1, 10})
    ->Args({20, 50})
    ->Args({1, 1'000})
    ->Args({1, 10'000})
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
