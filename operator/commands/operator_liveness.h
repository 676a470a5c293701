// Whether an operator seems to run, as far as its Lease tells. Pure.
#pragma once

#include "commands/lookup.h"
#include "commands/view.h"

#include <optional>
#include <string>

namespace poolwarden::commands {

// Nothing while one seems to run, or where that cannot be told. Otherwise what is known, and where to look.
std::optional<std::string> operator_problem(const Lookup<LeaseView>& lease, api::Timestamp now);

}  // namespace poolwarden::commands
