#include "pool/replica_sync.h"

#include "api/names.h"
#include "pool/replica_moves.h"

#include <algorithm>

#include <fmt/format.h>

namespace poolwarden::pool {
namespace {

EventNote scaled(const Snapshot& snapshot, const api::ScaleWrite& write) {
  const api::ScaleTargetRef& target = *snapshot.pool->scale_target;
  const std::string why = write.to > write.agreed
                              ? fmt::format("{} as the pool says and {} to replace what is about to go",
                                            write.agreed, write.to - write.agreed)
                              : std::string{"as the pool says"};
  return {.reason = std::string{api::event::kScaledTarget},
          .warning = false,
          .message = fmt::format("Scaled {} {} from {} to {} replicas, {}", target.kind, target.name,
                                 write.from, write.to, why)};
}

EventNote adopted(const Snapshot& snapshot, const api::AdoptWrite& write) {
  const api::ScaleTargetRef& target = *snapshot.pool->scale_target;
  const std::string before = write.from ? fmt::format("instead of {}", *write.from) : "as the pool had none";
  // Most likely a chart or a manifest that says `replicas` was applied; an autoscaler knows what it does.
  const bool fell = write.from && is_a_fall(*write.from, write.to) && snapshot.target_autoscalers.empty();
  return {.reason = std::string{api::event::kAdoptedReplicas},
          .warning = fell,
          .message = fmt::format(
              "Took over {} replicas from {} {}, {}{}", write.to, target.kind, target.name, before,
              fell ? fmt::format(". If nobody meant that: kubectl scale pwp/{} --replicas={}",
                                 snapshot.pool->name, *write.from)
                   : std::string{})};
}

}  // namespace

SyncDirection direction(std::optional<std::int32_t> pool, std::int32_t target,
                        std::optional<std::int32_t> agreed_before) {
  if (!pool) return SyncDirection::kTargetToPool;
  if (*pool == target) return SyncDirection::kAgreed;
  if (pool != agreed_before) return SyncDirection::kPoolToTarget;
  return SyncDirection::kTargetToPool;
}

std::optional<std::int32_t> agreed_before(const Snapshot& snapshot) {
  const std::string& target = snapshot.target->uid;
  if (snapshot.agreed)
    return snapshot.agreed->target == target ? std::optional{snapshot.agreed->replicas} : std::nullopt;
  const api::PoolStatus& status = snapshot.pool->status;
  return status.synced_target.empty() || status.synced_target == target ? status.synced_replicas
                                                                        : std::nullopt;
}

std::int32_t granted_surge(const Snapshot& snapshot) {
  const std::string& target = snapshot.target->uid;
  const api::PoolStatus& status = snapshot.pool->status;
  const bool to_another = (!status.synced_target.empty() && status.synced_target != target) ||
                          (snapshot.agreed && snapshot.agreed->target != target);
  return to_another ? 0 : status.surge_replicas;
}

bool autoscalers_compete(const Snapshot& snapshot) {
  return !snapshot.pool_autoscalers.empty() && !snapshot.target_autoscalers.empty();
}

void sync_replicas(const Observation& seen, Plan& plan) {
  const Snapshot& snapshot = *seen.snapshot;
  const api::InferencePool& pool = seen.pool();
  if (seen.hold != Hold::kNone || seen.target != TargetState::kFound) return;
  const api::Workload& target = *snapshot.target;
  if (target.deleting || snapshot.replicas_unsettled || autoscalers_compete(snapshot)) return;

  if (snapshot.replicas_wait.count() > 0) return plan.look_again_in(snapshot.replicas_wait);

  const auto agreed = agreed_before(snapshot);
  // What is there only until a replacement has come is in status before it is in the target: whoever comes
  // next knows it from a count that somebody wants.
  const std::int32_t granted = granted_surge(snapshot);
  const std::int32_t surge = std::min(plan.surge, granted);
  const auto is_lent = [&target, granted](std::int32_t beyond) {
    return target.replicas > beyond && target.replicas <= beyond + granted;
  };
  const bool surges = pool.replicas && pool.replicas == agreed && is_lent(*pool.replicas);
  const auto scale = [&](std::int32_t to) {
    plan.scale_target = api::ScaleWrite{.from = target.replicas,
                                        .to = to,
                                        .agreed = *pool.replicas,
                                        .target_uid = target.uid,
                                        .resource_version = target.resource_version};
    plan.scale_event = scaled(snapshot, *plan.scale_target);
  };
  switch (surges ? SyncDirection::kAgreed : direction(pool.replicas, target.replicas, agreed)) {
    case SyncDirection::kAgreed:
      plan.agreed = api::Agreement{.replicas = *pool.replicas, .target = target.uid};
      if (target.replicas != *pool.replicas + surge) scale(*pool.replicas + surge);
      break;
    case SyncDirection::kPoolToTarget:
      scale(*pool.replicas + surge);
      break;
    case SyncDirection::kTargetToPool: {
      // A pool that lost its count while a replacement comes is not meant to keep that one.
      const bool lent = agreed && is_lent(*agreed);
      plan.adopt_replicas = api::AdoptWrite{
          .from = pool.replicas, .to = lent ? *agreed : target.replicas, .target_uid = target.uid};
      plan.adopt_event = adopted(snapshot, *plan.adopt_replicas);
      break;
    }
  }
}

}  // namespace poolwarden::pool
