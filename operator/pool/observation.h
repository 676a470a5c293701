// A snapshot, read once: what may be acted on, which pods are the pool's, and what each of them is worth.
#pragma once

#include "pool/plan.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::pool {

// Why the pool's pods cannot be told just now. Then nobody joins the list and what is published stays (fail
// static). But a listed pod that is seen to go leaves it all the same, unless pods cannot be seen at all.
enum class Hold : std::uint8_t {
  kNone,
  kCannotRead,   // pods or ConfigMaps cannot be read
  kBehind,       // the list was made from newer pods than are known here
  kInvalidSpec,  // the pool says nothing usable
  kNoSelector,   // it has none of its own, and its target is not there to take it from
};

enum class TargetState : std::uint8_t { kNotConfigured, kFound, kNotFound, kUnknown, kWrongKind };

TargetState target_state(const Snapshot& snapshot);

// Whom the pool selects: its own selector, or that of its target. Nothing if neither is there, if the
// selector that counts is empty, or if the target's cannot be used. Whether the pool's own can be used,
// api::problems() says. Of a LeaderWorkerSet it selects the leaders, unless it asks for workers by their
// label. `target` may be null.
std::optional<api::LabelSelector> selector_in_force(const api::InferencePool& pool,
                                                    const api::Workload* target);

// Borrows from the snapshot.
struct Observation {
  const Snapshot* snapshot = nullptr;
  Hold hold = Hold::kNone;
  TargetState target = TargetState::kNotConfigured;
  std::vector<std::string> problems;           // of the spec
  std::optional<api::LabelSelector> selector;  // in force; nothing when there is none
  std::vector<PodVerdict> members;             // pods that match, sorted by name
  // Of a pool on hold: pods that drain, finish, or are asked to go. Their own marks say how they go on.
  std::vector<PodVerdict> on_hold;
  std::vector<const api::Pod*> unselected;  // the snapshot's other pods
  std::vector<Remark> remarks;              // of this pass; beside the snapshot's

  const api::InferencePool& pool() const { return *snapshot->pool; }
  const api::Pod* pod(std::string_view name) const;  // of the snapshot; null if it has none of that name
  // Null if the pod of that name and UID is none.
  const PodVerdict* member(std::string_view name, std::string_view uid) const;
  // Endpoints that are not ready, as too few are.
  std::int32_t in_panic() const;
  bool is_undecided() const { return hold == Hold::kInvalidSpec || hold == Hold::kNoSelector; }
  std::int32_t active() const;     // members that neither end nor have ended
  std::int32_t endpoints() const;  // members that may be sent requests
};

Observation observe(const Snapshot& snapshot);

// What a pod of the snapshot is worth, its drain and the others apart. While many nodes are unseen, whoever
// has been an endpoint stays one, and nobody else there becomes one.
PodVerdict judge(const Snapshot& snapshot, const api::Pod& pod);
// The same without its group and its template. `endpoint`: itself, or the leader of its group.
PodVerdict judge_alone(const Snapshot& snapshot, const api::Pod& pod, const api::Pod& endpoint);
// That this pod of its group has to leave its node, if it has. One that came before its node was emptied
// counts before others, and then one whose node ends within moments.
void note_emptied(const Snapshot& snapshot, PodVerdict& verdict, const api::Pod& pod, const api::Node* node);
// Whether a ReplicaSet of the pool's target controls the pod. Nothing: its ReplicaSet is not known.
std::optional<bool> is_of_target(const Snapshot& snapshot, const api::Pod& pod);

}  // namespace poolwarden::pool
