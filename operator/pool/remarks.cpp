#include "pool/remarks.h"

#include "api/names.h"

#include <algorithm>
#include <cctype>
#include <string>

#include <fmt/format.h>

namespace poolwarden::pool {
namespace {

Remark deletes_not_held() {
  return {.condition = api::condition::kDisruptionSafe,
          .reason = "DeletesNotHeld",
          .message =
              "Pods that served were deleted lately while their controller had too many, although the "
              "gate is there. If nobody deleted them by hand, kube-controller-manager runs without "
              "--use-service-account-credentials, and the gate does not know its controllers: "
              "kubectl apply -k manifests/overlays/shared-controller-user"};
}

// Who wrote what, the API server knows: managedFields are not kept here.
std::string who_wrote(const api::InferencePool& pool) {
  std::string kind = pool.scale_target->kind;
  std::transform(kind.begin(), kind.end(), kind.begin(), [](unsigned char c) { return std::tolower(c); });
  return fmt::format("kubectl get {} {} -n {} -o yaml --show-managed-fields", kind, pool.scale_target->name,
                     pool.ns);
}

Remark contested(const api::InferencePool& pool, const ReplicaMoves::Counts& counts) {
  return {.condition = api::condition::kDegraded,
          .reason = "ReplicasContested",
          .message = fmt::format(
              "Somebody sets the pool to {} replicas and somebody else {} {} to {}, "
              "again and again: they are carried over ever more slowly. Let only one of the "
              "two say replicas. Who writes there: {}",
              counts.pool, pool.scale_target->kind, pool.scale_target->name, counts.target, who_wrote(pool))};
}

Remark fell(const api::InferencePool& pool, const ReplicaMoves::Fall& fall) {
  return {.condition = api::condition::kDegraded,
          .reason = "ReplicasFell",
          .message = fmt::format(
              "{} {} was set from {} to {} replicas, and the pool followed. If that "
              "was a chart or a manifest that says replicas, leave them out there, and scale "
              "the pool. Who wrote it: {}",
              pool.scale_target->kind, pool.scale_target->name, fall.from, fall.to, who_wrote(pool))};
}

}  // namespace

std::vector<Remark> remarks_on_the_past(const Snapshot& snapshot, const SlippedDeletes& slipped,
                                        const ReplicaMoves& moves,
                                        std::chrono::steady_clock::time_point now) {
  std::vector<Remark> out;
  if (slipped.tell(now) && snapshot.gate == Gate::kPresent) out.push_back(deletes_not_held());
  if (snapshot.target == nullptr) return out;
  if (const auto counts = moves.contested(now)) {
    out.push_back(contested(*snapshot.pool, *counts));
  } else if (const auto fall = moves.fall(now); fall && snapshot.target_autoscalers.empty()) {
    out.push_back(fell(*snapshot.pool, *fall));
  }
  return out;
}

}  // namespace poolwarden::pool
