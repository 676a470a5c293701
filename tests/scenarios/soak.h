// Seeds for as long as wanted, over all cores, each in a process of its own: one that fails, crashes or hangs
// ends nothing but itself. What fails is said at once, and cut down to what it needs where its kind knows
// how.
//
// Single-threaded; waits for its processes in poll().
#pragma once

#include "scenarios/child_run.h"

#include <chrono>
#include <csignal>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace poolwarden::scenarios {

struct SoakKind {
  std::string name;
  std::uint64_t every = 1;                             // of the seeds, as some kinds take longer than others
  std::function<std::string(std::uint64_t seed)> run;  // nothing if all went well
  std::function<std::string(std::uint64_t seed)> again;  // how to run it again, for a person
  // Writes what is left of a failing one to a file, and says so. None: it cannot be cut.
  std::function<std::string(std::uint64_t seed, const std::string& failure)> cut = {};
};

struct SoakOptions {
  std::chrono::seconds time{60};
  std::uint64_t first_seed = 1;
  std::optional<std::uint64_t> seeds;  // no more than so many
  std::size_t jobs = 1;
  std::chrono::milliseconds longest_seed{std::chrono::seconds(60)};
  std::chrono::milliseconds longest_cut{std::chrono::minutes(15)};
  std::chrono::milliseconds between_reports{std::chrono::seconds(30)};
};

struct SoakTally {
  std::uint64_t seeds = 0;
  std::uint64_t failed = 0;
};

class Soak {
 public:
  using Say = std::function<void(const std::string& line)>;
  Soak(SoakOptions options, std::vector<SoakKind> kinds, Say say);

  // Until the time is over, or `interrupted` is set, which a handler of signals may do.
  void run(const volatile std::sig_atomic_t& interrupted);
  // In the order of the kinds.
  const std::vector<SoakTally>& tallies() const { return tallies_; }
  std::uint64_t failures() const;

 private:
  using Clock = ChildRun::Clock;
  struct Job {
    std::size_t kind = 0;
    std::uint64_t seed = 0;
    std::string to_cut;  // the failure, where this cuts it
    std::unique_ptr<ChildRun> child;
  };

  bool fill();
  std::optional<Job> next_job();
  std::optional<Job> next_seed();
  void wait();
  void collect();
  void ended(const Job& job, const std::string& text);
  void report(std::string_view head) const;
  void report_at_end() const;

  SoakOptions options_;
  std::vector<SoakKind> kinds_;
  Say say_;
  Clock::time_point began_ = Clock::now();
  Clock::time_point next_report_ = began_ + options_.between_reports;
  std::uint64_t seed_ = options_.first_seed;  // which is next, and of which kind
  std::size_t kind_ = 0;
  std::vector<Job> running_;
  std::deque<Job> to_cut_;
  std::map<std::string, int> seen_;  // failures of each kind, by what breaks
  std::vector<SoakTally> tallies_;
  std::vector<std::string> failures_;  // a line each, the first of them
};

}  // namespace poolwarden::scenarios
