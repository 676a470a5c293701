#include "support/sim/timeline.h"

#include <algorithm>

namespace poolwarden::sim {

void Timeline::set(std::int64_t value, kube::TimePoint now) {
  if (!steps_.empty() && steps_.back().second == value) return;
  steps_.emplace_back(now, value);
  constexpr std::size_t kMost = 512;
  if (steps_.size() > kMost) steps_.pop_front();
}

std::vector<std::int64_t> Timeline::values(kube::TimePoint since) const {
  std::vector<std::int64_t> out;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const bool over = i + 1 < steps_.size() && steps_[i + 1].first < since;
    if (!over) out.push_back(steps_[i].second);
  }
  return out;
}

std::optional<std::int64_t> Timeline::most(kube::TimePoint since) const {
  const auto all = values(since);
  return all.empty() ? std::nullopt : std::optional(*std::max_element(all.begin(), all.end()));
}

std::optional<std::int64_t> Timeline::least(kube::TimePoint since) const {
  const auto all = values(since);
  return all.empty() ? std::nullopt : std::optional(*std::min_element(all.begin(), all.end()));
}

}  // namespace poolwarden::sim
