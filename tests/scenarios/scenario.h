// Scenarios: text files that tell how something goes wrong, and what must be true then.
//
// A line is a verb and its words; `#` begins a comment; the comment that opens the file is its story. Each
// line runs at one moment of the virtual clock; only `tick` and `settle` let time pass. After every line the
// invariants (sim/invariants.h) must hold, and at the end the cluster must come to rest with the published
// lists equal to the truth, unless the last word is `end`. An unknown verb, a missing word or a word too many
// fails the scenario, with its line.
#pragma once

#include <string>
#include <vector>

namespace poolwarden::scenarios {

// Nothing if it passed, else "file:line: what was wrong" and what the operator had logged.
std::string run_scenario(const std::string& path);
std::vector<std::string> find_scenarios(const std::string& directory);

}  // namespace poolwarden::scenarios
