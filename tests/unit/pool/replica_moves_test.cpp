#include "pool/replica_moves.h"

#include <chrono>

#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

using std::chrono::seconds;

ReplicaMoves::TimePoint moment(int second) {
  return ReplicaMoves::TimePoint{} + std::chrono::hours(100) + seconds(second);
}

// One wants 6 of the pool, another 1 of its target.
void quarrel(ReplicaMoves& moves, int times, int every_seconds) {
  for (int i = 0; i < times; ++i) {
    if (i % 2 == 0) {
      moves.adopted(6, 1, moment(i * every_seconds));
    } else {
      moves.scaled(1, 6, moment(i * every_seconds));
    }
  }
}

TEST(ReplicaMoves, TwoThatUndoEachOtherAreTold) {
  ReplicaMoves moves;
  quarrel(moves, 3, 1);
  EXPECT_FALSE(moves.contested(moment(3))) << "people change their minds, too";
  EXPECT_EQ(moves.wait(moment(3)), seconds{0});
  quarrel(moves, 4, 1);
  const auto counts = moves.contested(moment(4));
  ASSERT_TRUE(counts);
  EXPECT_EQ(counts->pool, 6);
  EXPECT_EQ(counts->target, 1);
}

TEST(ReplicaMoves, EachCarryingOverWaitsLonger) {
  ReplicaMoves moves;
  quarrel(moves, 4, 0);
  EXPECT_EQ(moves.wait(moment(0)), seconds{1});
  quarrel(moves, 2, 0);
  EXPECT_EQ(moves.wait(moment(0)), seconds{4});
  quarrel(moves, 8, 0);
  EXPECT_EQ(moves.wait(moment(0)), seconds{60});
  EXPECT_EQ(moves.wait(moment(20)), seconds{40});
  EXPECT_EQ(moves.wait(moment(70)), seconds{0});
}

TEST(ReplicaMoves, OnesThatAreFarApartAreNoQuarrel) {
  ReplicaMoves moves;
  quarrel(moves, 8, 700);
  EXPECT_FALSE(moves.contested(moment(8 * 700)));
}

TEST(ReplicaMoves, ItIsOverAfterAWhile) {
  ReplicaMoves moves;
  quarrel(moves, 6, 1);
  EXPECT_TRUE(moves.contested(moment(300)));
  EXPECT_FALSE(moves.contested(moment(700)));
}

TEST(ReplicaMoves, OneThatWantsNewNumbersQuarrelsWithNobody) {
  ReplicaMoves moves;
  moves.scaled(1, 2, moment(0));
  moves.adopted(2, 3, moment(1));
  moves.scaled(3, 4, moment(2));
  moves.adopted(4, 5, moment(3));
  moves.scaled(5, 6, moment(4));
  EXPECT_FALSE(moves.contested(moment(5)));
}

TEST(ReplicaMoves, AFallToLessThanHalfIsTold_ForAnHour) {
  ReplicaMoves moves;
  moves.adopted(6, 3, moment(0));
  EXPECT_FALSE(moves.fall(moment(1)));
  moves.adopted(6, 1, moment(10));
  const auto fall = moves.fall(moment(11));
  ASSERT_TRUE(fall);
  EXPECT_EQ(fall->from, 6);
  EXPECT_EQ(fall->to, 1);
  EXPECT_TRUE(moves.fall(moment(3600)));
  EXPECT_FALSE(moves.fall(moment(3620)));
}

TEST(ReplicaMoves, AFallIsOverWhenSomebodySaysElse) {
  ReplicaMoves moves;
  EXPECT_FALSE(moves.fall(moment(0)));
  moves.adopted(6, 1, moment(0));
  EXPECT_TRUE(moves.fall(moment(1)));
  moves.scaled(1, 2, moment(2));
  EXPECT_FALSE(moves.fall(moment(3)));
}

TEST(ReplicaMoves, ToNoneIsNoAccident) {
  ReplicaMoves moves;
  moves.adopted(6, 0, moment(0));
  EXPECT_FALSE(moves.fall(moment(1)));
}

}  // namespace
}  // namespace poolwarden::pool
