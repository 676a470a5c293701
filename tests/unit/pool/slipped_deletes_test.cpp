#include "pool/slipped_deletes.h"

#include <chrono>

#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

SlippedDeletes::TimePoint at_minute(int minute) {
  return SlippedDeletes::TimePoint{} + std::chrono::hours(100) + std::chrono::minutes(minute);
}

TEST(SlippedDeletes, OneMayBeAPersons) {
  SlippedDeletes deletes;
  EXPECT_FALSE(deletes.tell(at_minute(0)));
  deletes.saw("a", at_minute(0));
  deletes.saw("a", at_minute(1));
  EXPECT_FALSE(deletes.tell(at_minute(1)));
}

TEST(SlippedDeletes, TwoAreTold_ForAnHour) {
  SlippedDeletes deletes;
  deletes.saw("a", at_minute(0));
  deletes.saw("b", at_minute(9));
  EXPECT_TRUE(deletes.tell(at_minute(9)));
  EXPECT_TRUE(deletes.tell(at_minute(68)));
  EXPECT_FALSE(deletes.tell(at_minute(70)));
}

TEST(SlippedDeletes, TwoThatAreFarApartAreNot) {
  SlippedDeletes deletes;
  deletes.saw("a", at_minute(0));
  deletes.saw("b", at_minute(11));
  EXPECT_FALSE(deletes.tell(at_minute(11)));
  deletes.saw("c", at_minute(12));
  EXPECT_TRUE(deletes.tell(at_minute(12)));
}

}  // namespace
}  // namespace poolwarden::pool
