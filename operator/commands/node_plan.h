// What is next for the pool pods on a node that is being emptied. Pure.
#pragma once

#include "commands/view.h"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace poolwarden::commands {

struct NodePod {
  PodView pod;
  std::optional<EndpointView> endpoint;  // of its pool's status; of a worker, its leader's
  std::optional<PodView> leader = {};    // of a worker, which goes when its leader has drained

  // Whose requests in flight count.
  const PodView& answering() const { return leader ? *leader : pod; }
};

struct NodeLine {
  std::string pod;    // "default/vllm-0"
  std::string words;  // its state, with what changes by itself
  std::string news;   // without
};

struct NodePlan {
  std::vector<const NodePod*> evict;  // released, and nobody deletes them yet
  std::vector<NodeLine> lines;        // one for each pod that is left, in order
  std::vector<std::string> staying;   // pods that an eviction does not move, with the reason
  std::size_t draining = 0;
};

NodePlan plan_node(const std::vector<NodePod>& pods, api::Timestamp now);

}  // namespace poolwarden::commands
