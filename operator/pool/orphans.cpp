#include "pool/orphans.h"

#include "pool/drain.h"
#include "pool/membership.h"
#include "pool/pod_labels.h"

#include <algorithm>
#include <set>
#include <string_view>

namespace poolwarden::pool {
namespace {

// A ReplicaSet's controller acts on a change of its pods within a second.
constexpr std::chrono::seconds kReleaseGrace{2};
// How long the others stay held for one whose release cannot be written.
constexpr std::chrono::minutes kReleaseLimit{5};

}  // namespace

void Orphans::see(const std::vector<const api::Pod*>& orphans, TimePoint now) {
  std::set<std::string_view> draining;  // UIDs of controllers
  for (const api::Pod* pod : orphans) {
    const DrainState state = drain_state(*pod);
    if (!drains(state) || pod->controller->empty() || !is_active(*pod)) continue;
    draining.insert(*pod->controller);
    Grace& grace = grace_.try_emplace(*pod->controller, Grace{now, now + kReleaseGrace}).first->second;
    // Its time begins when its label says that it may go.
    if (std::holds_alternative<Draining>(state) && now < grace.began + kReleaseLimit)
      grace.until = now + kReleaseGrace;
  }
  std::erase_if(grace_,
                [&](const auto& item) { return !draining.contains(item.first) && item.second.until <= now; });
}

std::optional<api::PodLabelWrite> Orphans::write_for(const api::Pod& orphan, TimePoint now) const {
  const auto grace = grace_.find(*orphan.controller);
  if (grace == grace_.end() || grace->second.until <= now) return take_off(orphan);
  return std::holds_alternative<Draining>(drain_state(orphan)) ? std::optional{release(orphan)}
                                                               : std::nullopt;
}

std::optional<Orphans::TimePoint> Orphans::next_deadline(TimePoint now) const {
  std::optional<TimePoint> earliest;
  for (const auto& [controller, grace] : grace_) {
    if (grace.until > now) earliest = std::min(grace.until, earliest.value_or(grace.until));
  }
  return earliest;
}

}  // namespace poolwarden::pool
