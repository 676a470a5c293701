#include "pool/node_drains.h"

#include "api/names.h"
#include "api/target_kind.h"
#include "pool/membership.h"
#include "pool/replica_sync.h"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace poolwarden::pool {
namespace {

using std::chrono::seconds;

// For how long a pod that was released for its node waits for its eviction. Whoever empties a node asks every
// few seconds (kubectl drain: 5), so by then nobody does: others may be asked for meanwhile, on other nodes.
constexpr seconds kEvictionPatience{60};

constexpr std::int32_t kMostReplacedAtOnce = 2;

// What the pool's size is while nodes are emptied.
struct Terms {
  std::int32_t asked = 0;
  bool may_surge = false;      // one more can be asked for
  bool replace_first = false;  // and is, before a pod goes
};

// One pass's view of what the nodes that are being emptied leave of the pool.
class NodeDrains {
 public:
  NodeDrains(Observation& seen, Plan& plan, DrainCauses& causes, api::Now now)
      : seen_(seen), plan_(plan), causes_(causes), now_(now) {}

  void run(const TakeCheapest& take);

 private:
  struct Stuck {
    std::size_t member = 0;  // as seen_.members
    Releases::Duration waited{};
  };
  struct NodeDrainSummary {
    std::int32_t serving = 0;
    std::vector<std::size_t> leaving;  // of those that serve, who should go; as seen_.members
    std::vector<std::size_t> unready;  // who should go too, and serves nobody just now
    bool draining = false;             // someone, and not for a surplus
    bool released = false;
    std::vector<Stuck> stuck;  // of the released, whom nobody evicts; the longest first
    // Some begin or end a drain just now: who serves, and how many, is about to change.
    bool settling = false;
    bool last_goes = false;  // the last that serves has waited for long enough
  };
  NodeDrainSummary node_drain_summary();
  void note_released(std::size_t member, NodeDrainSummary& out);
  Terms terms() const;
  std::int32_t wanted_surge(const NodeDrainSummary& summary, const Terms& terms) const;
  std::int32_t may_leave(const NodeDrainSummary& summary, const Terms& terms) const;
  bool last_stays(const NodeDrainSummary& summary) const;
  bool last_waits_too_long(const NodeDrainSummary& summary);
  void tell_last(const PodVerdict& last);
  std::optional<std::size_t> steps_aside(const NodeDrainSummary& summary, const Terms& terms);
  void drain_unready(const NodeDrainSummary& summary, const Terms& terms);
  void empty_at_once(NodeDrainSummary& summary);
  std::vector<std::size_t> in_turn(const std::vector<std::size_t>& leaving) const;

