// What /metrics answers, made no more often than it is worth.
//
// To collect all metrics costs a millisecond or more, and whoever reaches the port may ask for them without
// an end. So a few pages are made as fast as they are asked for, and then some a second. Who asks in between
// gets the last one, which is a fraction of a second old.
//
// Time is an argument. Owned and used by the thread of the server that answers with it.
#pragma once

#include "base/token_bucket.h"

#include <chrono>
#include <functional>
#include <string>
#include <utility>

namespace poolwarden::telemetry {

class MetricsPage {
 public:
  using TimePoint = base::TokenBucket::TimePoint;
  using Make = std::function<std::string()>;
  static constexpr int kAtOnce = 10;
  static constexpr std::chrono::milliseconds kPeriod{250};  // of those after them

  explicit MetricsPage(Make make) : make_(std::move(make)) {}

  // Good until the next call.
  const std::string& at(TimePoint now);

 private:
  const Make make_;
  base::TokenBucket pages_{kPeriod, kAtOnce};
  std::string last_;
};

}  // namespace poolwarden::telemetry
