#include "pool/withdrawal.h"

#include <map>

namespace poolwarden::pool {

PodVerdict judge_endpoint(const api::Pod* pod, const api::LabelSelector* selector, const NodeLookup& node) {
  PodVerdict out;
  if (pod == nullptr) {
    out.reason = Withdrawal::kDeleted;
    out.detail = "it is no longer there";
    return out;
  }
  if (selector != nullptr && !selector->matches(*pod->labels)) {
    out.pod = pod;
    out.reason = Withdrawal::kRelabelled;
    out.detail = "its labels no longer match the pool's selector";
    return out;
  }
  return judge(*pod, node);
}

std::vector<EndpointChange> withdraw(api::EndpointSet& list, const std::vector<UnfitEndpoint>& unfit,
                                     std::int64_t revision) {
  // Found by name: to look at the UID of each endpoint of a large list takes longer than all the rest.
  std::map<const api::Endpoint*, const UnfitEndpoint*> gone;
  for (const UnfitEndpoint& one : unfit) {
    const api::Endpoint* endpoint = api::find_endpoint(list, one.pod, one.uid);
    if (endpoint != nullptr) gone.emplace(endpoint, &one);
  }
  std::vector<EndpointChange> changes;
  for (const auto& [endpoint, why] : gone) {
    if (endpoint->state != api::EndpointState::kReady) continue;
    changes.push_back({.pod = endpoint->pod,
                       .uid = endpoint->uid,
                       .ip = endpoint->ip,
                       .reason = why->reason,
                       .detail = why->detail,
                       .again = false});
  }
  std::erase_if(list.endpoints, [&gone](const api::Endpoint& endpoint) { return gone.contains(&endpoint); });
  list.revision = revision;
  return changes;
}

}  // namespace poolwarden::pool
