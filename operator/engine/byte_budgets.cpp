#include "engine/byte_budgets.h"

#include <algorithm>

namespace poolwarden::engine {

double ByteBudgets::left_of(const Spent& spent, TimePoint now) const {
  const double seconds = std::chrono::duration<double>(now - spent.at).count();
  return std::max(spent.bytes - rate_ * std::max(seconds, 0.0), 0.0);
}

ByteBudgets::Duration ByteBudgets::wait(const std::string& ns, TimePoint now) const {
  const auto found = spent_.find(ns);
  if (found == spent_.end()) {
    return Duration::zero();
  }
  const double too_much = left_of(found->second, now) - rate_;
  if (too_much <= 0) {
    return Duration::zero();
  }
  return std::chrono::ceil<Duration>(std::chrono::duration<double>(too_much / rate_));
}

void ByteBudgets::spend(const std::string& ns, std::size_t bytes, TimePoint now) {
  if (spent_.size() >= sweep_at_) {
    std::erase_if(spent_, [&](const auto& item) { return left_of(item.second, now) == 0; });
    sweep_at_ = std::max<std::size_t>(64, 2 * spent_.size());
  }
  Spent& spent = spent_[ns];
  spent = {left_of(spent, now) + static_cast<double>(bytes), now};
}

}  // namespace poolwarden::engine
