#include "scenarios/cluster_story.h"

#include "api/endpoint_set.h"
#include "scenarios/dice.h"
#include "scenarios/scenario_cluster.h"
#include "support/sim/list_reader.h"
#include "support/sim/reader_invariants.h"

#include <set>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace poolwarden::scenarios {
namespace {

using sim::SimWorld;

// Every third list is a large one, of shards of two endpoints.
bool has_shards(std::uint64_t seed) {
  return seed % 3 == 0;
}

pool::ListLimits cluster_story_limits(std::uint64_t seed) {
  pool::ListLimits limits;
  if (has_shards(seed)) limits.shard_endpoints = 2;
  return limits;
}

// One random thing that a person does.
void act_on_cluster(SimWorld& world, ScenarioCluster& cluster, Dice& dice) {
  const std::string replicas = fmt::format(R"({{"spec":{{"replicas":{}}}}})", dice.below(6));
  switch (dice.below(7)) {
    case 0:
      return cluster.merge("inferencepools", "vllm", replicas);
    case 1:
      return cluster.merge("deployments", "vllm", replicas);
    case 2:
      return cluster.merge(
          "deployments", "vllm",
          fmt::format(R"({{"spec":{{"template":{{"metadata":{{"annotations":{{"n":"{}"}}}}}}}}}})",
                      dice.below(1000)));
    case 3:
      return world.op(0).running() ? world.op(0).kill() : world.op(0).start();
    case 4:
      world.op(0).cut();
      return world.model().compact();
    default:
      break;
  }
  const auto pods = world.model().list(kube::kPods, "default");
  if (pods.empty()) return;
  const auto& pod = pods.at(static_cast<std::size_t>(dice.below(static_cast<int>(pods.size()))))->body();
  const std::string name = pod.at("metadata").at("name");
  if (dice.below(2) == 0) {
    cluster.terminate(name, dice.below(2) == 0 ? 0 : 5);
  } else {
    cluster.relabel(name, "app", "vllm-" + std::to_string(dice.below(2)));
  }
}

// And to who reads a large list, or to a ConfigMap of it.
void act_on_list(ScenarioCluster& cluster, sim::ListReader& reader, Dice& dice) {
  const std::string name = api::shard_name("vllm-endpoints", 1 + dice.below(3));
  const int what = dice.below(10);
  if (what < 3) return reader.cut();
  if (what == 3) return reader.start();
  if (cluster.get("configmaps", name).is_null()) return;
  if (what < 6) return cluster.remove("configmaps", name);
  if (what == 6) cluster.merge("configmaps", name, R"({"data":{"endpoints.json":"{"}})");
  // A finalizer of somebody's: a list that is deleted stays in deletion until the finalizer goes.
  if (what == 7) cluster.merge("configmaps", name, R"({"metadata":{"finalizers":["example.com/backup"]}})");
  if (what == 8) cluster.merge("configmaps", name, R"({"metadata":{"finalizers":null}})");
}

// What is wrong, if anything.
std::string wrong_in_cluster(const SimWorld& world, const sim::ReaderInvariants& readers) {
  if (!world.invariants().violations().empty()) return world.invariants().violations().front();
  return readers.violations().empty() ? "" : readers.violations().front();
}

std::string wrong_lists(const SimWorld& world, const sim::ReaderInvariants& readers) {
  const auto fit = world.invariants().fit_pods("default", "vllm");
  const auto published = world.invariants().published_pods("default", "vllm");
  if (fit != published) {
    return fmt::format("at rest [{}] is published and [{}] should be", fmt::join(published, " "),
                       fmt::join(fit, " "));
  }
  const auto read = readers.pods();
  if (read == std::multiset<std::string>(fit.begin(), fit.end())) return {};
  return fmt::format("at rest a reader has [{}] and [{}] is published", fmt::join(read, " "),
                     fmt::join(published, " "));
}

// For a person, of the operator's requests from that one on.
std::string writes_since(SimWorld& world, std::size_t first) {
  std::vector<std::string> out;
  const auto& requests = world.op(0).network().requests;
  for (std::size_t i = first; i < requests.size(); ++i) {
    const auto& request = requests[i];
    if (request.verb != "get" && request.verb != "list" && request.verb != "watch")
      out.push_back(fmt::format("{} {} {}", request.verb, request.resource, request.name));
  }
  return fmt::format("{}", fmt::join(out, ", "));
}

}  // namespace

sim::WorldOptions cluster_story_world(std::uint64_t seed) {
  sim::WorldOptions options;
  options.seed = seed;
  options.controllers = true;
  options.behaviour = [](const cluster::LaunchSpec&) {
    cluster::SimBehaviour behaviour;
    behaviour.start_delay = std::chrono::milliseconds(200);
    behaviour.ready_delay = std::chrono::milliseconds(1500);
    behaviour.stop_delay = std::chrono::milliseconds(300);
    return behaviour;
  };
  return options;
}

std::string run_cluster_story(std::uint64_t seed) {
  SimWorld world(cluster_story_world(seed));
  ScenarioCluster cluster(world);
  Dice dice(seed);
  sim::ListReader reader(world.time(), world.model(),
                         {.pool = "vllm", .config_map = "vllm-endpoints", .seed = seed});
  sim::ReaderInvariants readers(world.time(), world.model(), reader);
  world.add_watcher([&readers](const std::set<std::string>& changed) { readers.changed(changed); });
  reader.start();
  world.add_operator({.name = "a", .seed = seed, .list_limits = cluster_story_limits(seed)}).start();
  cluster.create_deployment("vllm", {{"replicas", "3"}});
  cluster.create_pool("vllm", {{"target", "vllm"}});
  for (int n = 0; n < 25; ++n) {
    world.time().run_for(std::chrono::milliseconds(dice.below(dice.below(3) == 0 ? 10'000 : 500)));
    act_on_cluster(world, cluster, dice);
    if (has_shards(seed) && dice.below(2) == 0) act_on_list(cluster, reader, dice);
    if (auto text = wrong_in_cluster(world, readers); !text.empty()) return text;
  }
  if (!world.op(0).running()) world.op(0).start();
  // A watch that was cut again and again waits for up to 30 s, and again as long before it lists where its
  // version is gone: nothing is written meanwhile, and that is not rest.
  world.time().run_for(std::chrono::minutes(2));
  world.settle(std::chrono::minutes(30));
  if (auto text = wrong_in_cluster(world, readers); !text.empty()) return text;
  if (auto text = wrong_lists(world, readers); !text.empty()) return text;
  const auto fit = world.invariants().fit_pods("default", "vllm");
  const auto pool = cluster.get("inferencepools", "vllm").at("spec").at("replicas");
  const auto target = cluster.get("deployments", "vllm").at("spec").at("replicas");
  if (pool != target) return fmt::format("the pool wants {} and its target {}", pool.dump(), target.dump());
  if (fit.size() != target.get<std::size_t>())
    return fmt::format("{} of {} pods serve", fit.size(), target.dump());
  // Events beyond a burst are written as the recorder's budget for them grows again, minutes later.
  world.time().run_for(std::chrono::hours(1));
  const std::uint64_t at_rest = world.changes();
  const std::size_t sent = world.op(0).network().requests.size();
  world.time().run_for(std::chrono::hours(1));
  if (world.changes() != at_rest)
    return fmt::format("{} writes in an hour of rest: {}", world.changes() - at_rest,
                       writes_since(world, sent));
  return {};
}

}  // namespace poolwarden::scenarios
