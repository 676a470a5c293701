#include "pool/drains.h"

#include "api/names.h"
#include "pool/membership.h"
#include "pool/replica_sync.h"
#include "pool/victims.h"

#include <algorithm>
#include <functional>
#include <map>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::pool {
namespace {

using std::chrono::seconds;

// While a choice waits for the engines' answers.
constexpr std::chrono::nanoseconds kSoundingWait = std::chrono::milliseconds(500);

// While it is not known whether deletes are held.
constexpr std::chrono::nanoseconds kSurplusWait = seconds{1};

// For as long as a ReplicaSet does not take what was released for it.
constexpr std::chrono::nanoseconds kReleasedWait = std::chrono::minutes(1);

// One pass's view of a pool's drains.
class Drains {
 public:
  Drains(Observation& seen, Plan& plan, api::Now now) : seen_(seen), plan_(plan), now_(now) {
    causes_.resize(seen.members.size());
    for (PodVerdict& member : seen.members) member.before = state_of(*member.pod);
  }

  void run() {
    for (std::size_t i = 0; i < causes_.size(); ++i) causes_[i] = own_cause(seen_.members[i]);
    for (const ReplicaSetView& set : seen_.snapshot->replica_sets) drain_surplus(set);
    empty_nodes();
    for (std::size_t i = 0; i < causes_.size(); ++i) advance(seen_.members[i], causes_[i]);
  }

 private:
  bool is_led_here(const api::Pod& pod) const { return !seen_.snapshot->led_by_others.contains(pod.uid); }

  DrainState state_of(const api::Pod& pod) const {
    if (!is_active(pod)) return NotDraining{};
    const auto under_way = seen_.snapshot->labels_under_way->find(pod.uid);
    if (under_way == seen_.snapshot->labels_under_way->end())
      return drain_state(pod.serving, pod.drain_annotations());
    // What is being written is decided already: deciding again would take another pod each time.
    if (under_way->second == api::serving::kDraining)
      return Draining{DrainReason::kScaleDown, std::chrono::floor<seconds>(now_.wall)};
    if (under_way->second == api::serving::kDrained) return drain_state(pod.serving, pod.drain_annotations());
    return NotDraining{};
  }

  bool is_written(const api::Pod& pod) const { return !seen_.snapshot->labels_under_way->contains(pod.uid); }

  // What does not depend on other pods.
  std::optional<DrainReason> own_cause(const PodVerdict& member) const {
    if (!is_active(*member.pod) || !member.pod->drain_annotations().request) return std::nullopt;
    return member.fit || drains(member.before) ? std::optional{DrainReason::kRequested} : std::nullopt;
  }

  static std::optional<DrainReason> reason_to_leave(const PodVerdict& member) {
    return member.node != nullptr ? emptying(*member.node) : std::nullopt;
  }

  bool leaves_its_node(const PodVerdict& member) const {
    return reason_to_leave(member) && !seen_.snapshot->draining_nodes->scheduled_after_drain(member.pod->uid);
  }

  Candidate candidate(const PodVerdict& member) const {
    return {.pod = member.pod,
            .serves = member.fit,
            .node_is_emptied = reason_to_leave(member).has_value(),
            .load = seen_.snapshot->loads->recent(member.pod->uid, now_.mono)};
  }

  void read(const PodVerdict& member, bool withdrawn) {
    if (member.pod->ip.empty()) return;
    plan_.readings.push_back({.uid = member.pod->uid,
                              .name = member.pod->name,
                              .ip = member.pod->ip,
                              .withdrawn = withdrawn,
                              .poll = seen_.snapshot->drain_of(*member.pod).poll,
                              .active_ports = api::active_ports_of(*member.pod),
                              .settle = seen_.snapshot->drain_of(*member.pod).settle});
  }

  void look_again_in(std::chrono::nanoseconds wait) {
    plan_.look_again = plan_.look_again ? std::min(*plan_.look_again, wait) : wait;
  }

  // A choice is made with fresh readings, or without those that do not come in time.
  bool answered_or_timed_out(const std::vector<std::size_t>& members) {
    bool all = true;
    for (const std::size_t i : members) {
      if (!seen_.members[i].fit) continue;
      read(seen_.members[i], false);
      all = all && seen_.snapshot->loads->answered_or_timed_out(seen_.members[i].pod->uid, now_.mono);
    }
    if (!all) look_again_in(kSoundingWait);
    return all;
  }

