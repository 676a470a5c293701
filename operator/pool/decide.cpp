#include "pool/decide.h"

#include "pool/budget.h"
#include "pool/drains.h"
#include "pool/endpoint_slices.h"
#include "pool/endpoints.h"
#include "pool/observation.h"
#include "pool/pod_labels.h"
#include "pool/replica_sync.h"
#include "pool/service.h"
#include "pool/status.h"

#include <chrono>

namespace poolwarden::pool {
namespace {

// What is told of the past is told for a while, and its end is no event.
constexpr std::chrono::minutes kRemarksEndWithin{1};

}  // namespace

Plan decide(const Snapshot& snapshot, api::Now now) {
  Plan plan;
  // What it owns goes with it. Until then the list stays as it is: gateways keep the last list when the
  // ConfigMap disappears, and an empty one published just before would send them nowhere. Its pods are
  // nobody's already, which is not a pool's to act on.
  if (snapshot.pool->deleting) return plan;
  if (!snapshot.remarks.empty()) plan.look_again_in(kRemarksEndWithin);
  Observation seen = observe(snapshot);
  decide_drains(seen, plan, now);
  const PublishedList list = publish_endpoints(seen, plan);
  if (seen.hold == Hold::kBehind) return plan;  // for a moment: what status says of it would be out of date
  sync_replicas(seen, plan);
  const SlicesFound slices = keep_slices(seen, plan);
  const std::string service_note = keep_service(seen, slices, plan);
  label_pods(seen, plan, now);
  keep_budget(seen, plan);
  auto status = wanted_status(seen, plan, list, service_note, now.wall);
  if (status != snapshot.pool->status) plan.status = std::move(status);
  return plan;
}

}  // namespace poolwarden::pool
