#include "pool/drains.h"

#include "api/names.h"
#include "pool/consumer_words.h"
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

// For as long as it is told that a consumer has fallen silent.
constexpr std::chrono::nanoseconds kSilenceWait = std::chrono::minutes(1);

// One pass's view of a pool's drains.
class Drains {
 public:
  Drains(Observation& seen, Plan& plan, api::Now now) : seen_(seen), plan_(plan), now_(now) {
    causes_.resize(seen.members.size());
    for (PodVerdict& member : seen.members) member.before = state_of(*member.pod);
    for (PodVerdict& member : seen.on_hold) member.before = state_of(*member.pod);
  }

  void tell_kept();
  void tell_silent_consumers();

  // Whether there is a reason still, nobody can tell: what has begun goes on to its end.
  void run_on_hold() {
    for (PodVerdict& member : seen_.on_hold) {
      const std::optional<DrainReason> cause = own_cause(member);
      advance(member, cause ? cause : lasting_cause(member.before));
    }
  }

  void run() {
    for (std::size_t i = 0; i < causes_.size(); ++i) causes_[i] = own_cause(seen_.members[i]);
    for (const ReplicaSetView& set : seen_.snapshot->replica_sets) drain_surplus(set);
    for (const StatefulSetView& set : seen_.snapshot->stateful_sets) drain_leaving(set);
    drain_restarted();
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
    if (under_way == seen_.snapshot->labels_under_way->end()) return drain_state(pod);
    // What is being written is decided already: deciding again would take another pod each time.
    if (under_way->second == api::serving::kDraining)
      return Draining{DrainReason::kScaleDown, std::chrono::floor<seconds>(now_.wall)};
    if (under_way->second == api::serving::kFinishing)
      return Finishing{std::chrono::floor<seconds>(now_.wall)};
    if (under_way->second == api::serving::kDrained) return drain_state(pod);
    return NotDraining{};
  }

  // What it began for, unless a person asked for it, who has taken that back.
  static std::optional<DrainReason> lasting_cause(const DrainState& state) {
    std::optional<DrainReason> reason;
    if (const auto* draining = std::get_if<Draining>(&state)) reason = draining->reason;
    if (const auto* drained = std::get_if<Drained>(&state)) reason = drained->reason;
    return reason == DrainReason::kRequested ? std::nullopt : reason;
  }

  // One that is sent nothing, and answers nothing, has only to go.
  static bool has_something_to_drain(const PodVerdict& member) {
    return member.fit || drains(member.before) || may_have_to_finish(member);
  }

  // What does not depend on other pods.
  std::optional<DrainReason> own_cause(const PodVerdict& member) const {
    const bool requested = member.pod->drain_annotations().request.has_value();
    if (!is_active(*member.pod) || !(requested || member.superseded)) return std::nullopt;
    if (!has_something_to_drain(member)) return std::nullopt;
    return requested ? DrainReason::kRequested : DrainReason::kRollout;
  }

  Candidate candidate(const PodVerdict& member) const {
    return {.pod = member.pod,
            .serves = member.fit,
            .node_is_emptied = reason_to_leave(member).has_value(),
            .load = seen_.snapshot->loads->recent(member.pod->uid, now_.mono),
            .neighbours = seen_.snapshot->neighbours ? seen_.snapshot->neighbours(*member.pod) : 0};
  }

