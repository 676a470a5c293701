// Which pods serve as one: the leader and the workers of a group of a LeaderWorkerSet, one engine on several
// nodes. Clients reach the leader. What happens to a worker happens to the leader's answers.
// https://lws.sigs.k8s.io/docs/concepts/
//
// Pure.
#pragma once

#include "api/labels.h"
#include "api/objects.h"
#include "pool/plan.h"

#include <cstddef>
#include <optional>
#include <string>

namespace poolwarden::pool {

// Of a group so many pods are looked at, the first by name. Labels may be written by anybody, on any number
// of pods.
inline constexpr std::size_t kMaxGroup = 128;

// Of a pod of a group: which group of the namespace that is, "set/3". Nothing: it is of none.
std::optional<std::string> group_of(const api::Labels& labels);
bool is_leader(const api::Labels& labels);
// Of a group, and not its leader.
bool is_worker(const api::Labels& labels);

// What the group says about the leader of a verdict: who is not well withdraws it, whose node is emptied
// drains it. The leader itself has been judged before.
void judge_group(const Snapshot& snapshot, PodVerdict& leader);

// Workers of pods here are held against evictions for as long as their leaders are.
void label_workers(const Snapshot& snapshot, const PodVerdict& leader, bool leader_is_held, Plan& plan);

}  // namespace poolwarden::pool
