#include "pool/replica_sync.h"

#include "api/names.h"

#include <fmt/format.h>

namespace poolwarden::pool {
namespace {

EventNote scaled(const api::Deployment& target, const api::ScaleWrite& write) {
  return {.reason = std::string{api::event::kScaledTarget},
          .warning = false,
          .message = fmt::format("Scaled Deployment {} from {} to {} replicas, as the pool says", target.name,
                                 write.from, write.to)};
}

EventNote adopted(const api::Deployment& target, const api::AdoptWrite& write) {
  const std::string before = write.from ? fmt::format("instead of {}", *write.from) : "as the pool had none";
  return {
      .reason = std::string{api::event::kAdoptedReplicas},
      .warning = false,
      .message = fmt::format("Took over {} replicas from Deployment {}, {}", write.to, target.name, before)};
}

}  // namespace

SyncDirection direction(std::optional<std::int32_t> pool, std::int32_t target,
                        std::optional<std::int32_t> agreed_before) {
  if (!pool) return SyncDirection::kTargetToPool;
  if (*pool == target) return SyncDirection::kAgreed;
  if (pool != agreed_before) return SyncDirection::kPoolToTarget;
  return SyncDirection::kTargetToPool;
}

bool autoscalers_compete(const Snapshot& snapshot) {
  return !snapshot.pool_autoscalers.empty() && !snapshot.target_autoscalers.empty();
}

void sync_replicas(const Observation& seen, Plan& plan) {
  const Snapshot& snapshot = *seen.snapshot;
  const api::InferencePool& pool = seen.pool();
  if (seen.hold != Hold::kNone || seen.target != TargetState::kFound) return;
  const api::Deployment& target = *snapshot.target;
  if (target.deleting || snapshot.replicas_unsettled || autoscalers_compete(snapshot)) return;

  const auto agreed_before =
      snapshot.synced_replicas ? snapshot.synced_replicas : pool.status.synced_replicas;
  switch (direction(pool.replicas, target.replicas, agreed_before)) {
    case SyncDirection::kAgreed:
      plan.synced_replicas = target.replicas;
      break;
    case SyncDirection::kPoolToTarget:
      plan.scale_target = api::ScaleWrite{
          .from = target.replicas, .to = *pool.replicas, .resource_version = target.resource_version};
      plan.scale_event = scaled(target, *plan.scale_target);
      break;
    case SyncDirection::kTargetToPool:
      plan.adopt_replicas = api::AdoptWrite{.from = pool.replicas, .to = target.replicas};
      plan.adopt_event = adopted(target, *plan.adopt_replicas);
      break;
  }
}

}  // namespace poolwarden::pool
