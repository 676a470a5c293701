// Why a pod cannot be an endpoint, in a person's words, from the pod itself. Pure.
#pragma once

#include "commands/lookup.h"
#include "commands/view.h"

#include <optional>
#include <string>
#include <vector>

namespace poolwarden::commands {

struct PodReason {
  std::string reason;  // as in status.endpoints[].reason (docs/contract.md)
  std::string words;   // "it has no node yet: 0/3 nodes are available: ..."
  std::string fix;     // may be empty
};

// Nothing if the pod is fit. The order is the operator's: the most certain reason first. `events`: the pod's,
// newest first.
std::optional<PodReason> reason_against(const PodView& pod, const Lookup<NodeView>& node,
                                        const std::vector<EventView>& events, api::Timestamp now);

// The command that shows what is the matter with its node.
std::string look_at_node(const PodView& pod);

}  // namespace poolwarden::commands
