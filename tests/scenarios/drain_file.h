// A failing story of drains as a file: cut down to the acts that it needs, for a person to read, and to be
// run again.
#pragma once

#include "scenarios/drain_script.h"

#include <chrono>
#include <string>

namespace poolwarden::scenarios {

// Longer than any story takes, on a busy machine too.
inline constexpr std::chrono::seconds kLongestStory{60};

struct CutStory {
  DrainScript script;
  std::string failure;  // of what is left
  int tries = 0;
};

// Leaves out what it can while the same invariant breaks, as `failure` says; each try is a process of its
// own. A script that does not fail so again comes back whole, and without a failure.
CutStory cut_drain_story(const DrainScript& script, const std::string& failure, std::chrono::seconds at_most);

// The script, with its failure and what happened as comments. `path`: where it is to stand.
std::string drain_file(const CutStory& story, std::size_t acts_before, const std::string& path);

}  // namespace poolwarden::scenarios
