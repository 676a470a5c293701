#include "scenarios/soak.h"

#include "scenarios/shrink.h"

#include <algorithm>
#include <poll.h>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::scenarios {
namespace {

// The hundredth that breaks the same says nothing new, and takes minutes to be cut.
constexpr int kCutOfAKind = 3;
constexpr std::size_t kFailuresListed = 50;

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

}  // namespace

Soak::Soak(SoakOptions options, std::vector<SoakKind> kinds, Say say)
    : options_(options), kinds_(std::move(kinds)), say_(std::move(say)), tallies_(kinds_.size()) {}

void Soak::run(const volatile std::sig_atomic_t& interrupted) {
  say_(fmt::format("soak: seeds from {} on for {} s, {} at once", options_.first_seed, options_.time.count(),
                   options_.jobs));
  while (interrupted == 0 && fill()) {
    wait();
    collect();
    if (Clock::now() < next_report_) continue;
    report("soak");
    next_report_ = Clock::now() + options_.between_reports;
  }
  running_.clear();
  report_at_end();
}

std::uint64_t Soak::failures() const {
  std::uint64_t sum = 0;
  for (const SoakTally& tally : tallies_) sum += tally.failed;
  return sum;
}

// False when there is nothing left to do.
bool Soak::fill() {
  while (running_.size() < options_.jobs) {
    std::optional<Job> job = next_job();
    if (!job) break;
    const SoakKind& kind = kinds_[job->kind];
    if (job->to_cut.empty()) {
      job->child = std::make_unique<ChildRun>([&] { return kind.run(job->seed); }, options_.longest_seed);
    } else {
      job->child =
          std::make_unique<ChildRun>([&] { return kind.cut(job->seed, job->to_cut); }, options_.longest_cut);
    }
    running_.push_back(std::move(*job));
  }
  return !running_.empty();
}

std::optional<Soak::Job> Soak::next_job() {
  if (to_cut_.empty()) return next_seed();
  Job job = std::move(to_cut_.front());
  to_cut_.pop_front();
  return job;
}

std::optional<Soak::Job> Soak::next_seed() {
  if (Clock::now() - began_ >= options_.time) return std::nullopt;
  while (!options_.seeds || seed_ - options_.first_seed < *options_.seeds) {
    if (kind_ == kinds_.size()) {
      kind_ = 0;
      ++seed_;
      continue;
    }
    const std::size_t kind = kind_++;
    if (seed_ % kinds_[kind].every == 0) return Job{kind, seed_, {}, nullptr};
  }
  return std::nullopt;
}

// For the first that ends, or is late, or for the next report.
void Soak::wait() {
  std::vector<pollfd> readable;
  Clock::time_point until = next_report_;
  for (const Job& job : running_) {
    readable.push_back({job.child->fd(), POLLIN, 0});
    until = std::min(until, job.child->deadline());
  }
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
  ::poll(readable.data(), readable.size(), static_cast<int>(std::max<std::int64_t>(left, 0)));
}

void Soak::collect() {
  std::vector<Job> jobs = std::exchange(running_, {});
  for (Job& job : jobs) {
    if (const auto text = job.child->take()) {
      ended(job, *text);
    } else {
      running_.push_back(std::move(job));
    }
  }
}

void Soak::ended(const Job& job, const std::string& text) {
  const SoakKind& kind = kinds_[job.kind];
  if (!job.to_cut.empty()) {
    say_(fmt::format("soak: {} seed {}: {}", kind.name, job.seed, text));
    return;
  }
  ++tallies_[job.kind].seeds;
  if (text.empty()) return;
  ++tallies_[job.kind].failed;
  const std::string line = fmt::format("{} seed {}: {}\n  to run it again: {}", kind.name, job.seed,
                                       first_line(text), kind.again(job.seed));
  say_("soak: FAILED: " + line);
  if (failures_.size() < kFailuresListed) failures_.push_back(line);
  if (kind.cut && ++seen_[kind.name + failure_kind(text)] <= kCutOfAKind)
    to_cut_.push_back({job.kind, job.seed, text, nullptr});
}

void Soak::report(std::string_view head) const {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - began_).count();
  std::string line = fmt::format("{}: {}:{:02} min", head, seconds / 60, seconds % 60);
  for (std::size_t i = 0; i < kinds_.size(); ++i)
    line += fmt::format(", {} {} seeds", tallies_[i].seeds, kinds_[i].name);
  say_(fmt::format("{}, {} failed", line, failures()));
}

void Soak::report_at_end() const {
  const double minutes = std::chrono::duration<double>(Clock::now() - began_).count() / 60;
  say_(fmt::format("\n{:<10} {:>9} {:>9} {:>12}", "kind", "seeds", "failed", "per minute"));
  for (std::size_t i = 0; i < kinds_.size(); ++i) {
    say_(fmt::format("{:<10} {:>9} {:>9} {:>12.0f}", kinds_[i].name, tallies_[i].seeds, tallies_[i].failed,
                     static_cast<double>(tallies_[i].seeds) / minutes));
  }
  if (failures() > 0) say_("\nWhat failed:");
  for (const std::string& line : failures_) say_(line);
  if (failures() > failures_.size()) say_(fmt::format("and {} more", failures() - failures_.size()));
}

}  // namespace poolwarden::scenarios
