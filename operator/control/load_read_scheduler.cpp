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
  const auto well = queue_.begin();
  const auto troubled = queue_.lower_bound({true, 0});
  const bool has_well = well != troubled;
  if (troubled != queue_.end() &&
      fits(held_in_trouble_, troubled->second.request.sources.size(), places_ / 2) &&
      (!has_well || troubled->first.second < well->first.second))
    return fits(held_, troubled->second.request.sources.size(), places_) ? troubled : queue_.end();
  return has_well && fits(held_, well->second.request.sources.size(), places_) ? well : queue_.end();
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
    if (last_read_failed) held_in_trouble_ += places;
    out.push_back(std::move(read));
  }
  return out;
}

void LoadReadScheduler::finished(const std::string& pod_uid) {
  const auto found = under_way_.find(pod_uid);
  if (found == under_way_.end()) return;
  held_ -= found->second.places;
  if (found->second.last_read_failed) held_in_trouble_ -= found->second.places;
  under_way_.erase(found);
}

}  // namespace poolwarden::control
