// Chance as an argument: base/random.h, under the names that kube/ uses.
#pragma once

#include "base/random.h"

namespace poolwarden::kube {

using base::RandomSource;
using base::seeded_random;

}  // namespace poolwarden::kube
