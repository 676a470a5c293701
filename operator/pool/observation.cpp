#include "pool/observation.h"

#include "api/names.h"
#include "api/target_kind.h"
#include "pool/drain.h"
#include "pool/draining_nodes.h"
#include "pool/membership.h"
#include "pool/pod_group.h"

#include <algorithm>
#include <utility>

namespace poolwarden::pool {
namespace {

Hold hold_of(const Observation& seen) {
  if (!seen.snapshot->can_see) return Hold::kCannotRead;
  if (seen.snapshot->pods_behind || seen.snapshot->target_awaited) return Hold::kBehind;
  if (!seen.problems.empty()) return Hold::kInvalidSpec;
  if (!seen.selector) return Hold::kNoSelector;
  return Hold::kNone;
}

// Nobody else decides about it, and it goes on as its own marks say.
bool goes_on(const Snapshot& snapshot, const PodVerdict& verdict) {
  const api::Pod& pod = *verdict.pod;
  if (!is_active(pod) || !pod.serving || snapshot.decided_by_others.contains(pod.uid)) return false;
  const DrainState state = drain_state(pod);
  // One that was kept because too few are ready is on the list, and stays as it is.
  const bool stays_listed = snapshot.pool->publish.panic_threshold > 0 &&
                            verdict.reason == Withdrawal::kNotReady && snapshot.is_listed(pod.uid);
  return !std::holds_alternative<NotDraining>(state) || pod.drain_annotations().request ||
         (may_have_to_finish(verdict) && !stays_listed);
}

bool has_been_an_endpoint(const Snapshot& snapshot, const api::Pod& pod) {
  return pod.serving || snapshot.is_listed(pod.uid) || snapshot.once_published->contains(pod.uid);
}

bool is_on_its_way_out(const PodVerdict& member) {
  return drains(drain_state(*member.pod));
}

// Whose server misses its probe, and may answer all the same. One that has finished, or never was an
// endpoint, is no help to anybody; nor is one whose node is not well.
bool helps_in_panic(const Snapshot& snapshot, const PodVerdict& member) {
  const bool node_is_well = member.node == nullptr || member.node->ready == api::Tristate::kTrue ||
                            snapshot.unseen_nodes.has_value();  // not seeing is no sign
  return member.reason == Withdrawal::kNotReady && !member.only_by_its_node && node_is_well &&
         is_held(member.pod->serving) && !is_on_its_way_out(member) && !member.pod->ip.empty();
}

// Where all replicas are saturated at once, an empty list would make of a slow pool one that is out.
// https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/panic_threshold
void keep_in_panic(Observation& seen) {
  const std::int64_t threshold = seen.pool().publish.panic_threshold;
  if (threshold == 0) return;
  const auto ready = std::count_if(seen.members.begin(), seen.members.end(), [](const auto& member) {
    return member.fit && !is_on_its_way_out(member);
  });
  const auto helps = [&seen](const PodVerdict& member) { return helps_in_panic(*seen.snapshot, member); };
  const auto unready = std::count_if(seen.members.begin(), seen.members.end(), helps);
  if (unready == 0 || ready * 100 >= threshold * (ready + unready)) return;
  for (PodVerdict& member : seen.members) {
    if (!helps(member)) continue;
    member.reason = Withdrawal::kNone;
    member.detail.clear();
    member.fit = true;
    member.in_panic = true;
  }
}

// Of a blue-green Rollout only pods of the active template get requests. Those of one that comes are no
// endpoints yet. Those of one that was active finish what they have.
void judge_template(const Snapshot& snapshot, PodVerdict& verdict) {
  if (snapshot.target == nullptr || snapshot.target->active_template.empty()) return;
  const auto its_own = verdict.pod->labels->find(api::kTemplateHashLabel);
  if (!its_own || *its_own == snapshot.target->active_template) return;
  if (!is_of_target(snapshot, *verdict.pod).value_or(true)) return;
  verdict.superseded = has_been_an_endpoint(snapshot, *verdict.pod);
  if (verdict.superseded || !verdict.fit) return;
  verdict.reason = Withdrawal::kPreview;
  verdict.detail = "its template is not the one that is active";
  verdict.fit = false;
}

// The watch of the target may be ahead of that of pods: nobody goes before as many of the active template
// serve.
void keep_superseded(Observation& seen) {
  if (seen.snapshot->target == nullptr || seen.snapshot->target->active_template.empty()) return;
  const std::string_view active = seen.snapshot->target->active_template;
  std::int32_t serve = 0;
  std::int32_t leave = 0;
  for (const PodVerdict& member : seen.members) {
    if (!member.fit || is_on_its_way_out(member)) continue;
    if (member.superseded) ++leave;
    if (member.pod->labels->find(api::kTemplateHashLabel) == active) ++serve;
  }
  if (serve > 0 && serve >= std::min(leave, seen.snapshot->target->replicas)) return;
  for (PodVerdict& member : seen.members)
    if (!is_on_its_way_out(member)) member.superseded = false;
}

}  // namespace

std::optional<api::LabelSelector> selector_in_force(const api::InferencePool& pool,
                                                    const api::Workload* target) {
  const api::TargetKind kind = api::target_kind(pool);
  std::optional<api::LabelSelector> out;
  if (pool.selector) {
    // An empty selector selects everything in Kubernetes, and nobody here: see api::problems().
    if (!pool.selector->empty()) out = pool.selector;
  } else if (target != nullptr && api::scalable(kind) != nullptr) {
    // One on the label we write would turn pods in and out of the pool by our own hand.
    const api::LabelSelector& theirs = target->selector;
    const bool usable =
        !theirs.absent && !theirs.empty() && !theirs.problem() && !theirs.uses(api::kServingLabel);
    if (usable) out = theirs;
  }
  if (!out || kind != api::TargetKind::kLeaderWorkerSet) return out;
  if (!out->uses(api::kWorkerIndexLabel))
    out->match_labels.emplace(api::kWorkerIndexLabel, api::kLeaderIndex);
  if (!out->uses(api::kGroupSetLabel))
    out->match_labels.emplace(api::kGroupSetLabel, pool.scale_target->name);
  return out;
}

TargetState target_state(const Snapshot& snapshot) {
  const auto& ref = snapshot.pool->scale_target;
  if (!ref) return TargetState::kNotConfigured;
  if (api::scalable(api::target_kind(*snapshot.pool)) == nullptr) return TargetState::kWrongKind;
  if (snapshot.target != nullptr) return TargetState::kFound;
  return snapshot.target_visibility == Visibility::kUnknown ? TargetState::kUnknown : TargetState::kNotFound;
}

const api::Pod* Observation::pod(std::string_view name) const {
  const auto& pods = snapshot->pods;
  const auto found =
      std::lower_bound(pods.begin(), pods.end(), name,
                       [](const api::Pod* pod, std::string_view wanted) { return pod->name < wanted; });
  return found == pods.end() || (*found)->name != name ? nullptr : *found;
}

const PodVerdict* Observation::member(std::string_view name, std::string_view uid) const {
  const auto found =
      std::lower_bound(members.begin(), members.end(), name,
                       [](const PodVerdict& one, std::string_view wanted) { return one.pod->name < wanted; });
  return found == members.end() || found->pod->name != name || found->pod->uid != uid ? nullptr : &*found;
}

std::int32_t Observation::active() const {
  return static_cast<std::int32_t>(std::count_if(
      members.begin(), members.end(), [](const PodVerdict& member) { return is_active(*member.pod); }));
}

std::int32_t Observation::endpoints() const {
  return static_cast<std::int32_t>(
      std::count_if(members.begin(), members.end(),
                    [](const PodVerdict& member) { return member.reason == Withdrawal::kNone; }));
}

std::int32_t Observation::in_panic() const {
  return static_cast<std::int32_t>(std::count_if(members.begin(), members.end(),
                                                 [](const PodVerdict& member) { return member.in_panic; }));
}

Observation observe(const Snapshot& snapshot) {
  Observation out;
  out.snapshot = &snapshot;
  out.target = target_state(snapshot);
  out.problems = api::problems(*snapshot.pool);
  out.selector = selector_in_force(*snapshot.pool, snapshot.target);
  out.hold = hold_of(out);
  if (out.is_undecided()) {
    for (const api::Pod* pod : snapshot.pods) {
      PodVerdict verdict = judge(snapshot, *pod);
      if (goes_on(snapshot, verdict)) out.on_hold.push_back(std::move(verdict));
    }
  }
  if (out.hold != Hold::kNone) return out;
  out.members.reserve(snapshot.pods.size());
  // Pods of a pool share their labels: one look at the selector serves a run of them.
  const api::Labels* asked = nullptr;
  bool matches = false;
  for (const api::Pod* pod : snapshot.pods) {
    if (std::exchange(asked, pod->labels.get()) != pod->labels.get())
      matches = out.selector->matches(*pod->labels);
    if (!matches) {
      out.unselected.push_back(pod);
      continue;
    }
    out.members.push_back(judge(snapshot, *pod));
  }
  keep_superseded(out);
  keep_in_panic(out);
  return out;
}

PodVerdict judge(const Snapshot& snapshot, const api::Pod& pod) {
  PodVerdict verdict = judge_alone(snapshot, pod, pod);
  judge_group(snapshot, verdict);
  judge_template(snapshot, verdict);
  return verdict;
}

void note_emptied(const Snapshot& snapshot, PodVerdict& verdict, const api::Pod& pod, const api::Node* node) {
  if (node == nullptr || !emptying(*node)) return;
  const auto order = [&snapshot](const api::Pod& one, const api::Node& its) {
    return std::pair{snapshot.draining_nodes->scheduled_after_drain(one.uid), its.deadline_taint.empty()};
  };
  if (verdict.emptied != nullptr && order(pod, *node) >= order(*verdict.on_emptied, *verdict.emptied)) return;
  verdict.on_emptied = &pod;
  verdict.emptied = node;
}

std::optional<bool> is_of_target(const Snapshot& snapshot, const api::Pod& pod) {
  for (const ReplicaSetView& view : snapshot.replica_sets)
    if (view.set->uid == *pod.controller)
      return snapshot.target != nullptr && view.set->controller == snapshot.target->uid;
  return std::nullopt;
}

PodVerdict judge_alone(const Snapshot& snapshot, const api::Pod& pod, const api::Pod& endpoint) {
  PodVerdict verdict = judge(pod, snapshot.node);
  if (snapshot.unseen_nodes && verdict.only_by_its_node && has_been_an_endpoint(snapshot, endpoint))
    trust_its_kubelet(verdict);
  return verdict;
}

}  // namespace poolwarden::pool
