// What happens in a story of drains, as a list that a person can read, edit and run again.
//
// Every act stands at a time of its own and says all that it does. So any of them can be left out, and the
// others stay what they were. The text has a line for each setting and each act; # begins a comment:
//   seed 17
//   timeout 20
//   21.480 scale target 2
//   24.113 pod 7 delete
// A pod is meant by its place among those that are there, sorted by name and counted round: there may be none
// of its name where another act was left out. Drawn by drain_draw.h, done by drain_acts.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::scenarios {

enum class DrainTarget : std::uint8_t { kDeployment, kStatefulSet, kParallelStatefulSet };

struct DrainSettings {
  std::uint64_t seed = 1;
  DrainTarget target = DrainTarget::kDeployment;
  bool faulty = false;  // the network and the API server fail
  int timeout = 0;      // spec.drain.timeoutSeconds
  int operators = 1;    // two elect a leader
  int replicas = 2;
  bool replace_first = false;
  bool honest_engines = false;  // else some lie, or hang
  bool upgrade = true;          // at the end a person empties all nodes but one

  friend bool operator==(const DrainSettings&, const DrainSettings&) = default;
};

struct DrainAct {
  std::chrono::milliseconds at{};  // since the world began
  std::string verb;
  std::vector<std::string> words;

  friend bool operator==(const DrainAct&, const DrainAct&) = default;
};

struct DrainScript {
  DrainSettings settings;
  std::vector<DrainAct> acts;  // by time

  friend bool operator==(const DrainScript&, const DrainScript&) = default;
};

// The notes, of each act or of none, become comments beside them.
std::string to_text(const DrainScript& script, const std::vector<std::string>& notes = {});
// Throws std::runtime_error, with the line and what is wrong in it.
DrainScript parse_drain_script(std::string_view text);

}  // namespace poolwarden::scenarios
