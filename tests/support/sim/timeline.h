// A number as it was lately.
#pragma once

#include "kube/time.h"

#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

namespace poolwarden::sim {

class Timeline {
 public:
  void set(std::int64_t value, kube::TimePoint now);
  // Since then, the value that was in force then included; nothing before the first.
  std::optional<std::int64_t> most(kube::TimePoint since) const;
  std::optional<std::int64_t> least(kube::TimePoint since) const;

 private:
  std::vector<std::int64_t> values(kube::TimePoint since) const;
  std::deque<std::pair<kube::TimePoint, std::int64_t>> steps_;
};

}  // namespace poolwarden::sim
