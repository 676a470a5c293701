// How long to wait before the next attempt of one stream.
//
// The sequence, before jitter: 0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, ... seconds, for ever: nothing is dropped
// after N attempts. Jitter takes off up to half, so the cap holds. The sequence starts anew only after an
// attempt on which data flowed and which lasted ten seconds. Neither "connected" nor "restarted" nor a single
// event is progress. (kube-rs resets on any of them, and a failing server is hammered.)
//
// One per stream: two streams must not delay each other. Owned and used by one thread.
#pragma once

#include "kube/random.h"
#include "kube/time.h"

namespace poolwarden::kube {

struct BackoffOptions {
  Duration initial = std::chrono::milliseconds(250);
  Duration cap = std::chrono::seconds(30);
  Duration healthy_spell = std::chrono::seconds(10);
};

class Backoff {
 public:
  explicit Backoff(BackoffOptions options) : options_(options) {}

  void attempt_started(TimePoint now);
  void data_flowed() { data_flowed_ = true; }
  // True when the attempt that ended was a healthy one: the sequence starts anew, and the caller may try
  // again at once.
  bool attempt_ended(TimePoint now);
  Duration next_delay(const RandomSource& random);

 private:
  BackoffOptions options_;
  Duration next_{0};  // 0: the sequence starts with `initial`
  TimePoint started_{};
  bool data_flowed_ = false;
};

}  // namespace poolwarden::kube
