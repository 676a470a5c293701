#include "scenarios/drain_draw.h"

#include "scenarios/dice.h"
#include "scenarios/drain_acts.h"
#include "support/apiserver/faults.h"

#include <array>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::scenarios {
namespace {

using std::chrono::milliseconds;
using Words = std::vector<std::string>;

constexpr int kSteps = 30;
// When the set-up is over.
constexpr milliseconds kFirstStep{20'000};

template <std::size_t kSize>
std::string one_of(Dice& dice, const std::array<const char*, kSize>& choices) {
  return choices[static_cast<std::size_t>(dice.below(static_cast<int>(kSize)))];
}

// Its place, which is counted round.
std::string any_pod(Dice& dice) {
  return std::to_string(dice.below(100));
}

std::string any_operator(Dice& dice, const DrainSettings& settings) {
  return std::to_string(dice.below(settings.operators));
}

using Drawn = std::pair<const char*, Words>;  // the verb and its words

Drawn draw_scale(Dice& dice, const DrainSettings&) {
  const std::string replicas = std::to_string(dice.below(7));
  return {"scale", {dice.chance(50) ? "pool" : "target", replicas}};
}

Drawn draw_rollout(Dice& dice, const DrainSettings&) {
  switch (dice.below(6)) {
    case 0:
    case 1:
      return {"rollout", {"to", std::to_string(dice.below(1000))}};
    case 2:
      return {"rollout", {"to", std::to_string(dice.below(1000)), "which-crashes"}};
    case 3:
      return {"rollout", {"undo"}};
    case 4:
      return {"rollout", {"pause"}};
    default:
      return {"rollout", {"resume"}};
  }
}

Drawn draw_pod(Dice& dice, const DrainSettings&) {
  constexpr std::array kWays{"delete",      "delete-by-force",   "crash",
                             "fail-probes", "answer-its-probes", "relabel"};
  Words words{any_pod(dice), one_of(dice, kWays)};
  if (words.back() == "relabel") words.push_back(dice.chance(50) ? "vllm" : "other");
  return {"pod", words};
}

Drawn draw_mark(Dice& dice, const DrainSettings&) {
  constexpr std::array kMarkWays{"drained",      "draining", "unlabelled", "to-drain",
                                 "not-to-drain", "cost",     "cost"};
  Words words{any_pod(dice), one_of(dice, kMarkWays)};
  if (words.back() == "cost")
    words.push_back(dice.chance(50) ? "none" : std::to_string(dice.below(200) - 100));
  return {"mark", words};
}

Drawn draw_node(Dice& dice, const DrainSettings&) {
  constexpr std::array kWays{"cordon",         "cordon",      "uncordon", "end-by-autoscaler",
                             "out-of-service", "end-of-spot", "untaint"};
  const std::string node = fmt::format("node-{}", 1 + dice.below(kDrainNodes));
  return {"node", {node, one_of(dice, kWays)}};
}

Drawn draw_operator(Dice& dice, const DrainSettings& settings) {
  const std::string which = any_operator(dice, settings);
  return {"operator", {which, dice.chance(70) ? "kill" : "stop"}};
}

Drawn draw_network(Dice& dice, const DrainSettings& settings) {
  const std::string which = any_operator(dice, settings);
  if (!settings.faulty) return {"network", {which, dice.chance(50) ? "cut" : "cut-and-compact"}};
  using apiserver::FaultKind;
  constexpr std::array kFaults{
      FaultKind::kConflict,    FaultKind::kInternalError,  FaultKind::kTooManyRequests,
      FaultKind::kLostAnswer,  FaultKind::kDelayBefore,    FaultKind::kDelayAfter,
      FaultKind::kUnavailable, FaultKind::kDropConnection, FaultKind::kGoneAtConnect};
  constexpr std::array kVerbs{"*", "patch", "update", "watch", "list"};
  constexpr std::array kResources{"*", "pods", "configmaps", "replicasets", "nodes"};
  switch (dice.below(5)) {
    case 0:
      return {"network", {which, "down"}};
    case 1:
      return {"network", {which, "silent"}};
    case 2:
      return {"network", {which, "well"}};
    default:
      break;
  }
  const auto fault = kFaults[static_cast<std::size_t>(dice.below(static_cast<int>(kFaults.size())))];
  Words words{which, "fault", std::string(to_string(fault))};
  words.push_back(one_of(dice, kVerbs));
  words.push_back(one_of(dice, kResources));
  words.push_back(fmt::format("count={}", 1 + dice.below(8)));
  words.push_back(fmt::format("seconds={}", 1 + dice.below(4)));
  return {"network", words};
}

Drawn draw_engine(Dice& dice, const DrainSettings&) {
  constexpr std::array kModes{"honest", "honest", "hangs", "gone", "broken"};
  const std::string pod = any_pod(dice);
  return {"engine", {pod, one_of(dice, kModes)}};
}

Drawn draw_gate(Dice& dice, const DrainSettings&) {
  if (dice.chance(30)) return {"gate", {"install"}};
  return {"gate", {dice.chance(50) ? "delete" : "audit"}};
}

Drawn draw_pool(Dice& dice, const DrainSettings&) {
  return {"pool", {dice.chance(30) ? "delete" : "hold"}};
}

Drawn draw_budget(Dice& dice, const DrainSettings&) {
  return {"budget", {dice.chance(50) ? "make" : "delete"}};
}

Drawn draw_kubelet(Dice& dice, const DrainSettings&) {
  constexpr std::array kWays{"lost", "lost-pods-first", "seen"};
  const std::string node = dice.chance(50) ? "all" : fmt::format("node-{}", 1 + dice.below(kDrainNodes));
  return {"kubelet", {node, one_of(dice, kWays)}};
}

Drawn draw_clock(Dice& dice, const DrainSettings& settings) {
  const std::string which = any_operator(dice, settings);
  return {"clock", {which, std::to_string(dice.below(7200) - 3600)}};
}

Drawn draw_act(Dice& dice, const DrainSettings& settings) {
  using Draw = Drawn (*)(Dice&, const DrainSettings&);
  constexpr std::array<std::pair<int, Draw>, 13> kChoices{{{30, draw_scale},
                                                           {12, draw_rollout},
                                                           {12, draw_pod},
                                                           {12, draw_mark},
                                                           {8, draw_node},
                                                           {8, draw_operator},
                                                           {8, draw_network},
                                                           {6, draw_engine},
                                                           {3, draw_gate},
                                                           {2, draw_budget},
                                                           {4, draw_kubelet},
                                                           {3, draw_clock},
                                                           {3, draw_pool}}};
  int all = 0;
  for (const auto& [weight, draw] : kChoices) all += weight;
  int roll = dice.below(all);
  for (const auto& [weight, draw] : kChoices) {
    if (roll < weight) return draw(dice, settings);
    roll -= weight;
  }
  return {"evict", {}};
}

// What goes on beside the acts of a story: killed operators come back after a while, people who empty a node
// ask again, and what is broken is mended, as it hides everything else.
std::vector<Drawn> draw_upkeep(Dice& dice, const DrainSettings& settings, int step) {
  std::vector<Drawn> drawn;
  for (int i = 0; i < settings.operators; ++i) {
    if (dice.chance(30)) drawn.push_back({"operator", {std::to_string(i), "start"}});
  }
  if (dice.chance(30)) drawn.push_back({"evict", {}});
  if (step % 4 != 0) return drawn;
  drawn.push_back({"pool", {"make"}});
  if (dice.chance(60)) drawn.push_back({"kubelet", {"all", "seen"}});
  if (dice.chance(60)) drawn.push_back({"pool", {"unhold"}});
  if (dice.chance(60)) drawn.push_back({"gate", {"install"}});
  if (!settings.faulty || dice.chance(50)) return drawn;
  for (int i = 0; i < settings.operators; ++i) drawn.push_back({"network", {std::to_string(i), "up"}});
  return drawn;
}

DrainSettings draw_settings(std::uint64_t seed) {
  constexpr std::array kTimeouts{0, 5, 20, 60};
  Dice dice(seed, kSteps);
  DrainSettings settings;
  settings.seed = seed;
  settings.faulty = seed % 2 == 0;
  settings.timeout = kTimeouts[static_cast<std::size_t>(dice.below(4))];
  settings.operators = dice.chance(30) ? 2 : 1;
  settings.replicas = 2 + dice.below(4);
  settings.replace_first = dice.chance(20);
  return settings;
}

}  // namespace

DrainScript draw_drain_script(std::uint64_t seed) {
  DrainScript script;
  script.settings = draw_settings(seed);
  milliseconds at = kFirstStep;
  const auto add = [&script, &at](const Drawn& drawn) {
    script.acts.push_back({at, drawn.first, drawn.second});
  };
  for (int step = 0; step < kSteps; ++step) {
    Dice dice(seed, static_cast<std::uint64_t>(step));
    at += milliseconds(dice.below(dice.chance(30) ? 15'000 : 1'500));
    for (const Drawn& drawn : draw_upkeep(dice, script.settings, step)) add(drawn);
    at += milliseconds(20);
    add(draw_act(dice, script.settings));
  }
  return script;
}

DrainScript draw_stateful_drain_script(std::uint64_t seed) {
  DrainScript script = draw_drain_script(seed);
  // Not by whether the seed is even: that says if the network fails.
  script.settings.target = seed / 2 % 2 == 0 ? DrainTarget::kStatefulSet : DrainTarget::kParallelStatefulSet;
  return script;
}

}  // namespace poolwarden::scenarios
