// From a container of a pod to what is started: environment and arguments, with the downward API and $(VAR)
// filled in. Pure.
// https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
#pragma once

#include "support/cluster/runtime.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>
#include <tl/expected.hpp>

namespace poolwarden::cluster {

using Environment = std::vector<std::pair<std::string, std::string>>;

// "$(NAME)" becomes the variable's value if there is one and stays as it is otherwise; "$$" stands for "$".
std::string expand(std::string_view text, const Environment& env);

// An error is a sentence for the container's "waiting" message. `ip` is the pod's, which its status need not
// show yet. POD_NAME, POD_NAMESPACE and POD_IP are set even if the container does not ask for them.
tl::expected<LaunchSpec, std::string> launch_spec(const nlohmann::json& pod, const nlohmann::json& container,
                                                  const std::string& ip);

}  // namespace poolwarden::cluster