  // Where consumers confirm, their word takes the place of time, unless the pool asks for both.
  void read(const PodVerdict& member, bool withdrawn) {
    if (member.pod->ip.empty()) return;
    const api::DrainSpec& drain = seen_.snapshot->drain_of(*member.pod);
    const WithdrawalConfirmation* confirmation = seen_.snapshot->confirmation_of(*member.pod);
    const bool only_their_word =
        confirmation != nullptr && confirmation->by_consumers && !drain.settle_is_set;
    plan_.readings.push_back({.uid = member.pod->uid,
                              .name = member.pod->name,
                              .ip = member.pod->ip,
                              .withdrawn = withdrawn,
                              .poll = drain.poll,
                              .active_ports = api::active_ports_of(*member.pod),
                              .settle = only_their_word ? seconds{0} : drain.settle,
                              .confirmed = seen_.snapshot->awaited_for(*member.pod) == nullptr});
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
    const api::Prefer prefer = seen_.pool().disruption.prefer;
    for (std::size_t i = 0; i < causes_.size(); ++i) {
      if (causes_[i] && !drains(seen_.members[i].before)) leaves(ranked, *seen_.members[i].pod);
    }
    rank(ranked, prefer);
    for (; wanted > 0 && !ranked.empty(); --wanted) {
      const std::size_t i = place.at(ranked.front().pod);
      causes_[i] = reason(seen_.members[i]);
      seen_.members[i].why = fmt::format("{}; {}", prefix, explain(ranked, prefer));
      take_first(ranked, prefer);
    }
  }

  // Of one ReplicaSet, whose drains are this pool's to decide; as seen_.members.
  struct SetMembers {
    std::vector<std::size_t> draining;   // by turn
    std::vector<std::size_t> finishing;  // its controller asks for them before all others
    std::int32_t finishing_soon = 0;     // and for these, whose labels are yet to say so
    std::vector<std::size_t> others;
  };
  SetMembers members_of(const ReplicaSetView& set) const;
  bool goes_first(std::size_t member) const;
  void sort_by_turn(std::vector<std::size_t>& draining) const;
  bool are_held(bool by_time);
  void drain_surplus(const ReplicaSetView& set);
  void drain_leaving(const StatefulSetView& set);
  void drain_restarted();
  void drain_its_equals(const std::vector<std::size_t>& draining, const std::vector<std::size_t>& others,
                        DrainReason reason);
  void watch_released(const PodVerdict& member, const Drained& drained, DrainReason cause);
  seconds age(const api::Pod& pod, const DrainState& state) const {
    return seen_.snapshot->drain_ages->age(pod.uid, started(state), now_);
  }
  void note_age(seconds age) { plan_.oldest_drain = std::max(plan_.oldest_drain.value_or(seconds{0}), age); }
  void step(PodVerdict& member, std::optional<DrainReason> cause, bool listed) const;
  void advance(PodVerdict& member, std::optional<DrainReason> cause);
  void watch_over(const PodVerdict& member, std::optional<DrainReason> cause, bool listed);

  Observation& seen_;
  Plan& plan_;
  api::Now now_;
  DrainCauses causes_;
  std::vector<std::string> kept_;  // beyond their time, as spec.drain.onTimeout says
};

// What it wants, or is about to: pods that its controller makes before its own watch tells are not too many.
std::int32_t wanted_by(const Observation& seen, const ReplicaSetView& view) {
  return view.outdated ? std::max(view.set->replicas, seen.snapshot->target->replicas) : view.set->replicas;
}

bool belongs_to(const PodVerdict& member, const ReplicaSetView& set) {
  return *member.pod->controller == set.set->uid && is_active(*member.pod);
}

// The controller asks for those first, whatever they cost.
// https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#scaling-a-replicaset
bool is_asked_for_first(const PodVerdict& member) {
  // The pods of a node that is away are about to be marked as not ready.
  return member.pod->ready != api::Tristate::kTrue || member.only_by_its_node ||
         member.reason == Withdrawal::kNodeGone;
}

