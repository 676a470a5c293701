#include "engine.h"

#include <algorithm>

#include <fmt/format.h>

namespace vllm_sim {
namespace {

using namespace std::chrono_literals;

// How often a queued request looks whether its turn has come. Small against any model's first token.
constexpr auto kQueuePoll = 2ms;

struct Family {
  const char* name;
  const char* type;
  const char* help;
};

}  // namespace

Engine::Engine(const Options& options)
    : options_(options), ranks_(static_cast<std::size_t>(std::max(1, options.data_parallel_size))) {}

Engine::Rank& Engine::least_loaded() {
  const auto load = [](const Rank& rank) { return rank.running + rank.waiting.size(); };
  return *std::min_element(ranks_.begin(), ranks_.end(),
                           [&](const Rank& a, const Rank& b) { return load(a) < load(b); });
}

Engine::Rank* Engine::take_place(const Wait& wait) {
  // Two that come at once must not both take the same rank for the idle one.
  std::unique_lock lock(mutex_);
  Rank& rank = least_loaded();
  const std::uint64_t ticket = next_ticket_++;
  rank.waiting.push_back(ticket);
  const auto places = static_cast<std::size_t>(options_.max_num_seqs);
  while (rank.waiting.front() != ticket || rank.running >= places) {
    lock.unlock();
    const bool there = wait(kQueuePoll);
    lock.lock();
    if (there) continue;
    rank.waiting.erase(std::find(rank.waiting.begin(), rank.waiting.end(), ticket));
    ++rank.aborted;
    return nullptr;
  }
  rank.waiting.pop_front();
  ++rank.running;
  return &rank;
}

Engine::Outcome Engine::produce(Rank& rank, std::size_t tokens, const Wait& wait, const OnToken& on_token) {
  // Deadlines are absolute, so that slow writes to the client do not add up.
  auto due = std::chrono::steady_clock::now() + std::chrono::milliseconds(options_.time_to_first_token_ms);
  const auto step = std::chrono::milliseconds(options_.time_per_output_token_ms);
  for (std::size_t i = 0; i < tokens; ++i, due += step) {
    if (!wait(std::max<std::chrono::nanoseconds>(due - std::chrono::steady_clock::now(), 0ns))) {
      return Outcome::kClientGone;
    }
    {
      const std::lock_guard lock(mutex_);
      ++rank.generation_tokens;  // with each step of the engine, as vLLM does
    }
    if (!on_token(i)) return Outcome::kClientGone;
  }
  return Outcome::kFinished;
}

void Engine::leave(Rank& rank, Outcome outcome, std::size_t prompt_tokens) {
  const std::lock_guard lock(mutex_);
  --rank.running;
  ++(outcome == Outcome::kFinished ? rank.finished : rank.aborted);
  rank.prompt_tokens += prompt_tokens;
}

Engine::Outcome Engine::generate(std::size_t tokens, std::size_t prompt_tokens, const Wait& wait,
                                 const OnToken& on_token) {
  Rank* const rank = take_place(wait);
  if (rank == nullptr) return Outcome::kClientGone;
  const Outcome outcome = produce(*rank, tokens, wait, on_token);
  leave(*rank, outcome, prompt_tokens);
  return outcome;
}

std::size_t Engine::in_flight() const {
  const std::scoped_lock lock(mutex_);
  std::size_t out = 0;
  for (const Rank& rank : ranks_) out += rank.running + rank.waiting.size();
  return out;
}

void Engine::refresh_stats() {
  const std::lock_guard lock(mutex_);
  for (Rank& rank : ranks_) {
    rank.shown_running = rank.running;
    rank.shown_waiting = rank.waiting.size();
  }
}

// Names, types and labels as in vLLM's v1/metrics/loggers.py.
std::string Engine::metrics() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  const auto family = [&](const Family& fam) {
    out += fmt::format("# HELP {0} {2}\n# TYPE {0} {1}\n", fam.name, fam.type, fam.help);
  };
  const auto sample = [&](const char* name, std::size_t engine, const char* more, double value) {
    out += fmt::format("{}{{engine=\"{}\",{}model_name=\"{}\"}} {:.12g}\n", name, engine, more,
                       options_.shown_model(), value);
  };
  const auto each = [&](const Family& fam, auto value_of) {
    family(fam);
    for (std::size_t i = 0; i < ranks_.size(); ++i) {
      sample(fam.name, i, "", static_cast<double>(value_of(ranks_[i])));
    }
  };
  each({"vllm:num_requests_running", "gauge", "Number of requests in model execution batches."},
       [](const Rank& rank) { return rank.shown_running; });
  each({"vllm:num_requests_waiting", "gauge", "Number of requests waiting to be processed."},
       [](const Rank& rank) { return rank.shown_waiting; });
  each({"vllm:kv_cache_usage_perc", "gauge", "KV-cache usage. 1 means 100 percent usage."},
       [&](const Rank& rank) { return static_cast<double>(rank.shown_running) / options_.max_num_seqs; });
  each({"vllm:prompt_tokens_total", "counter", "Number of prefill tokens processed."},
       [](const Rank& rank) { return rank.prompt_tokens; });
  each({"vllm:generation_tokens_total", "counter", "Number of generation tokens processed."},
       [](const Rank& rank) { return rank.generation_tokens; });
  family({"vllm:request_success_total", "counter", "Count of successfully processed requests."});
  for (std::size_t i = 0; i < ranks_.size(); ++i) {
    // vLLM counts aborted requests under this name too, with that reason.
    const auto finished = static_cast<double>(ranks_[i].finished);
    sample("vllm:request_success_total", i, "finished_reason=\"stop\",", 0);
    sample("vllm:request_success_total", i, "finished_reason=\"length\",", finished);
    sample("vllm:request_success_total", i, "finished_reason=\"abort\",",
           static_cast<double>(ranks_[i].aborted));
  }
  return out;
}

}  // namespace vllm_sim
