#include "pool/pod_labels.h"

#include "api/names.h"
#include "pool/membership.h"

namespace poolwarden::pool {
namespace {

api::PodLabelWrite write_to(const api::Pod& pod, std::optional<std::string> serving) {
  return {.name = pod.name,
          .uid = pod.uid,
          .resource_version = pod.resource_version,
          .serving = std::move(serving)};
}

// A label only this pool has a say in, on a pod that will still be there to show it.
bool is_ours_to_remove(const api::Pod& pod, const Snapshot& snapshot) {
  return pod.serving && !pod.deletion_timestamp && !snapshot.pods_of_others.contains(pod.uid);
}

void take_labels_off(const Observation& seen, Plan& plan) {
  for (const api::Pod* pod : seen.snapshot->pods) {
    if (is_ours_to_remove(*pod, *seen.snapshot)) plan.pod_labels.push_back(write_to(*pod, std::nullopt));
  }
}

void label_members(const Observation& seen, Plan& plan) {
  for (const PodVerdict& member : seen.members) {
    const api::Pod& pod = *member.pod;
    const bool serves = member.reason == Withdrawal::kNone;
    if (pod.deletion_timestamp || (!pod.serving && !serves)) continue;
    const std::string_view wanted = serves ? api::serving::kTrue : api::serving::kFalse;
    if (pod.serving != wanted) plan.pod_labels.push_back(write_to(pod, std::string{wanted}));
  }
  for (const api::Pod* pod : seen.strays) {
    if (is_ours_to_remove(*pod, *seen.snapshot)) plan.pod_labels.push_back(write_to(*pod, std::nullopt));
  }
}

}  // namespace

void label_pods(const Observation& seen, Plan& plan) {
  if (seen.pool().deleting) {
    take_labels_off(seen, plan);
    return;
  }
  if (seen.hold != Hold::kNone) return;
  label_members(seen, plan);
}

}  // namespace poolwarden::pool
