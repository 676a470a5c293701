#include "pool/withdrawal.h"

#include <string_view>
#include <unordered_map>

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
  std::unordered_map<std::string_view, const UnfitEndpoint*> by_uid;
  for (const UnfitEndpoint& one : unfit) by_uid.emplace(one.uid, &one);
  std::vector<EndpointChange> changes;
  std::erase_if(list.endpoints, [&](const api::Endpoint& endpoint) {
    const auto found = by_uid.find(endpoint.uid);
    if (found == by_uid.end()) return false;
    if (endpoint.state == api::EndpointState::kReady) {
      changes.push_back({.pod = endpoint.pod,
                         .uid = endpoint.uid,
                         .ip = endpoint.ip,
                         .reason = found->second->reason,
                         .detail = found->second->detail,
                         .again = false});
    }
    return true;
  });
  list.revision = revision;
  return changes;
}

}  // namespace poolwarden::pool
