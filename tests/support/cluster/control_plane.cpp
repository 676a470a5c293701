#include "support/cluster/control_plane.h"

#include <algorithm>

namespace poolwarden::cluster {

namespace {
// A rollout's next wave needs a few rounds; more would be two controllers at odds, and ends here.
constexpr int kMaxRounds = 32;
}  // namespace

void ControlPlane::step(Model& model, Timestamp now) {
  for (int round = 0; round < kMaxRounds; ++round) {
    const std::uint64_t before = model.revision();
    deployments_.step(model, now);
    replicasets_.step(model, now);
    scheduler_.step(model, now);
    if (model.revision() == before) return;
  }
}

std::optional<Timestamp> ControlPlane::next_deadline() const {
  const auto deployments = deployments_.next_deadline();
  const auto replicasets = replicasets_.next_deadline();
  if (!deployments || !replicasets) return deployments ? deployments : replicasets;
  return std::min(*deployments, *replicasets);
}

}  // namespace poolwarden::cluster
