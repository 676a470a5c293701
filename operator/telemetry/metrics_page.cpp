#include "telemetry/metrics_page.h"

namespace poolwarden::telemetry {

const std::string& MetricsPage::at(TimePoint now) {
  if (pages_.try_take(now) || last_.empty()) last_ = make_();
  return last_;
}

}  // namespace poolwarden::telemetry
