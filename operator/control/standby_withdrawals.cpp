#include "control/standby_withdrawals.h"

#include <algorithm>
#include <utility>

namespace poolwarden::control {

void StandbyWithdrawals::saw(const kube::ObjectKey& key, const std::string& list_version,
                             const std::set<std::string>& unfit, kube::TimePoint now) {
  const auto found = pools_.find(key);
  if (found == pools_.end() && unfit.empty()) return;
  Pool& pool = found == pools_.end() ? pools_[key] : found->second;
  if (pool.list_version != list_version) pool.refused = false;
  pool.list_version = list_version;
  std::erase_if(pool.since, [&unfit](const auto& item) { return !unfit.contains(item.first); });
  for (const std::string& uid : unfit) pool.since.try_emplace(uid, now);
  // What is under way is remembered, so that there is never a second one.
  if (pool.since.empty() && !pool.in_flight) pools_.erase(key);
}

std::optional<kube::TimePoint> StandbyWithdrawals::due_at(const Pool& pool) {
  if (pool.in_flight || pool.refused || pool.since.empty()) return std::nullopt;
  const auto oldest = std::min_element(pool.since.begin(), pool.since.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
  return std::max(oldest->second + kHedge, pool.not_before);
}

std::vector<kube::ObjectKey> StandbyWithdrawals::due(kube::TimePoint now) {
  std::vector<kube::ObjectKey> keys;
  for (auto& [key, pool] : pools_) {
    const auto at = due_at(pool);
    if (!at || *at > now) continue;
    if (now - *at > kHedge) {
      pool.not_before = now + kHedge;
    } else {
      keys.push_back(key);
    }
  }
  return keys;
}

std::vector<kube::ObjectKey> StandbyWithdrawals::pools() const {
  std::vector<kube::ObjectKey> keys;
  for (const auto& [key, pool] : pools_) keys.push_back(key);
  return keys;
}

std::optional<kube::TimePoint> StandbyWithdrawals::next_deadline() const {
  std::optional<kube::TimePoint> earliest;
  for (const auto& [key, pool] : pools_) {
    const auto at = due_at(pool);
    if (at && (!earliest || *at < *earliest)) earliest = at;
  }
  return earliest;
}

std::optional<kube::TimePoint> StandbyWithdrawals::first_seen(const kube::ObjectKey& key,
                                                              const std::string& uid) const {
  const auto pool = pools_.find(key);
  if (pool == pools_.end()) return std::nullopt;
  const auto seen = pool->second.since.find(uid);
  return seen == pool->second.since.end() ? std::nullopt : std::optional{seen->second};
}

void StandbyWithdrawals::sent(const kube::ObjectKey& key, kube::TimePoint now) {
  const auto found = pools_.find(key);
  if (found == pools_.end()) return;
  found->second.in_flight = true;
  found->second.sent_over = found->second.list_version;
  found->second.not_before = now + kHedge;
}

void StandbyWithdrawals::answered(const kube::ObjectKey& key, Outcome outcome, kube::TimePoint now) {
  const auto found = pools_.find(key);
  if (found == pools_.end()) return;
  Pool& pool = found->second;
  pool.in_flight = false;
  pool.refused = outcome == Outcome::kConflict && pool.sent_over == pool.list_version;
  if (outcome != Outcome::kDone) pool.not_before = std::max(pool.not_before, now + kHedge);
  if (pool.since.empty()) pools_.erase(found);
}

void StandbyWithdrawals::leave(const kube::ObjectKey& key) {
  const auto found = pools_.find(key);
  if (found != pools_.end()) found->second.refused = true;
}

void StandbyWithdrawals::put_off(const kube::ObjectKey& key, kube::TimePoint until) {
  const auto found = pools_.find(key);
  if (found != pools_.end()) found->second.not_before = std::max(found->second.not_before, until);
}

}  // namespace poolwarden::control
