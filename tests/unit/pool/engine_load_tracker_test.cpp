#include "pool/engine_load_tracker.h"

#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

using std::chrono::seconds;

constexpr seconds kPoll{1};

EngineLoadTracker::TimePoint at(int second) {
  return EngineLoadTracker::TimePoint{seconds{second}};
}

// One reading, from when it was wanted to its answer.
void read(EngineLoadTracker& tracker, int second, std::optional<Load> load, bool withdrawn = true) {
  EXPECT_TRUE(tracker.request("pod", withdrawn, kPoll, at(second)));
  tracker.began("pod", at(second));
  tracker.took("pod", load, load ? "" : "refused", at(second));
}

TEST(EngineLoadTracker, EarlyReading_DoesNotCountAsIdle) {
  EngineLoadTracker tracker;
  read(tracker, 0, Load{0, {}}, false);
  EXPECT_EQ(tracker.find("pod")->quiet, 0) << "it is still on the list";
  read(tracker, 10, Load{0, {}});
  EXPECT_EQ(tracker.find("pod")->quiet, 0) << "gateways may not have heard yet";
  read(tracker, 11, Load{0, {}});
  EXPECT_EQ(tracker.find("pod")->quiet, 1);
  read(tracker, 12, Load{0, {}});
  EXPECT_EQ(tracker.find("pod")->quiet, 2);
}

TEST(EngineLoadTracker, ReadingsCountOnceWhoeverSendsHasSettled) {
  EngineLoadTracker tracker;
  const auto quiet_at = [&tracker](int second, seconds settle) {
    tracker.request("pod", true, kPoll, at(second), settle);
    tracker.began("pod", at(second));
    tracker.took("pod", Load{0, {}}, "", at(second));
    return tracker.find("pod")->quiet;
  };
  EXPECT_EQ(quiet_at(0, seconds{90}), 0);
  EXPECT_EQ(quiet_at(89, seconds{90}), 0);
  EXPECT_EQ(quiet_at(90, seconds{90}), 1);
  EXPECT_EQ(quiet_at(91, seconds{120}), 1) << "the pool says another thing now";
  EXPECT_EQ(quiet_at(92, seconds{0}), 2);
}

// A reading at each second, of which the pool says how long it settles and whether consumers have confirmed.
struct ConfirmedRow {
  const char* situation;
  seconds settle;
  std::vector<bool> confirmed;
  std::vector<int> quiet;
};

TEST(EngineLoadTracker, ReadingsCountOnceConsumersHaveConfirmed) {
  for (const ConfirmedRow& row :
       {ConfirmedRow{"at once", seconds{0}, {true, true, true}, {1, 2, 3}},
        {"late", seconds{0}, {false, false, true, true}, {0, 0, 1, 2}},
        {"late, and settling longer", seconds{3}, {false, true, true, true, true}, {0, 0, 0, 1, 2}},
        {"taken back", seconds{0}, {true, true, false, true, true}, {1, 2, 0, 1, 2}},
        {"never", seconds{0}, {false, false, false}, {0, 0, 0}}}) {
    EngineLoadTracker tracker;
    for (std::size_t second = 0; second < row.confirmed.size(); ++second) {
      const auto now = at(static_cast<int>(second));
      tracker.request("pod", true, kPoll, now, row.settle, row.confirmed[second]);
      tracker.began("pod", now);
      tracker.took("pod", Load{0, {}}, "", now);
      EXPECT_EQ(tracker.find("pod")->quiet, row.quiet[second]) << row.situation << " at " << second;
    }
  }
}

TEST(EngineLoadTracker, ReadingThatBeganBeforeTheConfirmation_DoesNotCount) {
  EngineLoadTracker tracker;
  tracker.request("pod", true, kPoll, at(0), seconds{0}, false);
  tracker.began("pod", at(0));
  tracker.request("pod", true, kPoll, at(1), seconds{0}, true);
  tracker.took("pod", Load{0, {}}, "", at(2));
  EXPECT_EQ(tracker.find("pod")->quiet, 0);
}

// Until then the requests that it still gets are no sign of somebody who does not follow the lists.
TEST(EngineLoadTracker, RiseBeforeTheConfirmation_IsOfThoseWhoAreAwaited) {
  EngineLoadTracker tracker;
  for (const int second : {0, 11, 12}) {
    tracker.request("pod", true, kPoll, at(second), seconds{0}, false);
    tracker.began("pod", at(second));
    tracker.took("pod", Load{second * 1.0, {}}, "", at(second));
  }
  EXPECT_FALSE(tracker.find("pod")->still_sent_to);
}

