// A page of an HTTP server, made no more often than it is worth.
//
// To collect all metrics costs a millisecond or more, and whoever reaches the port may ask for them without
// an end. So a few pages are made as fast as they are asked for, and then some a second. Who asks in between
// gets the last one, which is a second old at most.
//
// Time is an argument. Owned and used by the thread of the server that answers with it.
#pragma once

#include "base/token_bucket.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace poolwarden::telemetry {

// So many pages at once, and then one every period.
struct PageRation {
  std::chrono::milliseconds period;
  std::int32_t at_once = 1;
};

// Prometheus scrapes all that it is told of at one moment, and people look beside it.
inline constexpr PageRation kMetricsRation{std::chrono::milliseconds(250), 10};
// It is for people.
inline constexpr PageRation kStatusRation{std::chrono::milliseconds(1'000), 1};

class RationedPage {
 public:
  using TimePoint = base::TokenBucket::TimePoint;
  using Make = std::function<std::string()>;

  RationedPage(PageRation ration, Make make)
      : make_(std::move(make)), pages_(ration.period, ration.at_once) {}

  // Good until the next call.
  const std::string& at(TimePoint now);

 private:
  const Make make_;
  base::TokenBucket pages_;
  std::string last_;
};

}  // namespace poolwarden::telemetry
