// soak: seeds of all kinds for as long as wanted, and a failing drain seed as a file that a person can read
// and run again.
#include "scenarios/cluster_story.h"
#include "scenarios/drain_draw.h"
#include "scenarios/drain_file.h"
#include "scenarios/drain_story.h"
#include "scenarios/replica_story.h"
#include "scenarios/soak.h"

#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <stdexcept>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace {

using namespace poolwarden::scenarios;

volatile std::sig_atomic_t interrupted = 0;

struct Flags {
  SoakOptions soak;
  std::int64_t seconds = 60;
  std::string out = ".";
  std::string story;
};

void write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

using Draw = DrainScript (*)(std::uint64_t seed);

std::string cut(const DrainScript& whole, const std::string& failure, const std::string& path) {
  constexpr std::chrono::minutes kAtMost(10);
  const CutStory story = cut_drain_story(whole, failure, kAtMost);
  if (story.failure.empty()) return "does not fail when it is run again: is something not from the seed?";
  write_file(path, drain_file(story, whole.acts.size(), path));
  return fmt::format("cut from {} acts to {}: {}", whole.acts.size(), story.script.acts.size(), path);
}

// A kind of drains, whose failing seeds are cut down to files.
SoakKind drains(const std::string& name, Draw draw, const std::string& suite, const std::string& directory) {
  const auto run_again = [suite](std::uint64_t seed) {
    return fmt::format(
        "POOLWARDEN_FIRST_SEED={} POOLWARDEN_SEEDS=1 build-debug/bin/drain_seeds --gtest_filter='*/{}*'",
        seed, suite);
  };
  return {.name = name,
          .run = [draw](std::uint64_t seed) { return DrainStory(draw(seed)).run(); },
          .again = run_again,
          .cut =
              [draw, name, directory](std::uint64_t seed, const std::string& failure) {
                return cut(draw(seed), failure, fmt::format("{}/{}-seed-{}.txt", directory, name, seed));
              }};
}

std::vector<SoakKind> kinds(const std::string& directory) {
  const auto with = [](const char* program) {
    return [program](std::uint64_t seed) {
      return fmt::format("POOLWARDEN_FIRST_SEED={} POOLWARDEN_SEEDS=1 build-debug/bin/{}", seed, program);
    };
  };
  return {drains("drain", draw_drain_script, "DrainSeeds", directory),
          drains("stateful-drain", draw_stateful_drain_script, "StatefulDrainSeeds", directory),
          {.name = "cluster", .run = run_cluster_story, .again = with("seeds")},
          // One takes as long as ten of another kind.
          {.name = "replica",
           .every = 10,
           .run = [](std::uint64_t seed) { return run_replica_story(seed).wrong; },
           .again = with("replica_seeds")}};
}

int run_story(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + ": cannot be read");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::string wrong;
  try {
    DrainStory story(parse_drain_script(text));
    wrong = story.run();
    fmt::print("{}", story.told());
  } catch (const std::exception& problem) {
    throw std::runtime_error(path + ": " + problem.what());
  }
  fmt::print("{}\n", wrong.empty() ? "All went well." : "WRONG: " + wrong);
  return wrong.empty() ? 0 : 1;
}

int run_soak(Flags& flags) {
  std::filesystem::create_directories(flags.out);
  flags.soak.time = std::chrono::seconds(flags.seconds);
  flags.soak.longest_seed = kLongestStory;
  for (const int signal : {SIGINT, SIGTERM}) {
    // poll() is to return then: so not std::signal, which has it restarted.
    struct sigaction action {};
    action.sa_handler = [](int) { interrupted = 1; };
    ::sigaction(signal, &action, nullptr);
  }
  Soak soak(flags.soak, kinds(flags.out), [](const std::string& line) {
    fmt::print("{}\n", line);
    std::fflush(stdout);
  });
  soak.run(interrupted);
  return soak.failures() == 0 ? 0 : 1;
}

// A billion are enough, and short enough to be read aloud.
std::uint64_t any_seed() {
  return std::uint64_t{1} + std::random_device{}() % 1'000'000'000U;
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  flags.soak.first_seed = any_seed();
  CLI::App app{
      "soak simulates clusters, drains and several replicas from seeds, each in a process of its own, and "
      "exits\n"
      "with 1 if one failed. A failing drain seed is cut down and written to a file, to be run again by "
      "--story.",
      "soak"};
  app.add_option("--seconds", flags.seconds, "No seed is begun after so long")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--jobs", flags.soak.jobs, "So many at once")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--first-seed", flags.soak.first_seed, "Without it: by chance");
  app.add_option("--seeds", flags.soak.seeds, "No more than so many");
  app.add_option("--out", flags.out, "The directory for the files of failing seeds")->capture_default_str();
  app.add_option("--story", flags.story, "Run this file again, say what happens, and nothing else");
  try {
    app.parse(argc, argv);
    return flags.story.empty() ? run_soak(flags) : run_story(flags.story);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const std::exception& problem) {
    fmt::print(stderr, "soak: {}\n", problem.what());
    return 2;
  }
}