TEST(EngineLoadTracker, AnyOtherAnswerBeginsTheCountAnew) {
  const std::pair<const char*, std::optional<Load>> rows[] = {
      {"busy", Load{1, {}}}, {"half a request", Load{0.5, {}}}, {"unknown", std::nullopt}};
  for (const auto& [situation, answer] : rows) {
    EngineLoadTracker tracker;
    read(tracker, 0, Load{0, {}});
    read(tracker, 1, Load{0, {}});
    ASSERT_EQ(tracker.find("pod")->quiet, 1);
    read(tracker, 2, answer);
    EXPECT_EQ(tracker.find("pod")->quiet, 0) << situation;
  }
}

TEST(EngineLoadTracker, Refusal_IsToldApartAndIsNotIdle) {
  EngineLoadTracker tracker;
  for (const int second : {0, 1, 2}) {
    tracker.request("pod", true, kPoll, at(second));
    tracker.began("pod", at(second));
    tracker.took("pod", std::nullopt, "refused the connection", at(second), true);
  }
  EXPECT_TRUE(tracker.find("pod")->refused);
  EXPECT_FALSE(tracker.find("pod")->load);
  EXPECT_EQ(tracker.find("pod")->quiet, 0);
  tracker.took("pod", std::nullopt, "no answer", at(3));
  EXPECT_FALSE(tracker.find("pod")->refused) << "the newest reading counts";
  tracker.took("pod", std::nullopt, "refused the connection", at(4), true);
  tracker.took("pod", Load{0, {}}, "", at(5));
  EXPECT_FALSE(tracker.find("pod")->refused);
}

// When the pod was asked, and what it had in flight then. It is off every list from the first on.
struct SentToRow {
  const char* situation;
  std::vector<std::pair<int, std::optional<double>>> readings;
  bool still_sent_to;
};

TEST(EngineLoadTracker, RiseLongAfterTheWithdrawal_IsOfSomeoneWhoDoesNotFollow) {
  for (const SentToRow& row :
       {SentToRow{"it falls", {{0, 9}, {11, 5}, {12, 2}, {13, 0}}, false},
        {"it stays", {{0, 9}, {11, 9}, {12, 9}}, false},
        {"it rises while requests may be on their way", {{0, 1}, {5, 2}, {10, 9}, {11, 9}}, false},
        {"it rises", {{0, 9}, {11, 3}, {12, 4}}, true},
        {"it rises from nothing", {{0, 0}, {10, 0}, {11, 1}}, true},
        {"it rises and falls again", {{0, 9}, {11, 3}, {12, 4}, {13, 0}}, true},
        {"it is known again", {{0, 1}, {11, std::nullopt}, {13, 4}}, false},
        {"it rises, and is unknown", {{0, 1}, {12, 4}, {13, std::nullopt}}, true}}) {
    EngineLoadTracker tracker;
    for (const auto& [second, in_flight] : row.readings) {
      tracker.request("pod", true, kPoll, at(second));
      tracker.began("pod", at(second));
      tracker.took("pod", in_flight ? std::optional(Load{*in_flight, {}}) : std::nullopt, "", at(second));
    }
    EXPECT_EQ(tracker.find("pod")->still_sent_to, row.still_sent_to) << row.situation;
    tracker.request("pod", false, kPoll, at(60));
    EXPECT_FALSE(tracker.find("pod")->still_sent_to) << "it is on the list again";
  }
}

TEST(EngineLoadTracker, ReadmittedPod_StartsAfreshAtTheNextDrain) {
  EngineLoadTracker tracker;
  read(tracker, 0, Load{0, {}});
  read(tracker, 1, Load{0, {}});
  EXPECT_EQ(tracker.find("pod")->quiet, 1);
  read(tracker, 2, Load{0, {}}, false);
  EXPECT_EQ(tracker.find("pod")->quiet, 0);
  read(tracker, 3, Load{0, {}});
  EXPECT_EQ(tracker.find("pod")->quiet, 0);
}

