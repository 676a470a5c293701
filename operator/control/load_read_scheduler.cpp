#include "control/load_read_scheduler.h"

#include <algorithm>
#include <utility>

namespace poolwarden::control {
namespace {

// A reading that asks more ports than there are places for it goes alone.
bool fits(std::size_t held, std::size_t more, std::size_t places) {
  return held == 0 || held + more <= places;
}

std::size_t ports(const LoadRead& read) {
  return read.request.sources.size();
}

}  // namespace

void LoadReadScheduler::Places::add(bool failed, std::size_t places) {
  held += places;
  if (failed) held_by_failed += places;
}

void LoadReadScheduler::Places::remove(bool failed, std::size_t places) {
  held -= places;
  if (failed) held_by_failed -= places;
}

void LoadReadScheduler::enqueue(LoadRead read, bool last_read_failed) {
  const auto [waits, fresh] =
      turns_.try_emplace(read.pod_uid, Waits{read.pool.ns, {last_read_failed, last_ + 1}});
  if (fresh) ++last_;
  tenants_[waits->second.ns].queue.insert_or_assign(waits->second.turn, std::move(read));
}

// What may begin of a namespace, whatever the others hold: the first to come of either kind.
LoadReadScheduler::Queue::iterator LoadReadScheduler::next_of(Tenant& tenant) const {
  const auto good = tenant.queue.begin();
  const auto failed = tenant.queue.lower_bound({true, 0});
  const bool has_good = good != failed;
  const bool failed_may = failed != tenant.queue.end() &&
                          fits(tenant.places.held_by_failed, ports(failed->second), share() / 2) &&
                          fits(all_.held_by_failed, ports(failed->second), places_ / 2);
  const bool failed_goes = failed_may && (!has_good || failed->first.second < good->first.second);
  if (!failed_goes && !has_good) return tenant.queue.end();
  // Nobody overtakes a reading that waits for room in the share, or a large one might wait for ever.
  const auto next = failed_goes ? failed : good;
  return fits(tenant.places.held, ports(next->second), share()) ? next : tenant.queue.end();
}

// In turns, beginning after the one that was served last. The end if nobody may begin anything.
LoadReadScheduler::Tenants::iterator LoadReadScheduler::next_tenant() {
  const auto first = tenants_.upper_bound(last_served_);
  const auto may_begin = [this](auto& item) { return next_of(item.second) != item.second.queue.end(); };
  const auto after = std::find_if(first, tenants_.end(), may_begin);
  if (after != tenants_.end()) return after;
  const auto before = std::find_if(tenants_.begin(), first, may_begin);
  return before != first ? before : tenants_.end();
}

void LoadReadScheduler::forget_if_idle(Tenants::iterator tenant) {
  if (tenant->second.queue.empty() && tenant->second.places.held == 0) tenants_.erase(tenant);
}

std::vector<LoadRead> LoadReadScheduler::take(const std::function<bool(const std::string& pod_uid)>& wanted) {
  std::vector<LoadRead> out;
  for (auto tenant = next_tenant(); tenant != tenants_.end(); tenant = next_tenant()) {
    auto& [ns, of_ns] = *tenant;
    const auto next = next_of(of_ns);
    const std::size_t places = ports(next->second);
    // Whose turn it is waits for its places, and the others behind it.
    if (!fits(all_.held, places, places_)) break;
    const bool last_read_failed = next->first.first;
    LoadRead read = std::move(next->second);
    of_ns.queue.erase(next);
    turns_.erase(read.pod_uid);
    if (wanted(read.pod_uid)) {
      last_served_ = ns;
      under_way_[read.pod_uid] = {ns, last_read_failed, places};
      of_ns.places.add(last_read_failed, places);
      all_.add(last_read_failed, places);
      out.push_back(std::move(read));
    }
    forget_if_idle(tenant);
  }
  return out;
}

void LoadReadScheduler::finished(const std::string& pod_uid) {
  const auto found = under_way_.find(pod_uid);
  if (found == under_way_.end()) return;
  const auto& [ns, failed, places] = found->second;
  all_.remove(failed, places);
  const auto tenant = tenants_.find(ns);
  tenant->second.places.remove(failed, places);
  under_way_.erase(found);
  forget_if_idle(tenant);
}

}  // namespace poolwarden::control
