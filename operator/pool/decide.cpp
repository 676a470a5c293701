#include "pool/decide.h"

#include "pool/endpoints.h"
#include "pool/observation.h"
#include "pool/pod_labels.h"
#include "pool/replica_sync.h"
#include "pool/service.h"
#include "pool/status.h"

namespace poolwarden::pool {

Plan decide(const Snapshot& snapshot, api::Now now) {
  const Observation seen = observe(snapshot);
  Plan plan;
  const PublishedList list = publish_endpoints(seen, plan);
  sync_replicas(seen, plan);
  const std::string service_note = keep_service(seen, plan);
  label_pods(seen, plan);
  // Nobody reads the status of a pool that is going, and the write would race with its end.
  if (snapshot.pool->deleting) return plan;
  auto status = wanted_status(seen, plan, list, service_note, now.wall);
  if (status != snapshot.pool->status) plan.status = std::move(status);
  return plan;
}

}  // namespace poolwarden::pool
