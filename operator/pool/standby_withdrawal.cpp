#include "pool/standby_withdrawal.h"

#include <utility>

namespace poolwarden::pool {
namespace {

// Its kubelet may be well and only unheard of: what is said of such a pod is said because it cannot be seen.
bool is_unseen(const api::Pod& pod, const NodeLookup& node) {
  if (pod.ready == api::Tristate::kUnknown || is_unready_by_its_node(pod)) return true;
  const api::Node* of_pod = node ? node(pod) : nullptr;
  return of_pod != nullptr && of_pod->ready != api::Tristate::kTrue;
}

bool may_withdraw_in_standby(const StandbyView& seen) {
  return !seen.pool->deleting && seen.config_map != nullptr && !seen.config_map->pods_version.empty() &&
         !seen.pods_behind;
}

}  // namespace

PodVerdict judge_in_standby(const api::Pod* pod, const NodeLookup& node) {
  PodVerdict verdict = judge_endpoint(pod, nullptr, {});
  const bool for_readiness =
      verdict.reason == Withdrawal::kNotReady || verdict.reason == Withdrawal::kNoReadyCondition;
  if (for_readiness && is_unseen(*pod, node)) verdict.reason = Withdrawal::kNone;
  return verdict;
}

std::vector<UnfitEndpoint> unfit_in_standby(const StandbyView& seen) {
  std::vector<UnfitEndpoint> unfit;
  if (!may_withdraw_in_standby(seen)) return unfit;
  for (const auto& [uid, name] : *seen.listed) {
    const api::Pod* pod = seen.pod(name);
    const bool same = pod != nullptr && pod->uid == uid;
    PodVerdict verdict = judge_in_standby(same ? pod : nullptr, seen.node);
    // Whether it stays for all that depends on the others.
    if (verdict.reason == Withdrawal::kNotReady && seen.pool->publish.panic_threshold > 0) continue;
    if (verdict.reason != Withdrawal::kNone)
      unfit.push_back({uid, verdict.reason, std::move(verdict.detail)});
  }
  return unfit;
}

}  // namespace poolwarden::pool
