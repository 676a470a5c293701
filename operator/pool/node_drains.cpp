#include "pool/node_drains.h"

#include "pool/membership.h"
#include "pool/replica_sync.h"

#include <algorithm>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace poolwarden::pool {
namespace {

// One pass's view of what the nodes that are being emptied leave of the pool.
class NodeDrains {
 public:
  NodeDrains(Observation& seen, Plan& plan, DrainCauses& causes)
      : seen_(seen), plan_(plan), causes_(causes) {}

  void run(const TakeCheapest& take);

 private:
  struct NodeDrainSummary {
    std::int32_t serving = 0;
    std::vector<std::size_t> leaving;  // of those that serve, who should go; as seen_.members
    bool draining = false;             // someone, and not for a surplus
    bool released = false;
    // Some begin or end a drain just now: who serves, and how many, is about to change.
    bool settling = false;
  };
  NodeDrainSummary node_drain_summary();
  std::int32_t may_leave(const NodeDrainSummary& summary, std::int32_t asked, bool replace_first) const;

  Observation& seen_;
  Plan& plan_;
  DrainCauses& causes_;
};

std::string waits_to_leave(std::int32_t serving, std::int32_t asked) {
  constexpr std::string_view kEmptied = "its node is being emptied: it goes";
  if (serving < asked) return fmt::format("{} once the pool serves with {}, {} do", kEmptied, asked, serving);
  if (serving == 1) return fmt::format("{} once another serves: it is the only one that does", kEmptied);
  return fmt::format("{} in its turn", kEmptied);
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
      out.draining |= leaves && !std::holds_alternative<Drained>(member.before);
      out.released |= reason && std::holds_alternative<Drained>(member.before);
    } else if (member.fit &&
               seen_.snapshot->is_written(*member.pod)) {  // one that is on its way back is not back
      ++out.serving;
      if (reason) out.leaving.push_back(i);
    }
  }
  return out;
}

// One by one where the pool would serve with fewer than it should: the next goes when another has come. A pod
// that has no room elsewhere so holds up the rest of its node, as any disruption budget would.
std::int32_t NodeDrains::may_leave(const NodeDrainSummary& summary, std::int32_t asked,
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

void NodeDrains::run(const TakeCheapest& take) {
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
  take(summary.leaving, std::min(may_go, static_cast<std::int32_t>(summary.leaving.size())));
  for (const std::size_t i : summary.leaving) {
    if (!causes_[i]) seen_.members[i].waits = waits_to_leave(summary.serving, asked);
  }
}

}  // namespace

std::optional<DrainReason> reason_to_leave(const PodVerdict& member) {
  return member.node != nullptr ? emptying(*member.node) : std::nullopt;
}

bool leaves_its_node(const Snapshot& snapshot, const PodVerdict& member) {
  return reason_to_leave(member) && !snapshot.draining_nodes->scheduled_after_drain(member.pod->uid);
}

void empty_nodes(Observation& seen, Plan& plan, DrainCauses& causes, const TakeCheapest& take) {
  NodeDrains(seen, plan, causes).run(take);
}

}  // namespace poolwarden::pool
