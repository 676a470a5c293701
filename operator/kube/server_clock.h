// What time it is by the API server's clock.
//
// Every process reads the same one, whichever machine it runs on. What one of them writes the next can
// compare, though the clocks of their machines differ, or are set meanwhile. A process never reads the clock
// itself for it: each answer's Date header (RFC 9110, section 6.6.1) says when the answer was made, to the
// second, and the monotonic clock counts from there.
//
// Threads: any. Time is an argument.
#pragma once

#include "kube/time.h"
#include "kube/transport.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

namespace poolwarden::kube {

class ServerClock {
 public:
  // An answer of that date came to a request that was made at `asked`. What is known is moved no further than
  // the answer demands: so answers that were long on their way, and dates without fractions, do no harm.
  void saw(WallTime date, TimePoint asked, TimePoint answered);

  // Nothing before the first answer. At first up to a second and the answer's way behind the true one, and
  // never ahead of it.
  std::optional<WallTime> at(TimePoint time) const;
  // The same; `own`, the machine's, as long as nothing is known.
  WallTime at_or(TimePoint time, WallTime own) const { return at(time).value_or(own); }

 private:
  static constexpr std::int64_t kUnknown = std::numeric_limits<std::int64_t>::min();
  std::atomic<std::int64_t> ahead_{kUnknown};  // of the monotonic clock, in nanoseconds
};

// Tells the clock of each answer to a unary call. `clock`, and what `now` reads, must outlive the callbacks
// of `transport`.
class DatedTransport final : public Transport {
 public:
  using Now = std::function<TimePoint()>;

  DatedTransport(Transport& transport, ServerClock& clock, Now now)
      : transport_(transport), clock_(clock), now_(std::move(now)) {}

  void send(HttpRequest request, Callback done) override;
  std::unique_ptr<StreamHandle> stream(HttpRequest request, std::chrono::milliseconds idle_timeout,
                                       std::shared_ptr<StreamHandler> handler) override {
    return transport_.stream(std::move(request), idle_timeout, std::move(handler));
  }

 private:
  Transport& transport_;
  ServerClock& clock_;
  const Now now_;
};

}  // namespace poolwarden::kube
