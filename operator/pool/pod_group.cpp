#include "pool/pod_group.h"

#include "api/names.h"
#include "api/target_kind.h"
#include "pool/observation.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::pool {
namespace {

void withdraw_for(PodVerdict& leader, std::string detail, bool only_by_its_node) {
  leader.reason = Withdrawal::kGroupNotReady;
  leader.detail = std::move(detail);
  leader.only_by_its_node = only_by_its_node;
  leader.fit = false;
}

}  // namespace

std::optional<std::string> group_of(const api::Labels& labels) {
  const auto set = labels.find(api::kGroupSetLabel);
  if (!set) return std::nullopt;  // nearly all pods
  const auto index = labels.find(api::kGroupIndexLabel);
  if (!index || !labels.find(api::kWorkerIndexLabel)) return std::nullopt;
  return fmt::format("{}/{}", *set, *index);
}

bool is_leader(const api::Labels& labels) {
  return labels.find(api::kWorkerIndexLabel) == api::kLeaderIndex;
}

bool is_worker(const api::Labels& labels) {
  const auto index = labels.find(api::kWorkerIndexLabel);
  return index && *index != api::kLeaderIndex;
}

void judge_group(const Snapshot& snapshot, PodVerdict& leader) {
  note_emptied(snapshot, leader, *leader.pod, leader.node);
  if (!is_leader(*leader.pod->labels)) return;
  std::int32_t there = 1;
  for (const api::Pod* worker : snapshot.workers_of(*leader.pod)) {
    const PodVerdict one = judge_alone(snapshot, *worker, *leader.pod);
    note_emptied(snapshot, leader, *worker, one.node);
    if (!worker->deletion_timestamp) ++there;
    if (one.fit || !leader.fit) continue;
    withdraw_for(leader, fmt::format("its worker {}: {}", worker->name, one.detail), one.only_by_its_node);
  }
  // Its own word, and not that of its set: when that is given another size, groups follow one after the
  // other.
  const std::int32_t size = std::min<std::int32_t>(leader.pod->group_size, kMaxGroup);
  if (leader.fit && there < size)
    withdraw_for(leader, fmt::format("its group has {} of {} pods", there, size), false);
}

void label_workers(const Snapshot& snapshot, const PodVerdict& leader, bool leader_is_held, Plan& plan) {
  const auto& workers = snapshot.workers_of(*leader.pod);
  // Of another pool the budget does not select them.
  if (workers.empty() || api::target_kind(*snapshot.pool) != api::TargetKind::kLeaderWorkerSet) return;
  for (const api::Pod* worker : workers) {
    if (worker->deletion_timestamp || !snapshot.is_written(*worker)) continue;
    // Any other label is that of a pod which a pool selects.
    const bool is_member = worker->serving == api::serving::kMember;
    if (is_member == leader_is_held || (worker->serving && !is_member)) continue;
    plan.pod_labels.push_back(
        {.name = worker->name,
         .uid = worker->uid,
         .resource_version = worker->resource_version,
         .serving = leader_is_held ? std::optional{std::string{api::serving::kMember}} : std::nullopt,
         .annotations = {}});
  }
}

}  // namespace poolwarden::pool