TEST(EngineLoadTracker, AsksOncePerPollAndOneAtATime) {
  EngineLoadTracker tracker;
  EXPECT_TRUE(tracker.request("pod", true, seconds{5}, at(0)));
  tracker.began("pod", at(0));
  EXPECT_FALSE(tracker.request("pod", true, seconds{5}, at(4))) << "one is under way";
  EXPECT_FALSE(tracker.due("pod"));
  tracker.took("pod", Load{0, {}}, "", at(4));
  EXPECT_FALSE(tracker.request("pod", true, seconds{5}, at(8)));
  EXPECT_EQ(tracker.due("pod"), at(9));
  EXPECT_TRUE(tracker.request("pod", true, seconds{5}, at(9)));
}

// A pass judges before it says what it wants: what is true before request() must be true after it.
bool answered_or_timed_out(EngineLoadTracker& tracker, int second) {
  const bool before = tracker.answered_or_timed_out("pod", at(second));
  tracker.request("pod", false, kPoll, at(second));
  EXPECT_EQ(tracker.answered_or_timed_out("pod", at(second)), before) << "at " << second;
  return before;
}

TEST(EngineLoadTracker, AChoiceWaitsForFreshAnswersButNotForEver) {
  EngineLoadTracker tracker;
  EXPECT_FALSE(answered_or_timed_out(tracker, 0));
  tracker.began("pod", at(0));
  EXPECT_FALSE(answered_or_timed_out(tracker, 2)) << "it has not answered";
  EXPECT_TRUE(answered_or_timed_out(tracker, 3)) << "and will not";
  tracker.took("pod", Load{2, 0.5}, "", at(3));
  EXPECT_TRUE(answered_or_timed_out(tracker, 4));
  EXPECT_TRUE(answered_or_timed_out(tracker, 8));
  EXPECT_NE(tracker.recent("pod", at(8)), nullptr);
}

TEST(EngineLoadTracker, WhatItSaidAMinuteAgoDecidesNothing) {
  EngineLoadTracker tracker;
  read(tracker, 0, Load{2, 0.5}, false);
  EXPECT_EQ(tracker.recent("pod", at(60)), nullptr);
  EXPECT_FALSE(answered_or_timed_out(tracker, 60));
  tracker.began("pod", at(60));
  EXPECT_FALSE(answered_or_timed_out(tracker, 62));
  EXPECT_TRUE(answered_or_timed_out(tracker, 63)) << "this choice has been patient, too";
  EXPECT_EQ(tracker.recent("pod", at(63)), nullptr) << "but it chooses without the old figure";
}

Load working(double in_flight, double work) {
  return {.in_flight = in_flight, .cache_usage = {}, .work = work};
}

// One reading at each of these seconds, from 0.
struct MotionRow {
  const char* situation;
  std::vector<std::optional<Load>> readings;
  seconds still;  // after the last
};

TEST(EngineLoadTracker, StandsStill_WhenNeitherFigureNorWorkMoves) {
  const Load no_counter{3, {}};
  for (const MotionRow& row :
       {MotionRow{"one reading", {working(3, 10)}, seconds{0}},
        {"two that say the same", {working(3, 10), working(3, 10)}, seconds{1}},
        {"three", {working(3, 10), working(3, 10), working(3, 10)}, seconds{2}},
        {"work moves", {working(3, 10), working(3, 10), working(3, 11)}, seconds{0}},
        {"the figure moves", {working(3, 10), working(3, 10), working(2, 10)}, seconds{0}},
        {"still again", {working(3, 10), working(3, 11), working(3, 11)}, seconds{1}},
        {"nothing in flight", {working(0, 10), working(0, 10), working(0, 10)}, seconds{0}},
        {"no counter", {no_counter, no_counter, no_counter}, seconds{0}},
        {"the counter went away", {working(3, 10), working(3, 10), no_counter}, seconds{0}},
        {"unknown between", {working(3, 10), std::nullopt, working(3, 10)}, seconds{0}}}) {
    EngineLoadTracker tracker;
    int second = 0;
    for (const auto& reading : row.readings) {
      tracker.request("pod", true, kPoll, at(second));
      tracker.began("pod", at(second));
      tracker.took("pod", reading, "", at(second++));
    }
    EXPECT_EQ(tracker.find("pod")->still, row.still) << row.situation;
    EXPECT_EQ(tracker.find("pod")->stalled(), row.still >= seconds{2}) << row.situation;
    EXPECT_EQ(tracker.find("pod")->quiet, row.readings.back() && row.readings.back()->in_flight == 0 ? 2 : 0)
        << row.situation << ": it is never idle for standing still";
  }
}