  // Takes `wanted` of the members, the cheapest first, or none while their loads are not known.
  void take_cheapest(const std::vector<std::size_t>& members, std::int32_t wanted, std::string_view prefix,
                     const std::function<DrainReason(const PodVerdict&)>& reason) {
    if (wanted <= 0 || members.empty() || !answered_or_timed_out(members)) return;
    std::vector<Candidate> ranked;
    std::map<const api::Pod*, std::size_t> place;
    for (const std::size_t i : members) {
      ranked.push_back(candidate(seen_.members[i]));
      place.emplace(seen_.members[i].pod, i);
    }
    rank(ranked);
    for (; wanted > 0 && !ranked.empty(); --wanted) {
      const std::size_t i = place.at(ranked.front().pod);
      causes_[i] = reason(seen_.members[i]);
      seen_.members[i].why = fmt::format("{}; {}", prefix, explain(ranked));
      ranked.erase(ranked.begin());
    }
  }

  // What the nodes that are being emptied leave of the pool.
  struct NodeDrainSummary {
    std::int32_t serving = 0;
    std::vector<std::size_t> leaving;  // of those that serve, who should go; as seen_.members
    bool draining = false;             // someone, and not for a surplus
    bool released = false;
    // Some begin or end a drain just now: who serves, and how many, is about to change.
    bool settling = false;
  };
  NodeDrainSummary node_drain_summary();

  void drain_surplus(const ReplicaSetView& set);
  std::int32_t may_leave(const NodeDrainSummary& summary, std::int32_t asked, bool replace_first) const;
  void empty_nodes();
  void watch_released(const Drained& drained, DrainReason cause);
  void note_age(seconds age) { plan_.oldest_drain = std::max(plan_.oldest_drain.value_or(seconds{0}), age); }
  void advance(PodVerdict& member, std::optional<DrainReason> cause);

