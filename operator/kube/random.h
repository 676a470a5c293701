// Chance as an argument, like time: jitter that a test can fix and a seed can repeat.
#pragma once

#include <functional>

namespace poolwarden::kube {

using RandomSource = std::function<double()>;  // uniform in [0, 1)

}  // namespace poolwarden::kube
