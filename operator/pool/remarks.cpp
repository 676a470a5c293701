#include "pool/remarks.h"

#include "api/names.h"

#include <string>

#include <fmt/format.h>

namespace poolwarden::pool {
namespace {

Remark deletes_not_held() {
  return {.condition = api::condition::kDisruptionSafe,
          .reason = "DeletesNotHeld",
          .message =
              "Pods that served were deleted lately while their ReplicaSet had too many, although the "
              "gate is there. If nobody deleted them by hand, kube-controller-manager runs without "
              "--use-service-account-credentials, and the gate does not know its ReplicaSet controller: "
              "kubectl apply -k manifests/overlays/shared-controller-user"};
}

// Who wrote what, the API server knows: managedFields are not kept here.
std::string who_wrote(const api::Deployment& target) {
  return fmt::format("kubectl get deployment {} -n {} -o yaml --show-managed-fields", target.name, target.ns);
}

Remark contested(const api::Deployment& target, const ReplicaMoves::Counts& counts) {
  return {
      .condition = api::condition::kDegraded,
      .reason = "ReplicasContested",
      .message = fmt::format("Somebody sets the pool to {} replicas and somebody else Deployment {} to {}, "
                             "again and again: they are carried over ever more slowly. Let only one of the "
                             "two say replicas. Who writes there: {}",
                             counts.pool, target.name, counts.target, who_wrote(target))};
}

Remark fell(const api::Deployment& target, const ReplicaMoves::Fall& fall) {
  return {
      .condition = api::condition::kDegraded,
      .reason = "ReplicasFell",
      .message = fmt::format("Deployment {} was set from {} to {} replicas, and the pool followed. If that "
                             "was a chart or a manifest that says replicas, leave them out there, and scale "
                             "the pool. Who wrote it: {}",
                             target.name, fall.from, fall.to, who_wrote(target))};
}

}  // namespace

std::vector<Remark> remarks_on_the_past(const Snapshot& snapshot, const SlippedDeletes& slipped,
                                        const ReplicaMoves& moves,
                                        std::chrono::steady_clock::time_point now) {
  std::vector<Remark> out;
  if (slipped.tell(now) && snapshot.gate == Gate::kPresent) out.push_back(deletes_not_held());
  if (snapshot.target == nullptr) return out;
  if (const auto counts = moves.contested(now)) {
    out.push_back(contested(*snapshot.target, *counts));
  } else if (const auto fall = moves.fall(now); fall && snapshot.target_autoscalers.empty()) {
    out.push_back(fell(*snapshot.target, *fall));
  }
  return out;
}

}  // namespace poolwarden::pool
