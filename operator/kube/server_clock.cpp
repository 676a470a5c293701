#include "kube/server_clock.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace poolwarden::kube {
namespace {

using std::chrono::nanoseconds;

// No clock that anybody has set says anything else.
constexpr WallTime kFirst{};
constexpr WallTime kLast{std::chrono::years(200)};

std::int64_t ahead_of(TimePoint mono, WallTime wall) {
  return nanoseconds(wall.time_since_epoch()).count() - nanoseconds(mono.time_since_epoch()).count();
}

}  // namespace

void ServerClock::saw(WallTime date, TimePoint asked, TimePoint answered) {
  if (date < kFirst || date > kLast) return;
  // The answer was made between the two, and within the second that its date names.
  const std::int64_t least = ahead_of(answered, date);
  const std::int64_t most = std::max(least, ahead_of(asked, date + std::chrono::seconds(1)));
  std::int64_t known = ahead_.load(std::memory_order_relaxed);
  std::int64_t wanted = 0;
  do {
    wanted = known == kUnknown ? least : std::clamp(known, least, most);
  } while (wanted != known && !ahead_.compare_exchange_weak(known, wanted, std::memory_order_relaxed));
}

std::optional<WallTime> ServerClock::at(TimePoint time) const {
  const std::int64_t ahead = ahead_.load(std::memory_order_relaxed);
  if (ahead == kUnknown) return std::nullopt;
  return WallTime(time.time_since_epoch() + nanoseconds(ahead));
}

void DatedTransport::send(HttpRequest request, Callback done) {
  transport_.send(std::move(request),
                  [&clock = clock_, now = now_, asked = now_(), done = std::move(done)](auto answer) {
                    if (answer && answer->date) clock.saw(*answer->date, asked, now());
                    done(std::move(answer));
                  });
}

}  // namespace poolwarden::kube
