#include "support/cluster/control_plane.h"

#include <algorithm>

namespace poolwarden::cluster {

namespace {
// A rollout's next wave needs a few rounds; more would be two controllers at odds, and ends here.
constexpr int kMaxRounds = 32;
constexpr std::chrono::seconds kRetryPeriod{1};
}  // namespace

void ControlPlane::step(Model& model, Timestamp now) {
  const auto due = next_deadline();
  const bool overdue = (due && *due <= now) || now >= stepped_ + kRetryPeriod;
  if (model.revision() == seen_ && !overdue) return;
  stepped_ = now;
  for (int round = 0; round < kMaxRounds; ++round) {
    const std::uint64_t before = model.revision();
    deployments_.step(model, now);
    replicasets_.step(model, now);
    scheduler_.step(model, now);
    seen_ = model.revision();
    if (seen_ == before) return;
  }
}

std::optional<Timestamp> ControlPlane::next_deadline() const {
  const auto deployments = deployments_.next_deadline();
  const auto replicasets = replicasets_.next_deadline();
  if (!deployments || !replicasets) return deployments ? deployments : replicasets;
  return std::min(*deployments, *replicasets);
}

}  // namespace poolwarden::cluster
