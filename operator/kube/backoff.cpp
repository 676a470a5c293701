#include "kube/backoff.h"

#include <algorithm>

namespace poolwarden::kube {

void Backoff::attempt_started(TimePoint now) {
  started_ = now;
  data_flowed_ = false;
}

bool Backoff::attempt_ended(TimePoint now) {
  const bool healthy = data_flowed_ && now - started_ >= options_.healthy_spell;
  data_flowed_ = false;
  if (healthy) next_ = Duration{0};
  return healthy;
}

Duration Backoff::next_delay(const RandomSource& random) {
  const Duration base = next_ == Duration{0} ? options_.initial : next_;
  next_ = std::min(options_.cap, base * 2);
  const double kept = 1.0 - 0.5 * random();
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(base) * kept);
}

}  // namespace poolwarden::kube
