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
