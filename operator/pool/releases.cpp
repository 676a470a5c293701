#include "pool/releases.h"

#include "pool/drain.h"

namespace poolwarden::pool {

void Releases::saw(const api::Pod& pod, TimePoint now) {
  const DrainState state = drain_state(pod);
  if (std::holds_alternative<Drained>(state)) {
    since_.try_emplace(pod.uid, now);
  } else if (since_.erase(pod.uid) > 0) {
    taken_back_.insert_or_assign(pod.uid, now);
  }
}

void Releases::forget(const std::string& uid) {
  since_.erase(uid);
  taken_back_.erase(uid);
}

std::optional<Releases::Duration> Releases::released_for(const std::string& uid, TimePoint now) const {
  const auto found = since_.find(uid);
  return found == since_.end() ? std::nullopt : std::optional{now - found->second};
}

std::optional<Releases::TimePoint> Releases::taken_back(const std::string& uid) const {
  const auto found = taken_back_.find(uid);
  return found == taken_back_.end() ? std::nullopt : std::optional{found->second};
}

}  // namespace poolwarden::pool
