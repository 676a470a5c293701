#include "pool/draining_nodes.h"

namespace poolwarden::pool {

std::optional<DrainReason> emptying(const api::Node& node) {
  if (!node.deadline_taint.empty()) return DrainReason::kNodeTaint;
  if (node.unschedulable) return DrainReason::kNodeCordoned;
  if (!node.drain_taint.empty()) return DrainReason::kNodeTaint;
  return std::nullopt;
}

void DrainingNodes::saw(const std::string& node, std::optional<DrainReason> why, TimePoint now) {
  const auto found = since_.find(node);
  if (found != since_.end()) {
    if (why == found->second.why) return;
    since_.erase(found);
    std::erase_if(late_, [&node](const auto& item) { return item.second == node; });
  }
  if (why) since_.emplace(node, Emptying{*why, now});
}

void DrainingNodes::ends(const std::string& node, bool ending, TimePoint now) {
  if (ending) {
    ending_.try_emplace(node, now);
  } else {
    ending_.erase(node);
  }
}

void DrainingNodes::bound(const std::string& uid, const std::string& node, TimePoint now) {
  const auto found = since_.find(node);
  if (found != since_.end() && now - found->second.since >= kMargin) late_.emplace(uid, node);
}

void DrainingNodes::forget(const std::string& uid) {
  late_.erase(uid);
}

}  // namespace poolwarden::pool
