#include "pool/drains.h"

#include "api/names.h"
#include "pool/membership.h"
#include "pool/node_drains.h"
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
    empty_nodes(seen_, plan_, causes_, now_, [this](const auto& members, std::int32_t wanted) {
      take_cheapest(members, wanted, "its node is being emptied", [](const PodVerdict& member) {
        return reason_to_leave(member).value_or(DrainReason::kNodeCordoned);
      });
    });
    for (std::size_t i = 0; i < causes_.size(); ++i) advance(seen_.members[i], causes_[i]);
  }

 private:
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

  // What does not depend on other pods.
  std::optional<DrainReason> own_cause(const PodVerdict& member) const {
    if (!is_active(*member.pod) || !member.pod->drain_annotations().request) return std::nullopt;
    return member.fit || drains(member.before) ? std::optional{DrainReason::kRequested} : std::nullopt;
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

  // A choice is made with fresh readings, or without those that do not come in time.
  bool answered_or_timed_out(const std::vector<std::size_t>& members) {
    bool all = true;
    for (const std::size_t i : members) {
      if (!seen_.members[i].fit) continue;
      read(seen_.members[i], false);
      all = all && seen_.snapshot->loads->answered_or_timed_out(seen_.members[i].pod->uid, now_.mono);
    }
    if (!all) plan_.look_again_in(kSoundingWait);
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

  void drain_surplus(const ReplicaSetView& set);
  void drain_its_equals(const std::vector<std::size_t>& draining, const std::vector<std::size_t>& others,
                        DrainReason reason);
  void watch_released(const Drained& drained, DrainReason cause);
  void note_age(seconds age) { plan_.oldest_drain = std::max(plan_.oldest_drain.value_or(seconds{0}), age); }
  void advance(PodVerdict& member, std::optional<DrainReason> cause);

  Observation& seen_;
  Plan& plan_;
  api::Now now_;
  DrainCauses causes_;
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

// Somebody gave it the lowest cost there is, which a released pod has from us.
bool is_given_lowest_cost(const api::Pod& pod) {
  const api::DrainAnnotations& present = pod.drain_annotations();
  return (present.saved_cost ? present.saved_cost : present.deletion_cost) == api::kLowestDeletionCost;
}

// Among pods of the lowest cost its controller chooses by itself. If that is one that is held, it asks for
// that one again and again, and never for the released one. So they all drain, and when one is taken, the
// others are wanted again.
void Drains::drain_its_equals(const std::vector<std::size_t>& draining,
                              const std::vector<std::size_t>& others, DrainReason reason) {
  const bool in_vain = std::any_of(draining.begin(), draining.end(), [&](std::size_t i) {
    const auto& uid = seen_.members[i].pod->uid;
    const auto waited = seen_.snapshot->releases->released_for(uid, now_.mono);
    return causes_[i] == reason && waited && *waited >= kReleasedWait;
  });
  if (!in_vain) return;
  for (const auto* members : {&draining, &others}) {
    for (const std::size_t i : *members) {
      if (causes_[i] || !is_given_lowest_cost(*seen_.members[i].pod)) continue;
      causes_[i] = reason;
      seen_.members[i].why =
          "its ReplicaSet does not take the one that was released, and this one has the "
          "lowest deletion cost as well";
    }
  }
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
    if (uncertain) plan_.look_again_in(kSurplusWait);
    return;
  }
  const DrainReason reason = set.superseded ? DrainReason::kRollout : DrainReason::kScaleDown;
  std::vector<std::size_t> draining;
  std::vector<std::size_t> others;
  for (std::size_t i = 0; i < seen_.members.size(); ++i) {
    const PodVerdict& member = seen_.members[i];
    if (!belongs_to(member, set) || !seen_.snapshot->leads(*member.pod)) continue;
    // One that is asked to go is one less to choose.
    if (drains(member.before) || causes_[i]) {
      draining.push_back(i);
    } else if (!is_taken_first(member) && seen_.snapshot->is_written(*member.pod)) {
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
    const bool goes_anyway = causes_[i] || leaves_its_node(*seen_.snapshot, member);
    return std::tuple{!goes_anyway, !std::holds_alternative<Drained>(member.before), started,
                      member.pod->name};
  };
  std::sort(draining.begin(), draining.end(), [&](auto a, auto b) { return order(a) < order(b); });
  for (const std::size_t i : draining) {
    if (wanted == 0) break;
    if (!causes_[i]) causes_[i] = reason;
    --wanted;
  }
  drain_its_equals(draining, others, reason);
  const std::string prefix =
      fmt::format("ReplicaSet {} has {} pod{} too many", set.set->name, too_many, too_many == 1 ? "" : "s");
  // Another pool that has pods of this ReplicaSet sees the same surplus. What drains already stays, so that
  // two that begin at once do not both give way; but nobody begins for what the other drains.
  wanted -= set.draining_outside_pool;
  for (const PodVerdict& member : seen_.members) {
    if (belongs_to(member, set) && !seen_.snapshot->leads(*member.pod) && drains(member.before)) --wanted;
  }
  take_cheapest(others, wanted, prefix, [reason](const PodVerdict&) { return reason; });
}

// Its ReplicaSet has only to delete it. One that waits for a person, or for its node's eviction, may wait.
void Drains::watch_released(const Drained& drained, DrainReason cause) {
  if (cause != DrainReason::kScaleDown && cause != DrainReason::kRollout) return;
  note_age(elapsed(drained.started, now_.wall));
  plan_.look_again_in(kReleasedWait);
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
  const bool decided = !snapshot.leads(pod) || !snapshot.is_written(pod);
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
  if (!snapshot.leads(pod)) return;
  if (const auto* done = std::get_if<Drained>(&member.drain))
    return watch_released(*done, cause.value_or(done->reason));
  const auto& draining = std::get<Draining>(member.drain);
  read(member, std::holds_alternative<Draining>(member.before) && snapshot.is_written(pod) && !listed);
  const seconds so_far = elapsed(draining.started, now_.wall);
  note_age(so_far);
  const seconds left = snapshot.drain_of(pod).timeout - so_far;
  plan_.look_again_in(std::max(left, seconds{1}));
}

}  // namespace

void decide_drains(Observation& seen, Plan& plan, api::Now now) {
  if (seen.hold != Hold::kNone) return;
  Drains(seen, plan, now).run();
}

}  // namespace poolwarden::pool
