#include "pool/replica_moves.h"

#include <chrono>

#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

using std::chrono::seconds;

ReplicaMoves::TimePoint at(int second) {
  return ReplicaMoves::TimePoint{} + std::chrono::hours(100) + seconds(second);
}

// One wants 6 of the pool, another 1 of its target.
void quarrel(ReplicaMoves& moves, int times, int every_seconds) {
  for (int i = 0; i < times; ++i) {
    if (i % 2 == 0) {
      moves.adopted(6, 1, at(i * every_seconds));
    } else {
      moves.scaled(1, 6, at(i * every_seconds));
    }
  }
}

TEST(ReplicaMoves, TwoThatUndoEachOtherAreTold) {
  ReplicaMoves moves;
  quarrel(moves, 3, 1);
  EXPECT_FALSE(moves.contested(at(3))) << "people change their minds, too";
  EXPECT_EQ(moves.wait(at(3)), seconds{0});
  quarrel(moves, 4, 1);
  const auto counts = moves.contested(at(4));
  ASSERT_TRUE(counts);
  EXPECT_EQ(counts->pool, 6);
  EXPECT_EQ(counts->target, 1);
}

TEST(ReplicaMoves, EachCarryingOverWaitsLonger) {
  ReplicaMoves moves;
  quarrel(moves, 4, 0);
  EXPECT_EQ(moves.wait(at(0)), seconds{1});
  quarrel(moves, 2, 0);
  EXPECT_EQ(moves.wait(at(0)), seconds{4});
  quarrel(moves, 8, 0);
  EXPECT_EQ(moves.wait(at(0)), seconds{60});
  EXPECT_EQ(moves.wait(at(20)), seconds{40});
  EXPECT_EQ(moves.wait(at(70)), seconds{0});
}

TEST(ReplicaMoves, OnesThatAreFarApartAreNoQuarrel) {
  ReplicaMoves moves;
  quarrel(moves, 8, 700);
  EXPECT_FALSE(moves.contested(at(8 * 700)));
}

TEST(ReplicaMoves, ItIsOverAfterAWhile) {
  ReplicaMoves moves;
  quarrel(moves, 6, 1);
  EXPECT_TRUE(moves.contested(at(300)));
  EXPECT_FALSE(moves.contested(at(700)));
}

TEST(ReplicaMoves, OneThatWantsNewNumbersQuarrelsWithNobody) {
  ReplicaMoves moves;
  moves.scaled(1, 2, at(0));
  moves.adopted(2, 3, at(1));
  moves.scaled(3, 4, at(2));
  moves.adopted(4, 5, at(3));
  moves.scaled(5, 6, at(4));
  EXPECT_FALSE(moves.contested(at(5)));
}

TEST(ReplicaMoves, AFallToLessThanHalfIsTold_ForAnHour) {
  ReplicaMoves moves;
  moves.adopted(6, 3, at(0));
  EXPECT_FALSE(moves.fall(at(1)));
  moves.adopted(6, 1, at(10));
  const auto fall = moves.fall(at(11));
  ASSERT_TRUE(fall);
  EXPECT_EQ(fall->from, 6);
  EXPECT_EQ(fall->to, 1);
  EXPECT_TRUE(moves.fall(at(3600)));
  EXPECT_FALSE(moves.fall(at(3620)));
}

TEST(ReplicaMoves, AFallIsOverWhenSomebodySaysElse) {
  ReplicaMoves moves;
  EXPECT_FALSE(moves.fall(at(0)));
  moves.adopted(6, 1, at(0));
  EXPECT_TRUE(moves.fall(at(1)));
  moves.scaled(1, 2, at(2));
  EXPECT_FALSE(moves.fall(at(3)));
}

TEST(ReplicaMoves, ToNoneIsNoAccident) {
  ReplicaMoves moves;
  moves.adopted(6, 0, at(0));
  EXPECT_FALSE(moves.fall(at(1)));
}

}  // namespace
}  // namespace poolwarden::pool
