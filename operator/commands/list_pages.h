// All pages of a list, asked for one by one.
//
// Pure but for `ask`, which makes one call. A continue token expires after some minutes (410, "Expired"): the
// list then starts over, once. A page that is too long an answer is asked for again with half as many
// objects, and the next with twice as many. What cannot be read to its end is an error and never a shorter
// list.
#pragma once

#include "kube/client.h"
#include "kube/result.h"

#include <functional>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::commands {

using AskPage = std::function<kube::Result<nlohmann::json>(const kube::Call&)>;

// `scope` has the type, the namespace (empty: all) and the selectors.
kube::Result<std::vector<nlohmann::json>> list_pages(kube::Call scope, const AskPage& ask);

}  // namespace poolwarden::commands
