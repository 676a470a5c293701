#include "pool/slipped_deletes.h"

namespace poolwarden::pool {
namespace {

constexpr std::chrono::minutes kTogether{10};
// A gate that holds again leaves no trace either.
constexpr std::chrono::hours kTold{1};

}  // namespace

void SlippedDeletes::saw(const std::string& pod_uid, TimePoint now) {
  std::erase_if(pods_, [now](const auto& item) { return now - item.second > kTogether; });
  pods_.try_emplace(pod_uid, now);
  if (pods_.size() >= 2) told_until_ = now + kTold;
}

bool SlippedDeletes::tell(TimePoint now) const {
  return now < told_until_;
}

}  // namespace poolwarden::pool