TEST(EngineLoadTracker, AChoiceWaitsToSeeWhetherABusyEngineMoves) {
  const auto decided_at = [](std::vector<Load> readings) {
    EngineLoadTracker tracker;
    int second = 0;
    for (; !answered_or_timed_out(tracker, second); ++second) {
      const Load& said =
          readings.at(std::min<std::size_t>(static_cast<std::size_t>(second), readings.size() - 1));
      tracker.began("pod", at(second));
      tracker.took("pod", said, "", at(second));
      if (answered_or_timed_out(tracker, second)) break;
    }
    return second;
  };
  EXPECT_EQ(decided_at({working(0, 10)}), 0) << "it is idle";
  EXPECT_EQ(decided_at({Load{3, {}}}), 0) << "nothing more can be known";
  EXPECT_EQ(decided_at({working(3, 10), working(3, 11)}), 1) << "it works";
  EXPECT_EQ(decided_at({working(3, 10), working(2, 10)}), 1) << "one request has ended";
  EXPECT_EQ(decided_at({working(3, 10)}), 2) << "it stands still";
}

TEST(EngineLoadTracker, AChoiceDoesNotWaitForLongToSeeWhatMoves) {
  EngineLoadTracker tracker;
  EXPECT_FALSE(answered_or_timed_out(tracker, 0));
  tracker.began("pod", at(0));
  tracker.took("pod", working(3, 10), "", at(1));
  tracker.began("pod", at(2));
  EXPECT_FALSE(answered_or_timed_out(tracker, 2));
  EXPECT_TRUE(answered_or_timed_out(tracker, 3)) << "the second reading hangs";
  EXPECT_FALSE(answered_or_timed_out(tracker, 60)) << "this is another choice";
}

TEST(EngineLoadTracker, QueuedRead_GetsMorePatience) {
  EngineLoadTracker tracker;
  for (const int second : {0, 4, 8})
    EXPECT_FALSE(answered_or_timed_out(tracker, second)) << "it has not been asked";
  tracker.began("pod", at(9));
  EXPECT_FALSE(answered_or_timed_out(tracker, 11)) << "it is being asked";
  EXPECT_TRUE(answered_or_timed_out(tracker, 12));
  EngineLoadTracker crowded;
  for (const int second : {0, 4, 8, 12, 14}) EXPECT_FALSE(answered_or_timed_out(crowded, second));
  EXPECT_TRUE(answered_or_timed_out(crowded, 15)) << "not for ever";
}

TEST(EngineLoadTracker, AsksMoreRarelyWhoeverDoesNotAnswer) {
  EngineLoadTracker tracker;
  int second = 0;
  std::vector<int> asked;
  for (; second < 50; ++second) {
    if (!tracker.request("pod", true, kPoll, at(second))) continue;
    asked.push_back(second);
    tracker.began("pod", at(second));
    tracker.took("pod", std::nullopt, "refused", at(second));
  }
  EXPECT_EQ(asked, (std::vector<int>{0, 1, 3, 7, 15, 25, 35, 45}));
  EXPECT_TRUE(tracker.last_read_failed("pod"));
  read(tracker, 55, Load{0, {}});
  EXPECT_FALSE(tracker.last_read_failed("pod"));
  EXPECT_EQ(tracker.due("pod"), at(56)) << "as ever again";
}

TEST(EngineLoadTracker, NeverAsksMoreOftenThanThePoolSays) {
  EngineLoadTracker tracker;
  for (const int second : {0, 60, 120}) {
    ASSERT_TRUE(tracker.request("pod", true, seconds{60}, at(second)));
    tracker.began("pod", at(second));
    tracker.took("pod", std::nullopt, "refused", at(second));
  }
  EXPECT_EQ(tracker.due("pod"), at(180));
}

TEST(EngineLoadTracker, ForgetsWhomNobodyAsksAbout) {
  EngineLoadTracker tracker;
  read(tracker, 0, Load{0, {}});
  tracker.sweep(at(100));
  EXPECT_EQ(tracker.size(), 1U);
  tracker.sweep(at(200));
  EXPECT_EQ(tracker.size(), 0U);
  EXPECT_EQ(tracker.find("pod"), nullptr);
  tracker.took("pod", Load{0, {}}, "", at(201));
  EXPECT_EQ(tracker.size(), 0U) << "an answer nobody waits for";
}

}  // namespace
}  // namespace poolwarden::pool
