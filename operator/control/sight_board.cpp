#include "control/sight_board.h"

#include <utility>

namespace poolwarden::control {

kube::TimePoint SightBoard::next_due() const {
  const kube::MutexLock lock(mutex_);
  if (!sight_) return {};
  const kube::TimePoint taken = sight_->at.mono;
  return taken + (attention_until_ > taken ? kWatched : kUnwatched);
}

void SightBoard::show(Sight sight) {
  // The one before may be the last that holds its objects: they go when the lock is free.
  auto shown = std::make_shared<const Sight>(std::move(sight));
  const kube::MutexLock lock(mutex_);
  sight_.swap(shown);
}

std::shared_ptr<const Sight> SightBoard::look(kube::TimePoint now) {
  const kube::MutexLock lock(mutex_);
  attention_until_ = now + kAttention;
  return sight_;
}

}  // namespace poolwarden::control
