#include "telemetry/metrics_page.h"

#include <algorithm>

namespace poolwarden::telemetry {

const std::string& MetricsPage::at(TimePoint now) {
  const std::chrono::duration<double> passed = now - counted_;
  credit_ = std::min(kAtOnce, credit_ + std::max(passed.count(), 0.0) * kPerSecond);
  counted_ = now;
  if (credit_ < 1 && !last_.empty()) return last_;
  credit_ -= 1;
  last_ = make_();
  return last_;
}

}  // namespace poolwarden::telemetry
