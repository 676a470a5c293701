#include "pool/drain_ages.h"

#include "world.h"

#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

api::Pod labelled(const std::string& serving, api::Timestamp started) {
  api::Pod pod = ready_pod("pod", "10.0.0.1");
  pod.serving = serving;
  pod.annotations =
      std::make_shared<const api::DrainAnnotations>(api::DrainAnnotations{.started = api::to_rfc3339(started),
                                                                          .reason = {},
                                                                          .request = {},
                                                                          .saved_cost = {},
                                                                          .deletion_cost = {}});
  return pod;
}

api::Pod serving_pod() {
  api::Pod pod = ready_pod("pod", "10.0.0.1");
  pod.serving = "true";
  return pod;
}

api::Now with_clock_set(api::Now now, hours by) {
  return {now.mono, now.wall + by};
}

TEST(DrainAges, OneThatWasSeenToBegin_IsAsOldAsTheMonotonicClockSays) {
  const api::Pod before = serving_pod();
  const api::Timestamp by_another_clock = at_second(0).wall - hours{2};
  const api::Pod pod = labelled("draining", by_another_clock);
  DrainAges ages;
  ages.saw(&before, pod, at_second(10));
  EXPECT_EQ(ages.age("pod-uid", by_another_clock, at_second(40)), seconds{30});
  EXPECT_EQ(ages.age("pod-uid", by_another_clock, with_clock_set(at_second(40), hours{5})), seconds{30});
  EXPECT_EQ(ages.age("pod-uid", by_another_clock, with_clock_set(at_second(40), hours{-5})), seconds{30});
}

TEST(DrainAges, OneThatHadBegunBefore_IsAsOldAsItWas_AndAgesByTheMonotonicClock) {
  const api::Timestamp started = at_second(0).wall;
  const api::Pod pod = labelled("draining", started);
  DrainAges ages;
  ages.saw(nullptr, pod, at_second(100));
  EXPECT_EQ(ages.age("pod-uid", started, at_second(130)), seconds{130});
  EXPECT_EQ(ages.age("pod-uid", started, with_clock_set(at_second(130), hours{5})), seconds{130});
}

TEST(DrainAges, WhoTurnsUnreadyAndThenDrains_AgesOn) {
  const api::Pod before = serving_pod();
  const api::Timestamp started = at_second(0).wall - hours{1};
  const api::Pod finishing = labelled("finishing", started);
  DrainAges ages;
  ages.saw(&before, finishing, at_second(0));
  ages.saw(&finishing, labelled("draining", started), at_second(20));
  EXPECT_EQ(ages.age("pod-uid", started, at_second(50)), seconds{50});
}

TEST(DrainAges, ANewDrainOfTheSamePod_BeginsAnew) {
  const api::Pod before = serving_pod();
  const api::Timestamp first = at_second(0).wall - hours{1};
  const api::Timestamp second = at_second(0).wall + hours{1};
  DrainAges ages;
  ages.saw(&before, labelled("draining", first), at_second(0));
  ages.saw(nullptr, before, at_second(30));
  ages.saw(&before, labelled("draining", second), at_second(60));
  EXPECT_EQ(ages.age("pod-uid", second, at_second(70)), seconds{10});
}

TEST(DrainAges, OfWhomNothingWasSeen_TheWallClockTells) {
  const DrainAges ages;
  EXPECT_EQ(ages.age("pod-uid", at_second(0).wall, at_second(7)), seconds{7});
  EXPECT_EQ(ages.age("pod-uid", at_second(9).wall, at_second(7)), seconds{0});
}

}  // namespace
}  // namespace poolwarden::pool
