// One scenario under way: the verbs, and the world they act on.
#pragma once

#include "scenarios/scenario_cluster.h"
#include "support/sim/sim_consumers.h"
#include "support/sim/sim_slices.h"
#include "support/sim/sim_world.h"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace poolwarden::scenarios {

using Words = std::vector<std::string>;

// "30s", "500ms", "10m".
kube::Duration duration(const std::string& text);

class ScenarioRun {
 public:
  ScenarioRun();

  // Throws std::runtime_error with what was wrong.
  void execute(const Words& words);
  void check_invariants() const;
  // The cluster comes to rest, and what is published is the truth.
  void finish();
  std::vector<std::string> logs() const;

 private:
  struct Verb {
    std::size_t least = 0;  // words after the verb
    std::size_t most = 0;
    std::function<void(const Words&)> run;
  };

  void add_object_verbs();
  void add_pod_verbs();
  void add_fault_verbs();
  void add_process_verbs();
  void add_drain_verbs();
  void add_consumer_verbs();
  void add_slice_verbs();
  void add_drain_expectations();
  void add_object_expectations();
  void add_traffic_expectations();
  static void dispatch(const std::map<std::string, Verb>& verbs, const std::string& kind, const Words& words);

  sim::EngineAnswer engine_of(const engine::LoadRequest& request) const;
  bool has_address(const std::string& pod, const std::string& ip) const;
  std::optional<engine::NoLoad> refusal_of_key(const engine::LoadRequest& request) const;
  void drain_node(const std::string& node, kube::Duration at_most);
  void set_engine(const std::string& pod, const std::string& how, const Options& options);
  json annotation(const std::string& pod, const std::string& key) const;

  sim::SimOperator& op(const std::string& name);
  sim::SimOperator& op_or_new(const std::string& name);
  void for_each_op(const std::function<void(sim::SimOperator&)>& act);
  std::size_t count(const std::string& verb, const std::string& resource) const;
  std::size_t writes() const;
  std::vector<std::string> everything_logged() const;
  bool has_event(const std::string& name, const std::string& reason);

  sim::SimWorld world_;
  ScenarioCluster cluster_{world_};
  sim::SimConsumers consumers_{world_};
  std::optional<sim::SimSlices> kubernetes_slices_;
  std::map<std::string, Verb> verbs_;
  std::map<std::string, Verb> expectations_;
  std::map<std::string, std::size_t> operators_;  // name -> index in the world
  std::map<std::string, std::size_t> marks_;      // name -> requests seen at the last mark
  std::vector<apiserver::DenyRule> denied_;
  // By pod and port; 0: whatever is asked.
  std::map<std::string, std::map<std::int32_t, sim::EngineAnswer>> engines_;
  std::map<std::string, std::string> engine_keys_;  // by pod, of engines that want one
  bool elect_ = false;
  pool::ListLimits list_limits_;
  std::size_t step_pods_ = control::CoreOptions{}.step_pods;
  kube::Duration step_time_{};
  bool finish_ = true;
};

}  // namespace poolwarden::scenarios
