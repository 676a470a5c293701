// A function in a process of its own, however that ends.
#include "scenarios/child_run.h"

#include <csignal>
#include <stdexcept>
#include <string>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::scenarios {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;

TEST(ChildRun, Returns_IsItsText) {
  EXPECT_EQ(run_in_child([] { return std::string("all of it"); }, minutes(1)), "all of it");
  EXPECT_EQ(run_in_child([] { return std::string(); }, minutes(1)), "");
}

TEST(ChildRun, MoreThanAPipeHolds_Arrives) {
  const std::string much(1'000'000, 'x');
  EXPECT_EQ(run_in_child([&much] { return much; }, minutes(1)), much);
}

TEST(ChildRun, Throws_IsToldSo) {
  EXPECT_EQ(run_in_child([]() -> std::string { throw std::runtime_error("no pool"); }, minutes(1)),
            "an exception: no pool");
}

TEST(ChildRun, DiesOfASignal_IsToldWhich) {
  const auto dies = [] {
    ::raise(SIGKILL);
    return std::string();
  };
  EXPECT_THAT(run_in_child(dies, minutes(1)), testing::StartsWith("dies of signal 9"));
}

TEST(ChildRun, Exits_IsToldWithWhat) {
  EXPECT_EQ(run_in_child([]() -> std::string { ::_exit(3); }, minutes(1)), "exits with status 3");
}

TEST(ChildRun, Hangs_IsEnded) {
  const auto hangs = [] {
    while (true) ::pause();
    return std::string();
  };
  EXPECT_EQ(run_in_child(hangs, milliseconds(20)), "takes longer than 0.02 s");
}

}  // namespace
}  // namespace poolwarden::scenarios
