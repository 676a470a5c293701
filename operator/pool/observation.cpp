#include "pool/observation.h"

#include "pool/membership.h"

#include <algorithm>

namespace poolwarden::pool {
namespace {

TargetState target_state(const Snapshot& snapshot) {
  const auto& ref = snapshot.pool->scale_target;
  if (!ref) return TargetState::kNotConfigured;
  if (ref->api_version != "apps/v1" || ref->kind != "Deployment") return TargetState::kWrongKind;
  if (snapshot.target != nullptr) return TargetState::kFound;
  return snapshot.target_sight == Sight::kBlind ? TargetState::kBlind : TargetState::kNotFound;
}

const api::LabelSelector* selector_in_force(const Snapshot& snapshot, TargetState target) {
  if (snapshot.pool->selector) return &*snapshot.pool->selector;
  if (target == TargetState::kFound && !snapshot.target->selector.problem())
    return &snapshot.target->selector;
  return nullptr;
}

Hold hold_of(const Observation& seen) {
  if (!seen.snapshot->can_see) return Hold::kBlind;
  if (!seen.problems.empty()) return Hold::kInvalidSpec;
  if (seen.selector == nullptr) return Hold::kNoSelector;
  return Hold::kNone;
}

}  // namespace

std::int32_t Observation::active() const {
  return static_cast<std::int32_t>(std::count_if(
      members.begin(), members.end(), [](const PodVerdict& member) { return is_active(*member.pod); }));
}

std::int32_t Observation::endpoints() const {
  return static_cast<std::int32_t>(
      std::count_if(members.begin(), members.end(),
                    [](const PodVerdict& member) { return member.reason == Withdrawal::kNone; }));
}

Observation observe(const Snapshot& snapshot) {
  Observation out;
  out.snapshot = &snapshot;
  out.target = target_state(snapshot);
  out.problems = api::problems(*snapshot.pool);
  out.selector = selector_in_force(snapshot, out.target);
  out.hold = hold_of(out);
  if (out.hold != Hold::kNone) return out;
  for (const api::Pod* pod : snapshot.pods) {
    if (!out.selector->matches(*pod->labels)) {
      out.strays.push_back(pod);
      continue;
    }
    PodVerdict verdict = judge(*pod, snapshot.node);
    if (verdict.reason == Withdrawal::kNone && snapshot.pool->deleting) {
      verdict.reason = Withdrawal::kPoolDeleting;
      verdict.detail = "its pool is being deleted";
    }
    out.members.push_back(std::move(verdict));
  }
  return out;
}

}  // namespace poolwarden::pool
