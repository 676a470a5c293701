#include "pool/node_sight.h"

#include <utility>

namespace poolwarden::pool {
namespace {

// Two nodes do not often die within the minutes that a dead node's pods take to be deleted.
constexpr std::int32_t kLeast = 2;
// Of three zones one may be lost: a third is no sign of blindness, more than that is.
constexpr std::int32_t kOneOf = 3;

}  // namespace

void NodeSight::count(const Node& node, std::int32_t by) {
  if (node.pools.empty()) return;
  const auto add = [&](Share& share) {
    share.nodes += by;
    if (node.unheard) share.unheard += by;
  };
  add(cluster_);
  for (const std::string& pool : node.pools) {
    add(pools_[pool]);
    touched_.insert(pool);
  }
}

void NodeSight::set(const std::string& name, Node node) {
  const auto found = nodes_.find(name);
  if (found != nodes_.end()) {
    if (found->second == node) return;
    count(found->second, -1);
    nodes_.erase(found);
  }
  count(node, 1);
  if (!node.pools.empty()) nodes_.emplace(name, std::move(node));
}

// Nodes without pods of pools say nothing of one that has some, but for this: that its pods are alone there.
void NodeSight::set_all(std::size_t nodes, std::size_t unheard) {
  const bool most = unheard >= static_cast<std::size_t>(kLeast) && 2 * unheard > nodes;
  if (most == most_unheard_) return;
  most_unheard_ = most;
  for (const auto& [pool, share] : pools_) touched_.insert(pool);
}

void NodeSight::forget_nodes() {
  nodes_.clear();
  cluster_.nodes = cluster_.unheard = 0;
  for (auto& [pool, share] : pools_) {
    share.nodes = share.unheard = 0;
    touched_.insert(pool);
  }
}

bool NodeSight::settle(Share& share, bool many, TimePoint now) {
  const bool before = share.blind;
  if (many) {
    share.blind = true;
    share.ends.reset();
  } else if (share.blind) {
    if (!share.ends) share.ends = now + kReturn;
    share.blind = now < *share.ends;
    if (!share.blind) share.ends.reset();
  }
  return share.blind != before;
}

NodeSight::Change NodeSight::look(TimePoint now) {
  Change out;
  const bool many = cluster_.unheard >= kLeast && cluster_.unheard * kOneOf > cluster_.nodes;
  out.all = settle(cluster_, many, now);
  for (const std::string& pool : std::exchange(touched_, {})) {
    Share& share = pools_[pool];
    const bool all_unheard = share.nodes >= (most_unheard_ ? 1 : kLeast) && share.unheard == share.nodes;
    if (settle(share, all_unheard, now)) out.pools.insert(pool);
    if (share.ends) touched_.insert(pool);
    if (share.blind) {
      blind_pools_.insert(pool);
    } else {
      blind_pools_.erase(pool);
      if (share.nodes == 0) pools_.erase(pool);
    }
  }
  return out;
}

std::optional<NodeSight::TimePoint> NodeSight::next_deadline() const {
  std::optional<TimePoint> earliest = cluster_.ends;
  for (const std::string& pool : touched_) {
    const auto& ends = pools_.at(pool).ends;
    if (ends && (!earliest || *ends < *earliest)) earliest = ends;
  }
  return earliest;
}

std::optional<UnseenNodes> NodeSight::unseen(const std::string& pool) const {
  const auto tell = [](const Share& share, bool of_all) {
    return UnseenNodes{share.unheard, share.nodes, of_all, share.ends.has_value()};
  };
  if (cluster_.blind) return tell(cluster_, true);
  return blind_pools_.contains(pool) ? std::optional{tell(pools_.at(pool), false)} : std::nullopt;
}

}  // namespace poolwarden::pool
