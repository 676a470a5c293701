#include "control/quiet_spell.h"

#include <gtest/gtest.h>

namespace poolwarden::control {
namespace {

using std::chrono::seconds;

constexpr kube::TimePoint kBegin{std::chrono::hours(1)};

TEST(QuietSpell, NothingEverArrived_IsNoReason) {
  QuietSpell quiet;
  EXPECT_FALSE(quiet.begins(false, kBegin));
  EXPECT_FALSE(quiet.begins(false, kBegin + seconds(100)));
}

TEST(QuietSpell, AfterWork_BeginsOnce) {
  QuietSpell quiet;
  EXPECT_FALSE(quiet.begins(true, kBegin));
  EXPECT_FALSE(quiet.begins(true, kBegin + seconds(1)));
  EXPECT_FALSE(quiet.begins(false, kBegin + seconds(2))) << "a second after the last input";
  EXPECT_TRUE(quiet.begins(false, kBegin + seconds(3)));
  EXPECT_FALSE(quiet.begins(false, kBegin + seconds(200))) << "nothing to tidy up since";
}

TEST(QuietSpell, SteadyWork_IsNotInterrupted) {
  QuietSpell quiet;
  for (int i = 0; i < 300; ++i) EXPECT_FALSE(quiet.begins(i % 2 == 0, kBegin + seconds(i)));
}

TEST(QuietSpell, WorkSoonAfterOne_WaitsForTheGap) {
  QuietSpell quiet;
  EXPECT_FALSE(quiet.begins(true, kBegin));
  EXPECT_TRUE(quiet.begins(false, kBegin + seconds(2)));
  EXPECT_FALSE(quiet.begins(true, kBegin + seconds(10)));
  EXPECT_FALSE(quiet.begins(false, kBegin + seconds(20)));
  EXPECT_TRUE(quiet.begins(false, kBegin + seconds(62)));
}

}  // namespace
}  // namespace poolwarden::control
