#include "pool/replica_set_view.h"

#include "pool/drain.h"
#include "pool/membership.h"
#include "pool/ordinal_set.h"

namespace poolwarden::pool {
namespace {

// The ReplicaSet controller deletes what is too many within a second.
constexpr std::chrono::seconds kSurplusIsHeld{5};

// Whether the Deployment was scaled after this was read of its ReplicaSet. A set that is to have no pods is
// sized no more, and has to lose what it has; the order of their versions tells which of two watches lags.
bool is_outdated(const ReplicaSetFacts& facts) {
  const api::ReplicaSet& set = *facts.set;
  return facts.target != nullptr && facts.target_is_newer && set.controller == facts.target->uid &&
         set.replicas > 0 && set.desired && *set.desired != facts.target->replicas && !facts.target->deleting;
}

}  // namespace

bool SurplusClock::lasts(const std::string& set_uid, bool too_many, TimePoint now) {
  if (!too_many) {
    since_.erase(set_uid);
    return false;
  }
  return now - since_.try_emplace(set_uid, now).first->second >= kSurplusIsHeld;
}

void SurplusClock::sweep(const std::function<bool(const std::string&)>& there) {
  std::erase_if(since_, [&there](const auto& item) { return !there(item.first); });
}

ReplicaSetView view_of(const ReplicaSetFacts& facts, SurplusClock& surplus, SurplusClock::TimePoint now) {
  ReplicaSetView view;
  view.set = facts.set;
  bool alone = true;
  for (const api::ReplicaSet* other : facts.siblings) {
    view.superseded |= other->revision > facts.set->revision && other->replicas > 0;
    alone &= other->uid == facts.set->uid || (other->replicas == 0 && other->status_replicas == 0);
  }
  view.outdated = alone && is_outdated(facts);
  std::int32_t ready = 0;
  bool any_drains = false;
  for (const api::Pod* pod : facts.pods) {
    if (!is_active(*pod)) continue;
    const bool is_ready = pod->ready == api::Tristate::kTrue;
    if (is_ready) ++ready;
    const bool this_drains = drains(drain_state(*pod));
    any_drains |= this_drains;
    if (facts.is_member(*pod)) continue;
    ++view.pods_outside_pool;
    if (this_drains) ++view.draining_outside_pool;
    if (!is_ready && !is_held(*pod)) ++view.unready_outside_pool;
  }
  view.held = surplus.lasts(facts.set->uid, ready > facts.set->replicas, now) || any_drains;
  return view;
}

StatefulSetView view_of(const api::StatefulSet& set, const std::vector<const api::Pod*>& pods,
                        SurplusClock& surplus, SurplusClock::TimePoint now) {
  StatefulSetView view;
  view.set = &set;
  bool any_ready = false;
  bool any_drains = false;
  for (const Leaver& leaver : next_to_leave(set, pods)) {
    view.leaving.emplace(leaver.pod->uid, leaver.reason);
    any_ready |= leaver.pod->ready == api::Tristate::kTrue;
    any_drains |= drains(drain_state(*leaver.pod));
  }
  view.held = surplus.lasts(set.uid, any_ready, now) || any_drains;
  return view;
}

}  // namespace poolwarden::pool