// And nothing holds them.
bool is_taken_first(const PodVerdict& member) {
  const bool never_served = member.reason == Withdrawal::kPreview;
  return (is_asked_for_first(member) || never_served) && !drains(member.before) &&
         !may_have_to_finish(member) && !member.in_panic;
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

// It goes before any other: its controller asks for it, or it would go anyway.
bool Drains::goes_first(std::size_t member) const {
  const PodVerdict& verdict = seen_.members[member];
  return is_asked_for_first(verdict) || causes_[member] || leaves_its_node(*seen_.snapshot, verdict);
}

// Of those that drain already: who goes first, then the released, then who began first. The last to begin is
// the first to return.
void Drains::sort_by_turn(std::vector<std::size_t>& draining) const {
  const auto order = [&](std::size_t i) {
    const PodVerdict& member = seen_.members[i];
    const api::Timestamp since = drains(member.before) ? started(member.before) : api::Timestamp::max();
    return std::tuple{!goes_first(i), !std::holds_alternative<Drained>(member.before), since,
                      member.pod->name};
  };
  std::sort(draining.begin(), draining.end(), [&](auto a, auto b) { return order(a) < order(b); });
}

// Whether a gate that may not be read, or was edited, holds a set's deletes, only time tells.
bool Drains::are_held(bool by_time) {
  const bool uncertain = seen_.snapshot->gate == Gate::kUnseen || seen_.snapshot->gate == Gate::kEdited;
  if (seen_.snapshot->gate == Gate::kPresent || (uncertain && by_time)) return true;
  if (uncertain) plan_.look_again_in(kSurplusWait);
  return false;
}

// Its controller does not choose, so neither is there a choice here.
void Drains::drain_leaving(const StatefulSetView& set) {
  if (set.leaving.empty() || !are_held(set.held)) return;
  for (std::size_t i = 0; i < seen_.members.size(); ++i) {
    PodVerdict& member = seen_.members[i];
    const auto found = set.leaving.find(member.pod->uid);
    if (found == set.leaving.end() || causes_[i] || !seen_.snapshot->leads(*member.pod)) continue;
    if (!has_something_to_drain(member) || !seen_.snapshot->is_written(*member.pod)) continue;
    causes_[i] = found->second;
    member.why =
        found->second == DrainReason::kRollout
            ? fmt::format("StatefulSet {} has a newer template, and updates this pod next", set.set->name)
            : fmt::format("StatefulSet {} is to have {} pod{}, and its controller goes by their ordinals",
                          set.set->name, set.set->replicas, set.set->replicas == 1 ? "" : "s");
  }
}

// A Rollout's controller evicts pods that are older than its spec.restartAt. Refused for one, it asks for the
// next, and begins again after 30 s. So the order is ours: one at a time, while as many serve as should.
// https://argo-rollouts.readthedocs.io/en/stable/features/restart/
void Drains::drain_restarted() {
  if (seen_.target != TargetState::kFound || !seen_.snapshot->target->restart_at) return;
  const api::Workload& target = *seen_.snapshot->target;
  const api::Timestamp since = *target.restart_at;
  if (now_.wall < since) return plan_.look_again_in(since - now_.wall);
  // Its controller evicts nobody while fewer are available than its ReplicaSets are to have.
  std::int32_t wanted = 0;
  for (const ReplicaSetView& view : seen_.snapshot->replica_sets)
    if (view.set->controller == target.uid) wanted += view.set->replicas;
  wanted = std::max({seen_.pool().replicas.value_or(target.replicas), wanted, 1});
  std::int32_t ready = 0;
  bool one_goes = false;
  std::vector<std::size_t> older;
  for (std::size_t i = 0; i < seen_.members.size(); ++i) {
    const PodVerdict& member = seen_.members[i];
    const bool goes = drains(member.before) || causes_[i];
    if (!is_active(*member.pod) || !is_of_target(*seen_.snapshot, *member.pod).value_or(false)) continue;
    if (member.pod->ready == api::Tristate::kTrue && !goes) ++ready;
    if (member.pod->created >= since || !seen_.snapshot->leads(*member.pod)) continue;
    one_goes |= goes || !seen_.snapshot->is_written(*member.pod);
    if (drains(member.before) && !causes_[i]) causes_[i] = DrainReason::kRollout;
    if (!goes && member.fit) older.push_back(i);
  }
  if (one_goes || ready < wanted) return;
  take_cheapest(older, 1, fmt::format("Rollout {} restarts its pods", target.name),
                [](const PodVerdict&) { return DrainReason::kRollout; });
}

void Drains::drain_surplus(const ReplicaSetView& set) {
  if (set.set->deleting) return;
  const std::int32_t too_many = surplus(seen_, set);
  if (too_many == 0 || !are_held(set.held)) return;
  const DrainReason reason = set.superseded ? DrainReason::kRollout : DrainReason::kScaleDown;
  const std::string prefix =
      fmt::format("ReplicaSet {} has {} pod{} too many", set.set->name, too_many, too_many == 1 ? "" : "s");
  SetMembers members = members_of(set);
  std::int32_t wanted = too_many;
  const auto first_to_stay = std::find_if(members.draining.begin(), members.draining.end(),
                                          [this](std::size_t i) { return !goes_first(i); });
  const auto take = [&](auto from, auto to) {
    for (; from != to && wanted > 0; ++from, --wanted) {
      if (!causes_[*from]) causes_[*from] = reason;
    }
  };
  take(members.draining.begin(), first_to_stay);
  wanted -= std::min(wanted, members.finishing_soon);
  const auto finishing = std::min(wanted, static_cast<std::int32_t>(members.finishing.size()));
  wanted -= finishing;
  take(first_to_stay, members.draining.end());
  // Those that are called off for them come back first: together they would be more than are too many.
  const bool calls_off = std::any_of(members.draining.begin(), members.draining.end(),
                                     [this](std::size_t i) { return !causes_[i].has_value(); });
  if (!calls_off)
    take_cheapest(members.finishing, finishing, prefix, [reason](const PodVerdict&) { return reason; });
  drain_its_equals(members.draining, members.others, reason);
  // Another pool that has pods of this ReplicaSet sees the same surplus. What drains already stays, so that
  // two that begin at once do not both give way; but nobody begins for what the other drains.
  wanted -= set.draining_outside_pool;
  for (const PodVerdict& member : seen_.members) {
    if (belongs_to(member, set) && !seen_.snapshot->leads(*member.pod) && drains(member.before)) --wanted;
  }
  take_cheapest(members.others, wanted, prefix, [reason](const PodVerdict&) { return reason; });
}

Drains::SetMembers Drains::members_of(const ReplicaSetView& set) const {
  SetMembers out;
  for (std::size_t i = 0; i < seen_.members.size(); ++i) {
    const PodVerdict& member = seen_.members[i];
    const api::Pod& pod = *member.pod;
    if (!belongs_to(member, set) || !seen_.snapshot->leads(pod)) continue;
    // One that is asked to go is one less to choose.
    if (drains(member.before) || causes_[i]) {
      out.draining.push_back(i);
    } else if (may_have_to_finish(member) || member.in_panic) {
      if (seen_.snapshot->is_written(pod)) {
        out.finishing.push_back(i);
      } else {
        ++out.finishing_soon;
      }
    } else if (!is_taken_first(member) && seen_.snapshot->is_written(pod)) {
      out.others.push_back(i);
    }
  }
  sort_by_turn(out.draining);
  return out;
}

// Its ReplicaSet has only to delete it. One that waits for a person, or for its node's eviction, may wait.
// So may one whose Rollout keeps it for a way back.
void Drains::watch_released(const PodVerdict& member, const Drained& drained, DrainReason cause) {
  if (cause != DrainReason::kScaleDown && cause != DrainReason::kRollout) return;
  if (member.superseded) return;
  note_age(age(*member.pod, drained));
  plan_.look_again_in(kReleasedWait);
}

// As the label says, or should.
void Drains::step(PodVerdict& member, std::optional<DrainReason> cause, bool listed) const {
  const Snapshot& snapshot = *seen_.snapshot;
  const api::Pod& pod = *member.pod;
  const PodLoad* load = snapshot.loads->find(pod.uid);
  const api::DrainSpec& drain = snapshot.drain_of(pod);
  const bool quiet =
      load != nullptr && load->quiet >= drain.quiet_reads && snapshot.awaited_for(pod) == nullptr;
  // Of one that is not ready it says enough that nobody listens. One that is ready may be back in a moment.
  const bool idle = quiet || (load != nullptr && load->refused && is_asked_for_first(member));
  const DrainStep taken = next(member.before, {.cause = cause,
                                               .finishes = may_have_to_finish(member),
                                               .withdrawn = !listed,
                                               .idle = idle,
                                               .so_far = age(pod, member.before),
                                               .timeout = snapshot.drain_limit(pod),
                                               .now = now_.wall});
  member.drain = taken.next;
  member.step = taken.result;
  member.cause = cause;
}

void Drains::advance(PodVerdict& member, std::optional<DrainReason> cause) {
  const Snapshot& snapshot = *seen_.snapshot;
  const api::Pod& pod = *member.pod;
  // Nearly all pods of nearly all passes.
  const bool at_rest = std::holds_alternative<NotDraining>(member.before) && !may_have_to_finish(member);
  if (!cause && at_rest && pod.serving != api::serving::kDrained) {
    member.drain = member.before;
    return;
  }
  const bool listed = snapshot.is_listed(pod.uid) || snapshot.listed_by_others.contains(pod.uid);
  // Another pool's decision, which this one follows; or one of ours that is still to be written.
  const bool decided = !snapshot.leads(pod) || !snapshot.is_written(pod);
  if (decided) {
    member.drain = member.before;
  } else {
    step(member, cause, listed);
  }
  // Wanted again, but whoever may delete it still may until its label says so: it is sent nothing before.
  const bool released = is_active(pod) && member.fit && std::holds_alternative<Drained>(drain_state(pod));
  if (!drains(member.drain) && released) {
    member.reason = Withdrawal::kDraining;
    member.detail = "it was released, and its label does not say yet that it is wanted again";
  }
  if (std::holds_alternative<NotDraining>(member.drain)) return;
  if (drains(member.drain)) {
    member.reason = Withdrawal::kDraining;
    member.detail = "it finishes what it has in flight and is sent nothing new";
  }
  if (snapshot.leads(pod)) watch_over(member, cause, listed);
}

// Until its engine says that it is idle, or its time is up.
void Drains::watch_over(const PodVerdict& member, std::optional<DrainReason> cause, bool listed) {
  const api::Pod& pod = *member.pod;
  if (const auto* done = std::get_if<Drained>(&member.drain))
    return watch_released(member, *done, cause.value_or(done->reason));
  const bool says_so = !std::holds_alternative<NotDraining>(member.before) && seen_.snapshot->is_written(pod);
  read(member, says_so && !listed);
  const bool is_draining = drains(member.drain);
  const seconds so_far = age(pod, member.drain);
  if (is_draining) note_age(so_far);
  const seconds limit = seen_.snapshot->drain_limit(pod);
  const seconds asked = seen_.snapshot->asked_timeout(pod);
  if (so_far >= asked && limit > asked) kept_.push_back(pod.name);
  plan_.look_again_in(std::max((so_far < asked ? asked : limit) - so_far, seconds{1}));
}

void Drains::tell_kept() {
  if (kept_.empty()) return;
  constexpr std::size_t kNamed = 4;
  const std::size_t more = kept_.size() - std::min(kept_.size(), kNamed);
  kept_.resize(kept_.size() - more);
  seen_.remarks.push_back(
      {.condition = api::condition::kDisruptionSafe,
       .reason = "DrainsKept",
       .message = fmt::format("Longer than spec.drain.timeoutSeconds: {}{}. With requests in flight, or a "
                              "load that is not known, "
                              "they are kept for {} s at most (--max-drain-timeout), as spec.drain.onTimeout "
                              "is keep. To let one "
                              "go: kubectl delete pod, or spec.drain.onTimeout: release",
                              fmt::join(kept_, ", "), more > 0 ? fmt::format(" and {} more", more) : "",
                              seen_.snapshot->max_drain_timeout.count())});
}

void Drains::tell_silent_consumers() {
  const auto silent = seen_.snapshot->consumers->silent_lately(now_.mono);
  if (silent.empty()) return;
  plan_.look_again_in(kSilenceWait);
  seen_.remarks.push_back({.condition = api::condition::kDisruptionSafe,
                           .reason = "ConsumerSilent",
                           .message = silence_words(silent)});
}

}  // namespace

void decide_drains(Observation& seen, Plan& plan, api::Now now) {
  Drains drains(seen, plan, now);
  if (seen.is_undecided()) drains.run_on_hold();
  if (seen.hold == Hold::kNone) drains.run();
  drains.tell_kept();
  drains.tell_silent_consumers();
}

}  // namespace poolwarden::pool
