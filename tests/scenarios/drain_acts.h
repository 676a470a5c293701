// Does the acts of a story of drains (drain_script.h): what people, programs and faults do to the cluster,
// the engines, the operators and their network.
//
// A new act: a row of the table in drain_acts.cpp, the function of that row, and where seeds should have it,
// one that draws it in drain_draw.cpp.
#pragma once

#include "scenarios/drain_script.h"
#include "scenarios/scenario_cluster.h"
#include "support/sim/sim_engines.h"
#include "support/sim/sim_world.h"

#include <cstddef>
#include <functional>
#include <set>
#include <string>
#include <vector>

namespace poolwarden::scenarios {

inline constexpr int kDrainNodes = 3;  // node-1 and so on

class DrainActs {
 public:
  using Words = std::vector<std::string>;
  using Tell = std::function<void(std::string)>;
  DrainActs(sim::SimWorld& world, ScenarioCluster& cluster, sim::SimEngines& engines,
            const DrainSettings& settings, Tell tell);

  // What it was done to, where the act's words do not say so. An act that finds nothing to act on does
  // nothing. Throws std::runtime_error where there is no such act.
  std::string perform(const DrainAct& act);

  void merge(const std::string& resource, const std::string& name, const std::string& body);
  void make_target();
  void make_pool();
  // As kubectl drain does, which asks again and again.
  void evict();
  // How many pods stay.
  std::size_t ask_to_leave(const std::string& node);
  // All is mended but the nodes, of which some may stay out of service.
  void end_trouble();

 private:
  std::string on_replicas(const Words& words);
  std::string on_rollout(const Words& words);
  std::string on_pod(const Words& words);
  std::string on_mark(const Words& words);
  std::string on_node(const Words& words);
  std::string on_operator(const Words& words);
  std::string on_network(const Words& words);
  std::string on_engine(const Words& words);
  std::string on_gate(const Words& words);
  std::string on_pool(const Words& words);
  std::string on_budget(const Words& words);
  std::string on_eviction(const Words& words);
  std::string on_kubelet(const Words& words);
  std::string on_clock(const Words& words);

  void lose_sight_of(const std::string& node, bool pods_first);
  void see_again(const std::string& node);
  json pod_at(const std::string& place) const;
  sim::SimOperator& operator_at(const std::string& place);
  bool stateful() const { return settings_.target != DrainTarget::kDeployment; }
  const char* targets() const { return stateful() ? "statefulsets" : "deployments"; }
  void roll_out(int version, bool crashes);
  void hold_rollouts(bool hold);
  void mend_set();

  sim::SimWorld& world_;
  ScenarioCluster& cluster_;
  sim::SimEngines& engines_;
  const DrainSettings& settings_;
  Tell tell_;
  struct Template {
    int version = 1;
    bool crashes = false;
  };
  Template template_;
  Template template_before_;
  std::set<std::string> lost_;  // nodes whose kubelets are not heard of
};

}  // namespace poolwarden::scenarios