  Observation& seen_;
  Plan& plan_;
  DrainCauses& causes_;
  api::Now now_;
};

bool chooses_by_ordinal(const api::InferencePool& pool) {
  const api::ScalableKind* kind = api::scalable(api::target_kind(pool));
  return kind != nullptr && kind->by_ordinal;
}

std::string waits_to_leave(std::int32_t serving, std::int32_t asked) {
  constexpr std::string_view kEmptied = "its node is being emptied: it goes";
  if (serving < asked) return fmt::format("{} once the pool serves with {}, {} do", kEmptied, asked, serving);
  if (serving == 1) return fmt::format("{} once another serves: it is the only one that does", kEmptied);
  return fmt::format("{} in its turn", kEmptied);
}

void NodeDrains::note_released(std::size_t member, NodeDrainSummary& out) {
  out.released = true;
  const std::string& uid = seen_.members[member].pod->uid;
  const auto waited = seen_.snapshot->releases->released_for(uid, now_.mono).value_or(Releases::Duration{0});
  if (waited < kEvictionPatience) return plan_.look_again_in(kEvictionPatience - waited);
  const auto later = std::find_if(out.stuck.begin(), out.stuck.end(),
                                  [waited](const Stuck& other) { return other.waited < waited; });
  out.stuck.insert(later, {member, waited});
}

NodeDrains::NodeDrainSummary NodeDrains::node_drain_summary() {
  NodeDrainSummary out;
  for (std::size_t i = 0; i < seen_.members.size(); ++i) {
    PodVerdict& member = seen_.members[i];
    if (!is_active(*member.pod)) continue;
    if (!seen_.snapshot->leads(*member.pod)) {
      if (member.fit && !drains(member.before)) ++out.serving;
      continue;
    }
    auto reason = reason_to_leave(member);
    if (reason && !leaves_its_node(*seen_.snapshot, member)) {
      reason.reset();
      member.waits =
          "it came to its node when that was being emptied already, and stays until kubectl "
          "poolwarden drain or delete";
    }
    if (drains(member.before) || causes_[i]) {
      const bool for_its_node = !causes_[i] && reason;
      if (for_its_node) causes_[i] = reason;
      out.settling |= !seen_.snapshot->is_written(*member.pod) || !causes_[i] || !drains(member.before);
      const bool leaves = reason && (for_its_node || causes_[i] == DrainReason::kRequested);
      const bool is_released = std::holds_alternative<Drained>(member.before);
      out.draining |= leaves && !is_released;
      out.released |= reason && is_released;
      if (leaves && is_released) note_released(i, out);
    } else if (!seen_.snapshot->is_written(*member.pod)) {
      // One that is on its way back is not back.
    } else if (member.fit) {
      ++out.serving;
      if (reason) out.leaving.push_back(i);
    } else if (reason && may_have_to_finish(member)) {
      out.unready.push_back(i);
    }
  }
  return out;
}

Terms NodeDrains::terms() const {
  Terms out;
  // What the target has meanwhile is not what was asked for.
  const std::int32_t target =
      seen_.target == TargetState::kFound ? seen_.snapshot->target->replicas : seen_.active();
  out.asked = seen_.pool().replicas.value_or(target);
  // The only one there is goes after its replacement whatever the pool says: nobody would serve meanwhile.
  // Not where an autoscaler sets the target's replicas: it would take the one more away again, over and over.
  // Nor where the highest ordinal goes: that would delete the one more, and never the pod that it was asked
  // for.
  out.may_surge = seen_.target == TargetState::kFound && seen_.snapshot->target_autoscalers.empty() &&
                  !chooses_by_ordinal(seen_.pool()) && out.asked > 0;
  out.replace_first = out.may_surge && (seen_.pool().disruption.replace_first || out.asked == 1);
  return out;
}

// One more is asked for while a pod drains. Once the pod has drained, the one more is dropped, so that the
// ReplicaSet deletes the drained pod. It deletes a pod that is not ready first: then too few serve, and one
// more is asked for again.
// One that was granted stays until then: its ReplicaSet may be another than that of the pod which goes.
//
// Without replaceFirst, that begins only for those that have drained and that nobody evicts. What was granted
// stays while others are to leave: one that is dropped before it is ready would be made again for each.
std::int32_t NodeDrains::wanted_surge(const NodeDrainSummary& summary, const Terms& terms) const {
  if (!terms.may_surge) return 0;
  const std::int32_t granted = granted_surge(*seen_.snapshot);
  const bool someone_waits = !summary.leaving.empty() || !summary.unready.empty();
  if (terms.replace_first) {
    const bool is_replaced = summary.draining && summary.serving <= terms.asked + granted;
    const bool needs_one = summary.released ? summary.serving < terms.asked : is_replaced || someone_waits;
    return needs_one ? 1 : 0;
  }
  const auto stuck = static_cast<std::int32_t>(summary.stuck.size());
  const std::int32_t replaced = std::min(stuck, kMostReplacedAtOnce);
  if (stuck > 0 && summary.serving + stuck < terms.asked + replaced) return std::max(replaced, granted);
  const bool goes_on = summary.draining || summary.released || someone_waits;
  const bool has_more = seen_.snapshot->target->replicas > terms.asked;
  const bool is_replaced = summary.released && summary.serving >= terms.asked;
  return goes_on && has_more && !is_replaced ? granted : 0;
}

// A cordon alone brings no replacement: nobody may ever evict the pod. So the last that serves stays, unless
// there is no target that could bring one before: then nothing else would ever empty the node. One that
// cannot be seen may be there.
bool NodeDrains::last_stays(const NodeDrainSummary& summary) const {
  const bool no_target =
      seen_.target == TargetState::kNotConfigured || seen_.target == TargetState::kWrongKind;
  return summary.serving == 1 && !no_target;
}

// Nobody comes in its place within the time that a drain may take. Then a person has to know.
bool NodeDrains::last_waits_too_long(const NodeDrainSummary& summary) {
  if (!last_stays(summary) || summary.leaving.empty()) return false;
  const PodVerdict& last = seen_.members[summary.leaving.front()];
  const auto since = seen_.snapshot->draining_nodes->draining_since(last.emptied->name);
  const auto waited = since ? now_.mono - *since : Releases::Duration{0};
  const auto limit = std::max(seen_.snapshot->asked_timeout(*last.pod), kEvictionPatience);
  if (waited >= limit) return true;
  plan_.look_again_in(limit - waited);
  return false;
}

void NodeDrains::tell_last(const PodVerdict& last) {
  std::string ways_out =
      fmt::format("kubectl poolwarden delete {}, or spec.disruption.onlyReplica: drain", last.pod->name);
  if (!seen_.snapshot->target_autoscalers.empty()) {
    ways_out = fmt::format("let HorizontalPodAutoscaler {} scale the pool instead of its target, {}",
                           fmt::join(seen_.snapshot->target_autoscalers, ", "), ways_out);
  } else if (!chooses_by_ordinal(seen_.pool())) {
    ways_out = "make room for its replacement, " + ways_out;
  }
  seen_.remarks.push_back(
      {.condition = api::condition::kDisruptionSafe,
       .reason = "OnlyReplicaStays",
       .message =
           fmt::format("Node {} is being emptied, and its pod {} is the only one that serves: no other "
                       "has come for longer than a drain may take, so it stays. Ways out: {}",
                       last.emptied->name, last.pod->name, ways_out)});
}

// One by one where the pool would serve with fewer than it should: the next goes when another has come. A pod
// that has no room elsewhere so holds up the rest of its node, as any disruption budget would.
std::int32_t NodeDrains::may_leave(const NodeDrainSummary& summary, const Terms& terms) const {
  const std::int32_t spare = summary.serving - terms.asked;
  if (summary.settling) return 0;
  if (summary.last_goes) return 1;
  if (spare < 0) return 0;
  // Who is replaced is deleted in a moment, by its ReplicaSet: the next has its turn then.
  const bool is_replaced =
      terms.may_surge && std::any_of(summary.stuck.begin(), summary.stuck.end(), [this](const Stuck& stuck) {
        return causes_[stuck.member] != DrainReason::kRequested;
      });
  return terms.replace_first || is_replaced || last_stays(summary) ? spare : std::max(spare, 1);
}

// The eviction that somebody asks for may be another's, on another node: nobody sees which, as a refused one
// leaves no trace. So who has drained and is not evicted goes back to work, and the next has its turn. Where
// a replacement can come it has as long as a drain to do so.
std::optional<std::size_t> NodeDrains::steps_aside(const NodeDrainSummary& summary, const Terms& terms) {
  const bool others_wait = !summary.leaving.empty() && may_leave(summary, terms) == 0;
  if (!others_wait || summary.settling || summary.draining) return std::nullopt;
  for (const Stuck& stuck : summary.stuck) {
    if (causes_[stuck.member] == DrainReason::kRequested) continue;
    const auto timeout = seen_.snapshot->asked_timeout(*seen_.members[stuck.member].pod);
    const auto patience =
        kEvictionPatience + (terms.may_surge ? std::max(timeout, kEvictionPatience) : seconds{0});
    if (stuck.waited >= patience) return stuck.member;
    plan_.look_again_in(patience - stuck.waited);
  }
  return std::nullopt;
}

// Of a node that ends within moments all go, as long as another serves: one after the other, the last ones
// would take new requests until it is gone.
void NodeDrains::empty_at_once(NodeDrainSummary& summary) {
  std::map<std::string_view, std::vector<std::size_t>> ending;
  for (const std::size_t i : summary.leaving) {
    const api::Node& node = *seen_.members[i].emptied;
    if (!node.deadline_taint.empty()) ending[node.name].push_back(i);
  }
  for (const auto& [node, members] : ending) {
    const auto count = static_cast<std::int32_t>(members.size());
    if (summary.serving <= count) continue;
    for (const std::size_t i : members) {
      causes_[i] = DrainReason::kNodeTaint;
      seen_.members[i].why = fmt::format("node {} ends within moments, and all its pods go at once", node);
    }
    summary.serving -= count;
    summary.settling = true;
  }
  std::erase_if(summary.leaving, [this](std::size_t i) { return causes_[i].has_value(); });
}

// Who has stepped aside goes again when all others have had their turn. What was taken back before its node
// was emptied has stepped aside for nobody.
std::vector<std::size_t> NodeDrains::in_turn(const std::vector<std::size_t>& leaving) const {
  const auto last_turn = [this](std::size_t i) {
    const PodVerdict& member = seen_.members[i];
    const auto turn = seen_.snapshot->releases->taken_back(member.pod->uid);
    const auto since = seen_.snapshot->draining_nodes->draining_since(member.emptied->name);
    return turn && since && *turn < *since ? std::nullopt : turn;
  };
  std::vector<std::size_t> out;
  for (const std::size_t i : leaving) {
    if (!out.empty() && last_turn(i) > last_turn(out.front())) continue;
    if (!out.empty() && last_turn(i) < last_turn(out.front())) out.clear();
    out.push_back(i);
  }
  return out;
}

// The pool loses nothing by them. But they may be ready again in a moment: the last ones finish what they
// have, and go when others serve.
void NodeDrains::drain_unready(const NodeDrainSummary& summary, const Terms& terms) {
  if (summary.serving < (terms.replace_first ? terms.asked : 1)) return;
  for (const std::size_t i : summary.unready) causes_[i] = reason_to_leave(seen_.members[i]);
}

void NodeDrains::run(const TakeCheapest& take) {
  NodeDrainSummary summary = this->node_drain_summary();
  if (last_waits_too_long(summary)) {
    summary.last_goes = seen_.pool().disruption.only_replica == api::OnlyReplica::kDrain;
    if (!summary.last_goes) tell_last(seen_.members[summary.leaving.front()]);
  }
  const Terms terms = this->terms();
  drain_unready(summary, terms);
  empty_at_once(summary);
  plan_.surge = wanted_surge(summary, terms);
  if (summary.leaving.empty()) return;
  if (const auto aside = steps_aside(summary, terms)) {
    causes_[*aside].reset();
  } else if (const std::int32_t may_go = may_leave(summary, terms); may_go > 0) {
    const auto next = in_turn(summary.leaving);
    take(next, std::min(may_go, static_cast<std::int32_t>(next.size())));
  }
  for (const std::size_t i : summary.leaving) {
    if (!causes_[i]) seen_.members[i].waits = waits_to_leave(summary.serving, terms.asked);
  }
}

}  // namespace

