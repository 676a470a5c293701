#include "pool/node_sight.h"

#include <utility>

namespace poolwarden::pool {
namespace {

// Two nodes do not often die within the minutes that a dead node's pods take to be deleted.
constexpr std::int32_t kLeast = 2;
// Of three zones one may be lost: a third is no sign of blindness, more than that is.
constexpr std::int32_t kOneOf = 3;
// Of all nodes. Those without pods of pools may be many, and come and go by the dozen: a third of them says
// less.
constexpr std::int32_t kOneOfAll = 2;

}  // namespace

void NodeSight::count(const Node& node, std::int32_t by) {
  if (node.pools.empty()) return;
  const auto add = [&](Share& share) {
    share.nodes += by;
    if (node.unheard) share.unheard += by;
  };
  add(carrying_);
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

void NodeSight::forget_nodes() {
  nodes_.clear();
  carrying_.nodes = carrying_.unheard = 0;
  set_all(0, 0);
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
  const auto many = [](const Share& share, std::int32_t one_of) {
    return share.unheard >= kLeast && share.unheard * one_of > share.nodes;
  };
  const bool before = carrying_.blind || all_.blind;
  settle(carrying_, many(carrying_, kOneOf), now);
  settle(all_, many(all_, kOneOfAll), now);
  out.all = before != (carrying_.blind || all_.blind);
  for (const std::string& pool : std::exchange(touched_, {})) {
    Share& share = pools_[pool];
    if (settle(share, share.nodes >= kLeast && share.unheard == share.nodes, now)) out.pools.insert(pool);
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
  std::optional<TimePoint> earliest = carrying_.ends;
  const auto sooner = [&earliest](const std::optional<TimePoint>& ends) {
    if (ends && (!earliest || *ends < *earliest)) earliest = ends;
  };
  sooner(all_.ends);
  for (const std::string& pool : touched_) sooner(pools_.at(pool).ends);
  return earliest;
}

std::optional<UnseenNodes> NodeSight::unseen(const std::string& pool) const {
  using Which = UnseenNodes::Which;
  const auto tell = [](const Share& share, Which which) {
    return UnseenNodes{share.unheard, share.nodes, which, share.ends.has_value()};
  };
  if (carrying_.blind && (!carrying_.ends || !all_.blind)) return tell(carrying_, Which::kOfPools);
  if (all_.blind) return tell(all_, Which::kOfCluster);
  if (blind_pools_.contains(pool)) return tell(pools_.at(pool), Which::kOfThisPool);
  return std::nullopt;
}

}  // namespace poolwarden::pool
