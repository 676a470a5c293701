#include "support/cluster/control_plane.h"

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
    statefulsets_.step(model, now);
    scheduler_.step(model, now);
    seen_ = model.revision();
    if (seen_ == before) return;
  }
}

std::optional<Timestamp> ControlPlane::next_deadline() const {
  std::optional<Timestamp> first;
  for (const auto& next :
       {deployments_.next_deadline(), replicasets_.next_deadline(), statefulsets_.next_deadline()}) {
    if (next && (!first || *next < *first)) first = next;
  }
  return first;
}

}  // namespace poolwarden::cluster