std::optional<DrainReason> reason_to_leave(const PodVerdict& member) {
  return member.emptied != nullptr ? emptying(*member.emptied) : std::nullopt;
}

bool leaves_its_node(const Snapshot& snapshot, const PodVerdict& member) {
  return reason_to_leave(member) && !snapshot.draining_nodes->scheduled_after_drain(member.on_emptied->uid);
}

void shorten_drains(Snapshot& seen, seconds deadline, api::Now now) {
  if (!seen.draining_nodes->any_ends()) return;
  for (const api::Pod* pod : seen.pods) {
    auto since = seen.draining_nodes->ending_since(*pod->node);
    for (const api::Pod* worker : seen.workers_of(*pod)) {
      const auto its = seen.draining_nodes->ending_since(*worker->node);
      if (its) since = std::min(*its, since.value_or(*its));
    }
    if (!since) continue;
    const DrainState state = drain_state(*pod);
    const bool has_begun = !std::holds_alternative<NotDraining>(state);
    const seconds so_far = has_begun ? seen.drain_ages->age(pod->uid, started(state), now) : seconds{0};
    const auto left = std::chrono::floor<seconds>(*since + deadline - now.mono);
    api::DrainSpec drain = seen.drain_of(*pod);
    drain.timeout = std::clamp(so_far + left, seconds{0}, seen.drain_limit(*pod));
    drain.on_timeout = api::OnTimeout::kRelease;
    seen.shared_drains.insert_or_assign(pod->uid, drain);
  }
}

void empty_nodes(Observation& seen, Plan& plan, DrainCauses& causes, api::Now now, const TakeCheapest& take) {
  NodeDrains(seen, plan, causes, now).run(take);
}

}  // namespace poolwarden::pool