  Observation& seen_;
  Plan& plan_;
  api::Now now_;
  std::vector<std::optional<DrainReason>> causes_;  // as seen_.members
};

// What it wants, or is about to: pods that its controller makes before its own watch tells are not too many.
std::int32_t wanted_by(const Observation& seen, const ReplicaSetView& view) {
  return view.outdated ? std::max(view.set->replicas, seen.snapshot->target->replicas) : view.set->replicas;
}

bool belongs_to(const PodVerdict& member, const ReplicaSetView& set) {
  return *member.pod->controller == set.set->uid && is_active(*member.pod);
}

// The controller takes those first, whatever they cost.
// https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#scaling-a-replicaset
bool is_taken_first(const PodVerdict& member) {
  if (drains(member.before)) return false;
  // The pods of a node that is away are about to be marked as not ready.
  return member.pod->ready != api::Tristate::kTrue || member.only_by_its_node ||
         member.reason == Withdrawal::kNodeGone;
}

// Of its pods, those that are too many. Never negative.
std::int32_t surplus(const Observation& seen, const ReplicaSetView& set) {
  std::int32_t active = set.pods_outside_pool;
  std::int32_t taken_first = set.unready_outside_pool;
  for (const PodVerdict& member : seen.members) {
    if (!belongs_to(member, set)) continue;
    ++active;
    if (is_taken_first(member)) ++taken_first;
  }
  return std::max(active - wanted_by(seen, set) - taken_first, 0);
}

void Drains::drain_surplus(const ReplicaSetView& set) {
  // Whether a gate that may not be read, or was edited, holds this ReplicaSet's deletes, only time tells.
  const bool uncertain = seen_.snapshot->gate == Gate::kUnseen || seen_.snapshot->gate == Gate::kEdited;
  const bool held = seen_.snapshot->gate == Gate::kPresent || (uncertain && set.held);
  if (set.set->deleting) return;
  std::int32_t wanted = surplus(seen_, set);
  const std::int32_t too_many = wanted;
  if (too_many == 0) return;
  if (!held) {
    if (uncertain) look_again_in(kSurplusWait);
    return;
  }
  const DrainReason reason = set.superseded ? DrainReason::kRollout : DrainReason::kScaleDown;
  std::vector<std::size_t> draining;
  std::vector<std::size_t> others;
  for (std::size_t i = 0; i < seen_.members.size(); ++i) {
    const PodVerdict& member = seen_.members[i];
    if (!belongs_to(member, set) || !is_led_here(*member.pod)) continue;
    // One that is asked to go is one less to choose.
    if (drains(member.before) || causes_[i]) {
      draining.push_back(i);
    } else if (!is_taken_first(member) && is_written(*member.pod)) {
      others.push_back(i);
    }
  }
  // Those that would go anyway, then the released, then who began first: the last to begin is the first to
  // return.
  const auto order = [&](std::size_t i) {
    const PodVerdict& member = seen_.members[i];
    api::Timestamp started = api::Timestamp::max();
    if (const auto* now = std::get_if<Draining>(&member.before)) started = now->started;
    if (const auto* done = std::get_if<Drained>(&member.before)) started = done->started;
    const bool goes_anyway = causes_[i] || leaves_its_node(member);
    return std::tuple{!goes_anyway, !std::holds_alternative<Drained>(member.before), started,
                      member.pod->name};
  };
  std::sort(draining.begin(), draining.end(), [&](auto a, auto b) { return order(a) < order(b); });
  for (const std::size_t i : draining) {
    if (wanted == 0) break;
    if (!causes_[i]) causes_[i] = reason;
    --wanted;
  }
  const std::string prefix =
      fmt::format("ReplicaSet {} has {} pod{} too many", set.set->name, too_many, too_many == 1 ? "" : "s");
  // Another pool that has pods of this ReplicaSet sees the same surplus. What drains already stays, so that
  // two that begin at once do not both give way; but nobody begins for what the other drains.
  wanted -= set.draining_outside_pool;
  for (const PodVerdict& member : seen_.members) {
    if (belongs_to(member, set) && !is_led_here(*member.pod) && drains(member.before)) --wanted;
  }
  take_cheapest(others, wanted, prefix, [reason](const PodVerdict&) { return reason; });
}

std::string waits_to_leave(std::int32_t serving, std::int32_t asked) {
  constexpr std::string_view kEmptied = "its node is being emptied: it goes";
  if (serving < asked) return fmt::format("{} once the pool serves with {}, {} do", kEmptied, asked, serving);
  if (serving == 1) return fmt::format("{} once another serves: it is the only one that does", kEmptied);
  return fmt::format("{} in its turn", kEmptied);
}

Drains::NodeDrainSummary Drains::node_drain_summary() {
  NodeDrainSummary out;
  for (std::size_t i = 0; i < seen_.members.size(); ++i) {
    PodVerdict& member = seen_.members[i];
    if (!is_active(*member.pod)) continue;
    if (!is_led_here(*member.pod)) {
      if (member.fit && !drains(member.before)) ++out.serving;
      continue;
    }
    auto reason = reason_to_leave(member);
    if (reason && !leaves_its_node(member)) {
      reason.reset();
      member.waits =
          "it came to its node when that was being emptied already, and stays until kubectl "
          "poolwarden drain or delete";
    }
    if (drains(member.before) || causes_[i]) {
      const bool for_its_node = !causes_[i] && reason;
      if (for_its_node) causes_[i] = reason;
      out.settling |= !is_written(*member.pod) || !causes_[i] || !drains(member.before);
      const bool leaves = reason && (for_its_node || causes_[i] == DrainReason::kRequested);
      out.draining |= leaves && !std::holds_alternative<Drained>(member.before);
      out.released |= reason && std::holds_alternative<Drained>(member.before);
    } else if (member.fit && is_written(*member.pod)) {  // one that is on its way back is not back
      ++out.serving;
      if (reason) out.leaving.push_back(i);
    }
  }
  return out;
}

// One by one where the pool would serve with fewer than it should: the next goes when another has come. A pod
// that has no room elsewhere so holds up the rest of its node, as any disruption budget would.
std::int32_t Drains::may_leave(const NodeDrainSummary& summary, std::int32_t asked,
                               bool replace_first) const {
  const std::int32_t spare = summary.serving - asked;
  if (summary.settling || spare < 0) return 0;
  // A cordon alone brings no replacement: nobody may ever evict the pod. So the last that serves stays,
  // unless there is no target that could bring one before: then nothing else would ever empty the node. One
  // that cannot be seen may be there.
  const bool no_target =
      seen_.target == TargetState::kNotConfigured || seen_.target == TargetState::kWrongKind;
  const bool last_stays = summary.serving == 1 && !no_target;
  return replace_first || last_stays ? spare : std::max(spare, 1);
}

void Drains::empty_nodes() {
  const NodeDrainSummary summary = this->node_drain_summary();
  // What the target has meanwhile is not what was asked for.
  const std::int32_t target =
      seen_.target == TargetState::kFound ? seen_.snapshot->target->replicas : seen_.active();
  const std::int32_t asked = seen_.pool().replicas.value_or(target);
  // The only one there is goes after its replacement whatever the pool says: nobody would serve meanwhile.
  // Not where an autoscaler sets the target's replicas: it would take the one more away again, over and over.
  const bool may_surge = seen_.target == TargetState::kFound && seen_.snapshot->target_autoscalers.empty();
  const bool replace_first = may_surge && asked > 0 && (seen_.pool().disruption.replace_first || asked == 1);
  // One more is asked for while a pod drains. Once the pod has drained, the one more is dropped, so that the
  // ReplicaSet deletes the drained pod. It deletes a pod that is not ready first: then too few serve, and one
  // more is asked for again.
  // One that was granted stays until then: its ReplicaSet may be another than that of the pod which goes.
  const bool is_replaced =
      summary.draining && summary.serving <= asked + (may_surge ? granted_surge(*seen_.snapshot) : 0);
  const bool needs_one = summary.released ? summary.serving < asked : is_replaced || !summary.leaving.empty();
  if (replace_first && needs_one) plan_.surge = 1;
  if (summary.leaving.empty()) return;
  const std::int32_t may_go = may_leave(summary, asked, replace_first);
  take_cheapest(summary.leaving, std::min(may_go, static_cast<std::int32_t>(summary.leaving.size())),
                "its node is being emptied", [](const PodVerdict& member) {
                  return reason_to_leave(member).value_or(DrainReason::kNodeCordoned);
                });
  for (const std::size_t i : summary.leaving) {
    if (!causes_[i]) seen_.members[i].waits = waits_to_leave(summary.serving, asked);
  }
}

// Its ReplicaSet has only to delete it. One that waits for a person, or for its node's eviction, may wait.
void Drains::watch_released(const Drained& drained, DrainReason cause) {
  if (cause != DrainReason::kScaleDown && cause != DrainReason::kRollout) return;
  note_age(elapsed(drained.started, now_.wall));
  look_again_in(kReleasedWait);
}

void Drains::advance(PodVerdict& member, std::optional<DrainReason> cause) {
  const Snapshot& snapshot = *seen_.snapshot;
  const api::Pod& pod = *member.pod;
  // Nearly all pods of nearly all passes.
  if (!cause && !drains(member.before) && pod.serving != api::serving::kDrained) {
    member.drain = member.before;
    return;
  }
  const bool listed = snapshot.is_listed(pod.uid) || snapshot.listed_by_others.contains(pod.uid);
  // Another pool's decision, which this one follows; or one of ours that is still to be written.
  const bool decided = !is_led_here(pod) || !is_written(pod);
  if (decided) {
    member.drain = member.before;
  } else {
    const PodLoad* load = snapshot.loads->find(pod.uid);
    const api::DrainSpec& drain = snapshot.drain_of(pod);
    const DrainStep step = next(member.before, {.cause = cause,
                                                .withdrawn = !listed,
                                                .idle = load != nullptr && load->quiet >= drain.quiet_reads,
                                                .timeout = drain.timeout,
                                                .now = now_.wall});
    member.drain = step.next;
    member.step = step.result;
    member.cause = cause;
  }
  // Wanted again, but whoever may delete it still may until its label says so: it is sent nothing before.
  const bool released = is_active(pod) && member.fit &&
                        std::holds_alternative<Drained>(drain_state(pod.serving, pod.drain_annotations()));
  if (!drains(member.drain) && released) {
    member.reason = Withdrawal::kDraining;
    member.detail = "it was released, and its label does not say yet that it is wanted again";
  }
  if (!drains(member.drain)) return;
  member.reason = Withdrawal::kDraining;
  member.detail = "it finishes what it has in flight and is sent nothing new";
  if (!is_led_here(pod)) return;
  if (const auto* done = std::get_if<Drained>(&member.drain))
    return watch_released(*done, cause.value_or(done->reason));
  const auto& draining = std::get<Draining>(member.drain);
  read(member, std::holds_alternative<Draining>(member.before) && is_written(pod) && !listed);
  const seconds so_far = elapsed(draining.started, now_.wall);
  note_age(so_far);
  const seconds left = snapshot.drain_of(pod).timeout - so_far;
  look_again_in(std::max(left, seconds{1}));
}

}  // namespace

void decide_drains(Observation& seen, Plan& plan, api::Now now) {
  if (seen.hold != Hold::kNone) return;
  Drains(seen, plan, now).run();
}

}  // namespace poolwarden::pool
