// Why a pod cannot be an endpoint, in a person's words. The judgement is the operator's own
// (pool/membership.h); the words have more in them than the operator keeps of a pod. Pure.
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
  // Its own kubelet last said that it is ready.
  bool only_by_its_node = false;
};

// Nothing if the pod is fit. `events`: the pod's, newest first.
std::optional<PodReason> reason_against(const PodView& pod, const Lookup<NodeView>& node,
                                        const std::vector<EventView>& events, api::Timestamp now);

// The command that shows what is the matter with its node.
std::string look_at_node(const PodView& pod);

}  // namespace poolwarden::commands
