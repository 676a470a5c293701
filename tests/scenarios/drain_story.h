// One story of drains: the world, what is done to it, and whether all went well.
#pragma once

#include "scenarios/dice.h"
#include "scenarios/drain_acts.h"
#include "scenarios/drain_script.h"
#include "scenarios/scenario_cluster.h"
#include "support/sim/drain_invariants.h"
#include "support/sim/sim_consumers.h"
#include "support/sim/sim_engines.h"
#include "support/sim/sim_world.h"

#include <cstdint>
#include <string>
#include <vector>

namespace poolwarden::scenarios {

class DrainStory {
 public:
  explicit DrainStory(std::uint64_t seed);  // the whole of what the seed stands for
  explicit DrainStory(DrainScript script);

  // Nothing if all went well. Throws std::runtime_error where the script has an act that there is not.
  std::string run();
  // What happened, a line each.
  std::string told() const;
  // Of each act that was done, what it was done to.
  const std::vector<std::string>& notes() const { return notes_; }
  const sim::DrainInvariants::Counts& counts() const { return drains_.counts(); }

 private:
  void set_up();
  // Of the script's clock.
  kube::Duration elapsed() { return world_.time().elapsed() - began_; }
  void pass(kube::Duration time);
  void restart_the_exited();
  void end_all_trouble();
  bool is_tainted(const std::string& node) const;
  void settle();
  void have_two();
  std::string upgrade_nodes();
  std::string wrong() const;
  std::string wrong_at_rest() const;
  void tell(std::string what) { drains_.tell("-- " + std::move(what)); }

  DrainScript script_;
  sim::SimWorld world_;
  kube::Duration began_ = world_.time().elapsed();
  ScenarioCluster cluster_{world_};
  sim::SimEngines engines_;
  sim::SimConsumers consumers_{world_};
  sim::DrainInvariants drains_;
  DrainActs acts_;
  Dice end_dice_;  // of what comes after the acts
  std::vector<std::string> notes_;
  bool rests_ = false;
};

}  // namespace poolwarden::scenarios
