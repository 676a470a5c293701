// Which pods a ReplicaSet deletes first when it has too many.
//
// Exactly the order of Kubernetes' ActivePodsWithRanks, pkg/controller/controller_utils.go, with the gates
// PodDeletionCost and LogarithmicScaleDown on, as they are by default.
#pragma once

#include "api/time.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::cluster {

struct VictimFacts {
  enum class Phase : std::uint8_t { kPending, kUnknown, kRunning };

  std::string uid;
  std::string node;  // empty: not bound
  Phase phase = Phase::kPending;
  bool ready = false;
  std::int32_t deletion_cost = 0;
  int related_on_node = 0;  // active pods of the same controller on the node
  std::optional<api::Timestamp> ready_since;
  int restarts = 0;  // of the container that restarted most
  std::optional<api::Timestamp> created;
};

// All but related_on_node, which needs the other pods.
VictimFacts victim_facts(const nlohmann::json& pod);

// The annotation controller.kubernetes.io/pod-deletion-cost: an int32 in decimal, without '+' or leading
// zeros; anything else counts as 0.
std::int32_t parse_deletion_cost(std::string_view text);

// Whether `a` is deleted before `b`.
bool goes_before(const VictimFacts& a, const VictimFacts& b, api::Timestamp now);

// The indices of the `count` first victims. Stable: what compares equal keeps its order.
std::vector<std::size_t> choose_victims(const std::vector<VictimFacts>& pods, std::size_t count,
                                        api::Timestamp now);

}  // namespace poolwarden::cluster
