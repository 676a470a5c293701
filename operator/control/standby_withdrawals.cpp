#include "control/standby_withdrawals.h"

#include <algorithm>
#include <utility>

namespace poolwarden::control {

void StandbyWithdrawals::saw(const ListKey& key, const std::string& list_version,
                             const std::set<std::string>& unfit, kube::TimePoint now) {
  const auto found = lists_.find(key);
  if (found == lists_.end() && unfit.empty()) return;
  List& list = found == lists_.end() ? lists_[key] : found->second;
  if (list.list_version != list_version) list.refused = false;
  list.list_version = list_version;
  std::erase_if(list.since, [&unfit](const auto& item) { return !unfit.contains(item.first); });
  for (const std::string& uid : unfit) list.since.try_emplace(uid, now);
  // What is under way is remembered, so that there is never a second one.
  if (list.since.empty() && !list.in_flight) lists_.erase(key);
}

std::optional<kube::TimePoint> StandbyWithdrawals::due_at(const List& list) {
  if (list.in_flight || list.refused || list.since.empty()) return std::nullopt;
  const auto oldest = std::min_element(list.since.begin(), list.since.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
  return std::max(oldest->second + kHedge, list.not_before);
}

std::vector<ListKey> StandbyWithdrawals::due(kube::TimePoint now) {
  std::vector<ListKey> keys;
  for (auto& [key, list] : lists_) {
    const auto at = due_at(list);
    if (!at || *at > now) continue;
    if (now - *at > kHedge) {
      list.not_before = now + kHedge;
    } else {
      keys.push_back(key);
    }
  }
  return keys;
}

std::set<kube::ObjectKey> StandbyWithdrawals::pools() const {
  std::set<kube::ObjectKey> keys;
  for (const auto& [key, list] : lists_) keys.insert(key.pool);
  return keys;
}

std::optional<kube::TimePoint> StandbyWithdrawals::next_deadline() const {
  std::optional<kube::TimePoint> earliest;
  for (const auto& [key, list] : lists_) {
    const auto at = due_at(list);
    if (at && (!earliest || *at < *earliest)) earliest = at;
  }
  return earliest;
}

std::optional<kube::TimePoint> StandbyWithdrawals::first_seen(const ListKey& key,
                                                              const std::string& uid) const {
  const auto list = lists_.find(key);
  if (list == lists_.end()) return std::nullopt;
  const auto seen = list->second.since.find(uid);
  return seen == list->second.since.end() ? std::nullopt : std::optional{seen->second};
}

void StandbyWithdrawals::sent(const ListKey& key, kube::TimePoint now) {
  const auto found = lists_.find(key);
  if (found == lists_.end()) return;
  found->second.in_flight = true;
  found->second.sent_over = found->second.list_version;
  found->second.not_before = now + kHedge;
}

void StandbyWithdrawals::answered(const ListKey& key, Outcome outcome, kube::TimePoint now) {
  const auto found = lists_.find(key);
  if (found == lists_.end()) return;
  List& list = found->second;
  list.in_flight = false;
  list.refused = outcome == Outcome::kConflict && list.sent_over == list.list_version;
  if (outcome != Outcome::kDone) list.not_before = std::max(list.not_before, now + kHedge);
  if (list.since.empty()) lists_.erase(found);
}

void StandbyWithdrawals::leave(const ListKey& key) {
  const auto found = lists_.find(key);
  if (found != lists_.end()) found->second.refused = true;
}

void StandbyWithdrawals::put_off(const ListKey& key, kube::TimePoint until) {
  const auto found = lists_.find(key);
  if (found != lists_.end()) found->second.not_before = std::max(found->second.not_before, until);
}

}  // namespace poolwarden::control
