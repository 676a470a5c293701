#include "kube/backoff.h"

#include "kube/random.h"
#include "thing.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::kube {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

const RandomSource kNoJitter = [] { return 0.0; };

std::vector<std::int64_t> delays(Backoff& backoff, int count, const RandomSource& random = kNoJitter) {
  std::vector<std::int64_t> out;
  for (int i = 0; i < count; ++i) {
    out.push_back(std::chrono::duration_cast<milliseconds>(backoff.next_delay(random)).count());
  }
  return out;
}

TEST(Backoff, SequenceIsTheOneInTheComment) {
  Backoff backoff{BackoffOptions{}};
  EXPECT_THAT(delays(backoff, 10),
              testing::ElementsAre(250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000));
}

TEST(Backoff, JitterTakesOffUpToHalf) {
  Backoff backoff{BackoffOptions{}};
  EXPECT_THAT(delays(backoff, 3, [] { return 0.5; }), testing::ElementsAre(187, 375, 750));
  Backoff lowest{BackoffOptions{}};
  EXPECT_THAT(delays(lowest, 3, [] { return 1.0; }), testing::ElementsAre(125, 250, 500));
}

TEST(Backoff, SeededJitterRepeats) {
  Backoff a{BackoffOptions{}};
  Backoff b{BackoffOptions{}};
  EXPECT_EQ(delays(a, 20, seeded_random(7)), delays(b, 20, seeded_random(7)));
  const RandomSource random = seeded_random(7);
  for (int i = 0; i < 10'000; ++i) {
    const double value = random();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
  }
}

struct Spell {
  const char* situation;
  bool data;
  Duration lasted;
  bool starts_anew;
};

TEST(Backoff, StartsAnewOnlyAfterDataAndAHealthySpell) {
  const Spell rows[] = {
      {"no data, at once", false, seconds(0), false},
      {"no data, for hours", false, hours(5), false},
      {"data, but it ended at once", true, milliseconds(1), false},
      {"data, just too short", true, milliseconds(9'999), false},
      {"data for ten seconds", true, seconds(10), true},
      {"data for an hour", true, hours(1), true},
  };
  for (const Spell& row : rows) {
    SCOPED_TRACE(row.situation);
    Backoff backoff{BackoffOptions{}};
    delays(backoff, 4);
    backoff.attempt_started(at(seconds(0)));
    if (row.data) backoff.data_flowed();
    EXPECT_EQ(backoff.attempt_ended(at(row.lasted)), row.starts_anew);
    EXPECT_EQ(delays(backoff, 1).front(), row.starts_anew ? 250 : 4000);
  }
}

TEST(Backoff, DataOfAnEarlierAttemptDoesNotCount) {
  Backoff backoff{BackoffOptions{}};
  delays(backoff, 4);
  backoff.attempt_started(at(seconds(0)));
  backoff.data_flowed();
  backoff.attempt_started(at(seconds(1)));
  EXPECT_FALSE(backoff.attempt_ended(at(seconds(60))));
  EXPECT_FALSE(backoff.attempt_ended(at(seconds(90))));
}

}  // namespace
}  // namespace poolwarden::kube
