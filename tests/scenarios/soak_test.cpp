// Seeds that fail, crash and hang, and the soak that goes on.
#include "scenarios/soak.h"

#include <csignal>
#include <string>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::scenarios {
namespace {

using testing::Contains;
using testing::HasSubstr;

std::string trouble(std::uint64_t seed) {
  if (seed == 3) return "pod-1 is released with 2 in flight\nand more";
  if (seed == 4) ::raise(SIGKILL);
  if (seed == 5) ::_exit(7);
  while (seed == 6) ::pause();
  return {};
}

SoakKind kind(std::string name, std::uint64_t every, std::function<std::string(std::uint64_t)> run) {
  return {.name = std::move(name), .every = every, .run = std::move(run), .again = [](std::uint64_t seed) {
            return "bin/again " + std::to_string(seed);
          }};
}

class SoakRun : public testing::Test {
 protected:
  Soak& run(std::vector<SoakKind> kinds) {
    soak_ = std::make_unique<Soak>(options_, std::move(kinds),
                                   [this](const std::string& line) { said_.push_back(line); });
    soak_->run(interrupted_);
    return *soak_;
  }

  SoakOptions options_{.time = std::chrono::minutes(5),
                       .first_seed = 1,
                       .seeds = 10,
                       .jobs = 2,
                       .longest_seed = std::chrono::minutes(1)};
  std::vector<std::string> said_;
  std::sig_atomic_t interrupted_ = 0;
  std::unique_ptr<Soak> soak_;
};

TEST_F(SoakRun, AllGoesWell_NothingFails) {
  const Soak& soak = run({kind("drain", 1, [](auto) { return std::string(); }),
                          kind("replica", 5, [](auto) { return std::string(); })});
  EXPECT_EQ(soak.failures(), 0U);
  EXPECT_EQ(soak.tallies()[0].seeds, 10U);
  EXPECT_EQ(soak.tallies()[1].seeds, 2U);
}

TEST_F(SoakRun, SeedsFailCrashAndHang_OthersGoOn) {
  options_.longest_seed = std::chrono::seconds(15);  // of which a busy machine leaves enough for the others
  const Soak& soak = run({kind("drain", 1, trouble)});
  EXPECT_EQ(soak.failures(), 4U);
  EXPECT_EQ(soak.tallies()[0].seeds, 10U);
  for (const char* line : {"drain seed 3: pod-1 is released with 2 in flight\n  to run it again: bin/again 3",
                           "drain seed 4: dies of signal 9", "drain seed 5: exits with status 7",
                           "drain seed 6: takes longer than 15 s"}) {
    EXPECT_THAT(said_, Contains(HasSubstr(line)));
  }
}

TEST_F(SoakRun, KindThatCanBeCut_IsCutAFewTimes) {
  auto fails = kind("drain", 1, [](auto seed) { return "pod-" + std::to_string(seed) + " is lost"; });
  fails.cut = [](std::uint64_t, const std::string& failure) { return "cut: " + failure; };
  options_.jobs = 1;  // in order
  EXPECT_EQ(run({fails}).failures(), 10U);
  EXPECT_THAT(said_, Contains("soak: drain seed 1: cut: pod-1 is lost"));
  EXPECT_THAT(said_, Contains(HasSubstr("cut: pod-")).Times(3));
}

TEST_F(SoakRun, Interrupted_EndsWithATable) {
  options_.seeds.reset();
  interrupted_ = 1;
  EXPECT_EQ(run({kind("drain", 1, [](auto) { return std::string(); })}).failures(), 0U);
  EXPECT_THAT(said_, Contains(HasSubstr("per minute")));
}

TEST_F(SoakRun, TimeIsOver_Ends) {
  options_.seeds.reset();
  options_.time = std::chrono::seconds(0);
  EXPECT_EQ(run({kind("drain", 1, [](auto) { return std::string(); })}).tallies()[0].seeds, 0U);
}

TEST_F(SoakRun, ReportIsDue_SaysHowFarItIs) {
  options_.between_reports = std::chrono::milliseconds(0);
  run({kind("drain", 1, [](auto) { return std::string(); })});
  EXPECT_THAT(said_, Contains(HasSubstr("min, ")));
}

}  // namespace
}  // namespace poolwarden::scenarios
