// What Poolwarden's writes cost the API server, counted: of each kind, for a pod that is deleted, a rollout,
// an adoption and an hour of rest. A bound is a promise: whoever raises one says why.
#include "scenarios/scenario_cluster.h"
#include "support/sim/sim_world.h"

#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace poolwarden::scenarios {
namespace {

using namespace std::chrono_literals;

// Requests that write, by "verb resource".
class WriteCount {
 public:
  explicit WriteCount(const sim::SimOperator& op) : op_(op), from_(op.network().requests.size()) {}

  double of(const std::string& what) const {
    double count = 0;
    for (const auto& [key, times] : all()) count += key.ends_with(what) ? times : 0;
    return count;
  }
  double total() const { return of(""); }
  std::string told() const {
    std::string text;
    for (const auto& [key, times] : all()) text += fmt::format("{} {}\n", times, key);
    return text;
  }

 private:
  std::map<std::string, double> all() const {
    std::map<std::string, double> out;
    const auto& requests = op_.network().requests;
    for (std::size_t i = from_; i < requests.size(); ++i) {
      const std::string& verb = requests[i].verb;
      if (verb != "get" && verb != "list" && verb != "watch") ++out[verb + " " + requests[i].resource];
    }
    return out;
  }

  const sim::SimOperator& op_;
  std::size_t from_;
};

sim::WorldOptions without_invariants() {
  sim::WorldOptions out;
  out.invariants = false;
  return out;
}

class WriteCost : public ::testing::Test {
 protected:
  void create_pools(int pools, int pods) {
    for (int pool = 0; pool < pools; ++pool) {
      cluster_.create_pool(fmt::format("pool-{}", pool), {{"app", fmt::format("app-{}", pool)}});
      for (int pod = 0; pod < pods; ++pod)
        cluster_.create_pod(fmt::format("p{}-{}", pool, pod), "ready",
                            {{"app", fmt::format("app-{}", pool)}});
    }
  }
  sim::SimOperator& start() {
    sim::SimOperator& op = world_.add_operator({"a", "poolwarden", 1, false});
    op.start();
    return op;
  }
  // Until nothing is left that is written later, as there was too much of it at once.
  void rest() {
    world_.settle(std::chrono::minutes(30));
    world_.time().run_for(std::chrono::hours(2));
  }

  sim::SimWorld world_{without_invariants()};
  ScenarioCluster cluster_{world_};
};

// One after the other, half a second apart in each pool.
TEST_F(WriteCost, ADelete) {
  constexpr int kPools = 4;
  constexpr int kPods = 40;
  constexpr int kDeletes = kPools * 30;
  create_pools(kPools, kPods);
  sim::SimOperator& op = start();
  rest();
  const WriteCount count(op);
  for (int n = 0; n < kDeletes; ++n) {
    const std::string pod = fmt::format("p{}-{}", n % kPools, n / kPools);
    cluster_.terminate(pod, 30);
    world_.time().run_for(250ms);
    cluster_.remove_pod(pod);
    world_.time().run_for(250ms);
  }
  world_.settle(std::chrono::minutes(30));
  EXPECT_LE(count.of(" configmaps"), kDeletes) << count.told();
  EXPECT_EQ(count.of(" pods"), 0) << "nothing is written to a pod that goes\n" << count.told();
  EXPECT_EQ(count.of(" poddisruptionbudgets"), 0) << count.told();
  EXPECT_LE(count.of(" services"), 0.15 * kDeletes) << count.told();
  EXPECT_LE(count.of("inferencepools/status"), 0.5 * kDeletes) << count.told();
  EXPECT_LE(count.of(" events"), 0.9 * kDeletes) << count.told();
}

TEST_F(WriteCost, AnAdoptionOfAThousand) {
  create_pools(10, 100);
  sim::SimOperator& op = start();
  const WriteCount count(op);
  rest();
  EXPECT_LE(count.of(" configmaps"), 10 * 3) << count.told();
  EXPECT_LE(count.of(" pods"), 1000) << "one label for each\n" << count.told();
  EXPECT_LE(count.of(" services"), 10 * 3) << count.told();
  EXPECT_LE(count.of(" poddisruptionbudgets"), 10) << count.told();
  EXPECT_LE(count.of("inferencepools/status"), 10 * 8) << count.told();
  EXPECT_LE(count.of(" events"), 10 * 2) << count.told();
}

TEST_F(WriteCost, AnHourOfRest) {
  create_pools(5, 10);
  sim::SimOperator& op = start();
  rest();
  const WriteCount count(op);
  world_.time().run_for(std::chrono::hours(1));
  EXPECT_EQ(count.total(), 0) << count.told();
}

// With the gate, so that each pod drains: its label changes three times, from true to draining to drained.
TEST(WriteCostOfARollout, FiftyPods) {
  sim::WorldOptions options;
  options.controllers = true;
  options.gate = true;
  options.nodes = 10;
  options.behaviour = [](const cluster::LaunchSpec&) {
    cluster::SimBehaviour behaviour;
    behaviour.start_delay = 200ms;
    behaviour.ready_delay = 1500ms;
    behaviour.stop_delay = 300ms;
    return behaviour;
  };
  sim::SimWorld world(options);
  ScenarioCluster cluster(world);
  sim::SimOperator& op = world.add_operator({"a", "poolwarden", 1, false});
  op.start();
  cluster.create_deployment("vllm", {{"replicas", "50"}});
  cluster.create_pool("vllm", {{"target", "vllm"}});
  world.settle(std::chrono::minutes(30));
  world.time().run_for(std::chrono::hours(1));
  const WriteCount count(op);
  cluster.merge("deployments", "vllm", R"({"spec":{"template":{"metadata":{"annotations":{"n":"2"}}}}})");
  world.time().run_for(std::chrono::minutes(30));
  world.settle(std::chrono::minutes(30));
  constexpr int kPods = 50;
  EXPECT_LE(count.of(" configmaps"), 3 * kPods) << "a pod comes, drains and goes\n" << count.told();
  EXPECT_LE(count.of(" pods"), 3 * kPods) << count.told();
  EXPECT_LE(count.of(" services"), kPods) << count.told();
  EXPECT_LE(count.of("inferencepools/status"), 3 * kPods) << count.told();
  EXPECT_LE(count.of(" events"), 5 * kPods) << count.told();
  EXPECT_EQ(world.invariants().published_pods("default", "vllm").size(), 50U);
}

}  // namespace
}  // namespace poolwarden::scenarios
