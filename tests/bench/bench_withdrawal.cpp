// The operator's own share of a withdrawal: from the bytes of a pod's watch event to the ConfigMap write as
// it leaves for the network, with the real decoder, caches, decision and core. No sockets and no threads, so
// what is measured is work, not waiting.
#include "bench/hollow_pod.h"
#include "bench/memory_operator.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

namespace {

using poolwarden::bench::HollowPod;
using poolwarden::bench::MemoryOperator;
using poolwarden::bench::PodReady;
using Clock = std::chrono::steady_clock;

constexpr const char* kPods = "/api/v1/pods";

// The operator on a cluster of `pools` pools with `pods` ready pods each, at rest.
class World {
 public:
  World(int pools, int pods) : pools_(pools), pods_(pods) {
    operator_.put_nodes();
    for (int pool = 0; pool < pools; ++pool) {
      operator_.put_pool("default", pool_name(pool), pool_name(pool));
      for (int pod = 0; pod < pods; ++pod) {
        const HollowPod hollow = pod_of(pool, pod);
        operator_.api().put(path_of(hollow), poolwarden::bench::pod_object(hollow));
      }
    }
    operator_.start();
    settle();
  }

  // Everything is published, and a step writes nothing.
  bool at_rest() {
    for (int pool = 0; pool < pools_; ++pool) {
      std::ptrdiff_t published = 0;
      for (std::int32_t shard = 1;; ++shard) {
        const std::string name = poolwarden::api::shard_name(pool_name(pool) + "-endpoints", shard);
        const auto* map = operator_.api().find("/api/v1/namespaces/default/configmaps/" + name);
        if (map == nullptr) break;
        const std::string text = (*map)["data"]["endpoints.txt"];
        published += std::count(text.begin(), text.end(), '\n');
      }
      if (published != pods_) return false;
    }
    return !operator_.has_input();
  }

  // Withdraws one pod and takes it back; returns the time from the event's bytes to the write, or a negative
  // one if no write came.
  double withdraw(int turn) {
    const HollowPod ready = pod_of(turn % pools_, (turn / pools_) % pods_);
    HollowPod unready = ready;
    unready.ready = PodReady::kNo;
    const std::string path = path_of(ready);
    const std::string event = operator_.api().change(
        path, [&](nlohmann::json& pod) { pod["status"] = poolwarden::bench::pod_object(unready)["status"]; });
    Clock::time_point written{};
    operator_.api().on_write([&](const poolwarden::kube::HttpRequest& request) {
      if (written == Clock::time_point{} && request.target.find("/configmaps/") != std::string::npos) {
        written = Clock::now();
      }
    });
    const auto start = Clock::now();
    operator_.api().feed(kPods, event);
    operator_.step();
    const double seconds = std::chrono::duration<double>(written - start).count();
    operator_.api().on_write({});
    settle();

    operator_.api().feed(kPods, operator_.api().change(path, [&](nlohmann::json& pod) {
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

  void settle() {
    while (operator_.has_input()) operator_.step();
  }

  int pools_;
  int pods_;
  MemoryOperator operator_;
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
