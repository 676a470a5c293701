// The engine behind the stand-in: how many sequences run at once, who waits, and the figures of /metrics.
//
// Thread-safe. generate() blocks the calling thread (each connection has its own) for as long as a model
// would take. The gauges are not read live: like vLLM's, they show what they were when the statistics were
// last taken (refresh_stats()), which is why readers must not trust a single zero.
#pragma once

#include "request.h"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace vllm_sim {

class Engine {
 public:
  enum class Outcome { kFinished, kClientGone };

  // How a generation waits and notices that its client hung up. Returns false if the client is gone.
  using Wait = std::function<bool(std::chrono::nanoseconds)>;
  // Called for each token; false if the client is gone.
  using OnToken = std::function<bool(std::size_t index)>;

  // `options` must outlive the engine.
  explicit Engine(const Options& options);

  // Waits for a place, then for the first token, then for each further one.
  Outcome generate(std::size_t tokens, std::size_t prompt_tokens, const Wait& wait, const OnToken& on_token);

  // As of now, and not as the gauges show it.
  std::size_t in_flight() const;

  void refresh_stats();
  std::string metrics() const;  // Prometheus text format

 private:
  // One data-parallel rank, "engine" in vLLM's metrics.
  struct Rank {
    std::size_t running = 0;
    std::deque<std::uint64_t> waiting;  // tickets, first come first served
    std::size_t shown_running = 0;
    std::size_t shown_waiting = 0;
    std::uint64_t finished = 0;
    std::uint64_t aborted = 0;
    std::uint64_t prompt_tokens = 0;
    std::uint64_t generation_tokens = 0;
  };

  Rank& least_loaded();  // lock held
  // Nothing: the client is gone.
  Rank* take_place(const Wait& wait);
  Outcome produce(Rank& rank, std::size_t tokens, const Wait& wait, const OnToken& on_token);
  void leave(Rank& rank, Outcome outcome, std::size_t prompt_tokens);

  const Options& options_;
  mutable std::mutex mutex_;  // protects all below
  std::uint64_t next_ticket_ = 0;
  std::vector<Rank> ranks_;  // never resized after construction
};

}  // namespace vllm_sim
