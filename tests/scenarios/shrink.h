// Cuts a list that makes something fail down to what it needs for that (delta debugging), and tells by its
// text whether a failure is the same one.
//
// Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (IEEE Transactions on Software
// Engineering 28, 2002). Of the two halves of ddmin only the leaving out is here: a story needs acts from its
// beginning and its end together, and hardly ever fails on one part of it alone.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::scenarios {

using Kept = std::vector<std::size_t>;  // indices, in order

struct Shrunk {
  Kept kept;
  int tries = 0;
};

// All `count` together are known to fail. After so many tries the best until then is the result; with enough
// of them, nothing of it can be left out alone.
Shrunk shrink(std::size_t count, const std::function<bool(const Kept&)>& fails, int most_tries);

// The first words of a failure without names, numbers and times: the invariant that it breaks.
std::string failure_kind(std::string_view failure);

}  // namespace poolwarden::scenarios
