#include "pool/pod_labels.h"

#include "api/names.h"
#include "pool/membership.h"

#include <algorithm>

#include <fmt/format.h>

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

EventNote labels_left(const Observation& seen) {
  const Snapshot& snapshot = *seen.snapshot;
  const std::string_view cause =
      snapshot.can_see ? std::string_view{snapshot.labels_error} : "pods cannot be read";
  return {.reason = std::string{api::event::kLabelsLeft},
          .warning = true,
          .message =
              fmt::format("The pool goes although pods may keep the label {}: {}. To take it off: "
                          "kubectl label pods -n {} -l {} {}-",
                          api::kServingLabel, cause, seen.pool().ns, api::kServingLabel, api::kServingLabel)};
}

bool has_finalizer(const api::InferencePool& pool) {
  return std::find(pool.finalizers.begin(), pool.finalizers.end(), api::kFinalizer) != pool.finalizers.end();
}

void take_labels_off(const Observation& seen, Plan& plan) {
  const Snapshot& snapshot = *seen.snapshot;
  // Labels that cannot be taken off, or failed to come off again and again, must not keep the pool: one that
  // cannot be deleted helps nobody. Pods that no pool selects are freed of the label later, when that works.
  const bool hopeless = !snapshot.can_see || !snapshot.labels_error.empty();
  if (!hopeless) {
    for (const api::Pod* pod : snapshot.pods) {
      if (is_ours_to_remove(*pod, snapshot)) plan.pod_labels.push_back(write_to(*pod, std::nullopt));
    }
  }
  if (!has_finalizer(seen.pool()) || !plan.pod_labels.empty()) return;
  plan.finalizer = false;
  if (hopeless) plan.events.push_back(labels_left(seen));
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
  if (!has_finalizer(seen.pool())) {
    plan.finalizer = true;
    return;
  }
  label_members(seen, plan);
}

}  // namespace poolwarden::pool
