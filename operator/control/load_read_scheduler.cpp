#include "control/load_read_scheduler.h"

namespace poolwarden::control {

void LoadReadScheduler::enqueue(LoadRead read, bool last_read_failed) {
  const auto [turn, fresh] = turns_.try_emplace(read.pod_uid, last_read_failed, last_ + 1);
  if (fresh) ++last_;
  queue_.insert_or_assign(turn->second, std::move(read));
}

// A reading that asks more ports than there are places, or than half of them, goes alone.
LoadReadScheduler::Queue::iterator LoadReadScheduler::next() {
  const auto fits = [](std::size_t held, std::size_t more, std::size_t places) {
    return held == 0 || held + more <= places;
  };
  const auto good = queue_.begin();
  const auto failed = queue_.lower_bound({true, 0});
  const bool has_good = good != failed;
  if (failed != queue_.end() && fits(held_by_failed_, failed->second.request.sources.size(), places_ / 2) &&
      (!has_good || failed->first.second < good->first.second))
    return fits(held_, failed->second.request.sources.size(), places_) ? failed : queue_.end();
  return has_good && fits(held_, good->second.request.sources.size(), places_) ? good : queue_.end();
}

std::vector<LoadRead> LoadReadScheduler::take(const std::function<bool(const std::string& pod_uid)>& wanted) {
  std::vector<LoadRead> out;
  for (auto it = next(); it != queue_.end(); it = next()) {
    const bool last_read_failed = it->first.first;
    LoadRead read = std::move(it->second);
    queue_.erase(it);
    turns_.erase(read.pod_uid);
    if (!wanted(read.pod_uid)) continue;
    const std::size_t places = read.request.sources.size();
    under_way_[read.pod_uid] = {last_read_failed, places};
    held_ += places;
    if (last_read_failed) held_by_failed_ += places;
    out.push_back(std::move(read));
  }
  return out;
}

void LoadReadScheduler::finished(const std::string& pod_uid) {
  const auto found = under_way_.find(pod_uid);
  if (found == under_way_.end()) return;
  held_ -= found->second.places;
  if (found->second.last_read_failed) held_by_failed_ -= found->second.places;
  under_way_.erase(found);
}

}  // namespace poolwarden::control
