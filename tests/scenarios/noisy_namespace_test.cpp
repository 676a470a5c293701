// What a namespace full of hostile objects costs the others: how much later does a list lose a pod elsewhere.
//
// The noise: pools that overlap, pods whose labels are all different, budgets, ConfigMaps with our label, and
// pods that carry our label without a pool. All of them change at once. Then a pod of another namespace goes.
#include "scenarios/scenario_cluster.h"
#include "support/sim/sim_world.h"

#include <chrono>
#include <cstddef>
#include <optional>
#include <set>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace poolwarden::scenarios {
namespace {

using namespace std::chrono_literals;
using kube::HttpMethod;

constexpr int kPools = 40;
constexpr int kPods = 60;
constexpr int kOthers = 150;  // budgets, ConfigMaps, orphans: of each
// A pass over a noisy pool is a whole step, and a step takes its time.
constexpr std::size_t kStepPods = 50;
constexpr kube::Duration kStepTime = 5ms;

sim::WorldOptions without_invariants() {
  sim::WorldOptions out;
  out.invariants = false;
  return out;
}

class NoisyNamespace {
 public:
  explicit NoisyNamespace(sim::SimWorld& world) : world_(world) {
    world_.request(HttpMethod::kPost, "/api/v1/namespaces",
                   {{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "noisy"}}}});
    for (int i = 0; i < kPools; ++i) {
      post("/apis/poolwarden.io/v1alpha1", "inferencepools",
           {{"apiVersion", "poolwarden.io/v1alpha1"},
            {"kind", "InferencePool"},
            {"metadata", {{"name", fmt::format("pool-{}", i)}}},
            {"spec", {{"selector", selector("noisy")}, {"targetPorts", {{{"number", 8000}}}}}}});
    }
    for (int i = 0; i < kPods; ++i) create_pod(fmt::format("pod-{}", i), {{"app", "noisy"}}, i);
    for (int i = 0; i < kOthers; ++i) {
      create_pod(fmt::format("orphan-{}", i), {{"poolwarden.io/serving", "true"}}, kPods + i);
      post("/apis/policy/v1", "poddisruptionbudgets",
           {{"apiVersion", "policy/v1"},
            {"kind", "PodDisruptionBudget"},
            {"metadata", {{"name", fmt::format("budget-{}", i)}}},
            {"spec", {{"minAvailable", 1}, {"selector", selector("noisy")}}}});
      post("/api/v1", "configmaps",
           {{"apiVersion", "v1"},
            {"kind", "ConfigMap"},
            {"metadata",
             {{"name", fmt::format("map-{}", i)},
              {"labels", {{"app.kubernetes.io/managed-by", "poolwarden"}}}}},
            {"data", {{"endpoints.json", std::string(2'000, 'x')}}}});
    }
  }

  void change_everything() {
    for (int i = 0; i < kPods; ++i) set_ready(fmt::format("pod-{}", i), ++changes_ % 2 == 0);
    for (int i = 0; i < kOthers; ++i) {
      const json labels = {{"changed", std::to_string(++changes_)}, {"poolwarden.io/serving", "true"}};
      patch("/api/v1", "pods", fmt::format("orphan-{}", i), {{"metadata", {{"labels", labels}}}});
      patch("/apis/policy/v1", "poddisruptionbudgets", fmt::format("budget-{}", i),
            {{"spec", {{"minAvailable", changes_}}}});
    }
    for (int i = 0; i < kPools; ++i)
      patch("/apis/poolwarden.io/v1alpha1", "inferencepools", fmt::format("pool-{}", i),
            {{"spec", {{"drain", {{"timeoutSeconds", 100 + changes_}}}}}});
  }

 private:
  static json selector(const std::string& app) { return {{"matchLabels", {{"app", app}}}}; }
  static std::string path(const std::string& group, const std::string& plural) {
    return group + "/namespaces/noisy/" + plural;
  }
  void post(const std::string& group, const std::string& plural, const json& body) {
    world_.request(HttpMethod::kPost, path(group, plural), body);
  }
  void patch(const std::string& group, const std::string& plural, const std::string& name, const json& body) {
    world_.merge_patch(path(group, plural) + "/" + name, body);
  }
  void create_pod(const std::string& name, json labels, int number) {
    labels["number"] = std::to_string(number);
    post("/api/v1", "pods",
         {{"apiVersion", "v1"},
          {"kind", "Pod"},
          {"metadata", {{"name", name}, {"labels", labels}}},
          {"spec",
           {{"nodeName", "n1"},
            {"containers",
             {{{"name", "server"},
               {"image", "sim"},
               {"readinessProbe", {{"httpGet", {{"path", "/health"}, {"port", 8000}}}}}}}}}}});
    const std::string ip = fmt::format("10.1.{}.{}", number / 250, number % 250 + 1);
    patch("/api/v1", "pods", name + "/status",
          {{"status", {{"phase", "Running"}, {"podIP", ip}, {"podIPs", {{{"ip", ip}}}}}}});
    set_ready(name, true);
  }
  void set_ready(const std::string& name, bool ready) {
    json conditions = json::array();
    for (const char* type : {"ContainersReady", "Ready"})
      conditions.push_back({{"type", type},
                            {"status", ready ? "True" : "False"},
                            {"lastTransitionTime", api::to_rfc3339(world_.time().now().wall)}});
    patch("/api/v1", "pods", name + "/status", {{"status", {{"conditions", conditions}}}});
  }

  sim::SimWorld& world_;
  int changes_ = 0;
};

struct Withdrawal {
  kube::Duration took{};
  std::uint64_t steps = 0;
};

// How long it takes until the list of pool "calm" is without a pod that has been deleted.
Withdrawal withdraw_from_calm(bool with_noise) {
  sim::SimWorld world(without_invariants());
  ScenarioCluster cluster(world);
  cluster.create_pool("calm", {{"app", "calm"}});
  for (const char* pod : {"c1", "c2", "c3"}) cluster.create_pod(pod, "ready", {{"app", "calm"}});
  std::optional<NoisyNamespace> noise;
  if (with_noise) noise.emplace(world);
  sim::SimOperator& op =
      world.add_operator({.name = "a", .seed = 1, .step_pods = kStepPods, .step_time = kStepTime});
  op.start();
  world.time().run_for(5min);
  EXPECT_EQ(world.invariants().published_pods("default", "calm"), (std::set<std::string>{"c1", "c2", "c3"}));
  if (noise) noise->change_everything();
  world.time().run_for(10ms);  // the answers to what that led to come now
  std::optional<Withdrawal> found;
  const kube::TimePoint began = world.time().now().mono;
  const std::uint64_t steps = op.record().steps;
  world.add_watcher([&](const std::set<std::string>& changed) {
    if (found || !changed.contains("configmaps")) return;
    if (world.invariants().published_pods("default", "calm").contains("c1")) return;
    found = Withdrawal{world.time().now().mono - began, op.record().steps - steps};
  });
  cluster.terminate("c1", 30);
  if (noise) noise->change_everything();
  world.time().run_for(30s);
  EXPECT_TRUE(found) << "it never left";
  return found.value_or(Withdrawal{1h, 1'000'000});
}

// A step may be under way when the pod goes, and one more for what is as urgent.
TEST(NoisyNamespace, StarvesNobody) {
  const Withdrawal quiet = withdraw_from_calm(false);
  const Withdrawal noisy = withdraw_from_calm(true);
  EXPECT_LE(noisy.took, quiet.took + 2 * kStepTime)
      << std::chrono::duration_cast<std::chrono::milliseconds>(noisy.took).count()
      << " ms, without the noise "
      << std::chrono::duration_cast<std::chrono::milliseconds>(quiet.took).count();
  EXPECT_LE(noisy.steps, quiet.steps + 2);
}

}  // namespace
}  // namespace poolwarden::scenarios
