// What changed in a pool, one line for each change: `watch` where there is no terminal to draw on. Pure.
#pragma once

#include "commands/view.h"

#include <string>
#include <vector>

namespace poolwarden::commands {

// Null `before`: it is new, or was there when the watch began. Null `after`: it is gone.
std::vector<std::string> changes(const PoolView* before, const PoolView* after, api::Timestamp now);

}  // namespace poolwarden::commands
