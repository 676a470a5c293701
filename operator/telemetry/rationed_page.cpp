#include "telemetry/rationed_page.h"

namespace poolwarden::telemetry {

const std::string& RationedPage::at(TimePoint now) {
  if (pages_.try_take(now) || last_.empty()) last_ = make_();
  return last_;
}

}  // namespace poolwarden::telemetry
