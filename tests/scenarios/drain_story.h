// One seed's story of drains: the world, what is done to it, and whether all went well.
#pragma once

#include "scenarios/scenario_cluster.h"
#include "support/sim/drain_invariants.h"
#include "support/sim/sim_engines.h"
#include "support/sim/sim_world.h"

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::scenarios {

class DrainStory {
 public:
  explicit DrainStory(std::uint64_t seed);

  // Nothing if all went well.
  std::string run();
  // What happened, a line each.
  std::string told() const;
  const sim::DrainInvariants::Counts& counts() const { return drains_.counts(); }

 private:
  using Act = bool (DrainStory::*)();  // false: there was nothing to do it to

  int below(int bound) { return static_cast<int>(dice_() % static_cast<std::uint64_t>(bound)); }
  bool chance(int percent) { return below(100) < percent; }
  void set_up();
  void act();
  bool act_on_replicas();
  bool act_on_rollout();
  bool act_on_pod();
  bool act_on_marks();
  bool act_on_node();
  bool act_on_operator();
  bool act_on_network();
  bool act_on_engine();
  bool act_on_gate();
  bool act_on_pool();
  void merge(const std::string& resource, const std::string& name, const std::string& body);
  void make_pool();
  void evict();
  void restart_the_exited();
  void mend();
  void end_all_trouble();
  void settle();
  std::string upgrade_nodes();
  std::size_t ask_to_leave(const std::string& node);
  std::string wrong() const;
  std::string wrong_at_rest() const;
  std::optional<json> some_pod();
  std::string some_node();
  sim::SimOperator& some_operator();
  void tell(std::string what) { drains_.tell("-- " + std::move(what)); }

  std::uint64_t seed_;
  bool faulty_;  // the network and the API server fail
  std::mt19937_64 dice_;
  sim::SimWorld world_;
  ScenarioCluster cluster_{world_};
  sim::SimEngines engines_;
  sim::DrainInvariants drains_;
  int timeout_ = 0;
  int template_ = 1;
  int template_before_ = 1;
  bool rests_ = false;
};

}  // namespace poolwarden::scenarios
