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
void read(EngineLoadTracker& book, int second, std::optional<Load> load, bool withdrawn = true) {
  EXPECT_TRUE(book.want("pod", withdrawn, kPoll, at(second)));
  book.began("pod", at(second));
  book.took("pod", load, load ? "" : "refused", at(second));
}

TEST(EngineLoadTracker, OnlyReadingsThatBeganAfterTheWithdrawalSettledCount) {
  EngineLoadTracker book;
  read(book, 0, Load{0, {}}, false);
  EXPECT_EQ(book.find("pod")->quiet, 0) << "it is still on the list";
  read(book, 10, Load{0, {}});
  EXPECT_EQ(book.find("pod")->quiet, 0) << "gateways may not have heard yet";
  read(book, 11, Load{0, {}});
  EXPECT_EQ(book.find("pod")->quiet, 1);
  read(book, 12, Load{0, {}});
  EXPECT_EQ(book.find("pod")->quiet, 2);
}

TEST(EngineLoadTracker, AnyOtherAnswerBeginsTheCountAnew) {
  const std::pair<const char*, std::optional<Load>> rows[] = {
      {"busy", Load{1, {}}}, {"half a request", Load{0.5, {}}}, {"unknown", std::nullopt}};
  for (const auto& [situation, answer] : rows) {
    EngineLoadTracker book;
    read(book, 0, Load{0, {}});
    read(book, 1, Load{0, {}});
    ASSERT_EQ(book.find("pod")->quiet, 1);
    read(book, 2, answer);
    EXPECT_EQ(book.find("pod")->quiet, 0) << situation;
  }
}

TEST(EngineLoadTracker, APodThatIsReadmittedStartsAfreshWhenItDrainsAgain) {
  EngineLoadTracker book;
  read(book, 0, Load{0, {}});
  read(book, 1, Load{0, {}});
  EXPECT_EQ(book.find("pod")->quiet, 1);
  read(book, 2, Load{0, {}}, false);
  EXPECT_EQ(book.find("pod")->quiet, 0);
  read(book, 3, Load{0, {}});
  EXPECT_EQ(book.find("pod")->quiet, 0);
}

TEST(EngineLoadTracker, AsksOncePerPollAndOneAtATime) {
  EngineLoadTracker book;
  EXPECT_TRUE(book.want("pod", true, seconds{5}, at(0)));
  book.began("pod", at(0));
  EXPECT_FALSE(book.want("pod", true, seconds{5}, at(4))) << "one is under way";
  EXPECT_FALSE(book.due("pod"));
  book.took("pod", Load{0, {}}, "", at(4));
  EXPECT_FALSE(book.want("pod", true, seconds{5}, at(8)));
  EXPECT_EQ(book.due("pod"), at(9));
  EXPECT_TRUE(book.want("pod", true, seconds{5}, at(9)));
}

// A pass judges before it says what it wants: what is true before want() must be true after it.
bool answered_or_timed_out(EngineLoadTracker& book, int second) {
  const bool before = book.answered_or_timed_out("pod", at(second));
  book.want("pod", false, kPoll, at(second));
  EXPECT_EQ(book.answered_or_timed_out("pod", at(second)), before) << "at " << second;
  return before;
}

TEST(EngineLoadTracker, AChoiceWaitsForFreshAnswersButNotForEver) {
  EngineLoadTracker book;
  EXPECT_FALSE(answered_or_timed_out(book, 0));
  book.began("pod", at(0));
  EXPECT_FALSE(answered_or_timed_out(book, 2)) << "it has not answered";
  EXPECT_TRUE(answered_or_timed_out(book, 3)) << "and will not";
  book.took("pod", Load{2, 0.5}, "", at(3));
  EXPECT_TRUE(answered_or_timed_out(book, 4));
  EXPECT_TRUE(answered_or_timed_out(book, 8));
  EXPECT_NE(book.recent("pod", at(8)), nullptr);
}

TEST(EngineLoadTracker, WhatItSaidAMinuteAgoDecidesNothing) {
  EngineLoadTracker book;
  read(book, 0, Load{2, 0.5}, false);
  EXPECT_EQ(book.recent("pod", at(60)), nullptr);
  EXPECT_FALSE(answered_or_timed_out(book, 60));
  book.began("pod", at(60));
  EXPECT_FALSE(answered_or_timed_out(book, 62));
  EXPECT_TRUE(answered_or_timed_out(book, 63)) << "this choice has been patient, too";
  EXPECT_EQ(book.recent("pod", at(63)), nullptr) << "but it chooses without the old figure";
}

TEST(EngineLoadTracker, AChoiceWaitsLongerForWhoeverHasYetToGetItsTurn) {
  EngineLoadTracker book;
  for (const int second : {0, 4, 8})
    EXPECT_FALSE(answered_or_timed_out(book, second)) << "it has not been asked";
  book.began("pod", at(9));
  EXPECT_FALSE(answered_or_timed_out(book, 11)) << "it is being asked";
  EXPECT_TRUE(answered_or_timed_out(book, 12));
  EngineLoadTracker crowded;
  for (const int second : {0, 4, 8, 12, 14}) EXPECT_FALSE(answered_or_timed_out(crowded, second));
  EXPECT_TRUE(answered_or_timed_out(crowded, 15)) << "not for ever";
}

TEST(EngineLoadTracker, AsksMoreRarelyWhoeverDoesNotAnswer) {
  EngineLoadTracker book;
  int second = 0;
  std::vector<int> asked;
  for (; second < 50; ++second) {
    if (!book.want("pod", true, kPoll, at(second))) continue;
    asked.push_back(second);
    book.began("pod", at(second));
    book.took("pod", std::nullopt, "refused", at(second));
  }
  EXPECT_EQ(asked, (std::vector<int>{0, 1, 3, 7, 15, 25, 35, 45}));
  EXPECT_TRUE(book.last_read_failed("pod"));
  read(book, 55, Load{0, {}});
  EXPECT_FALSE(book.last_read_failed("pod"));
  EXPECT_EQ(book.due("pod"), at(56)) << "as ever again";
}

TEST(EngineLoadTracker, NeverAsksMoreOftenThanThePoolSays) {
  EngineLoadTracker book;
  for (const int second : {0, 60, 120}) {
    ASSERT_TRUE(book.want("pod", true, seconds{60}, at(second)));
    book.began("pod", at(second));
    book.took("pod", std::nullopt, "refused", at(second));
  }
  EXPECT_EQ(book.due("pod"), at(180));
}

TEST(EngineLoadTracker, ForgetsWhomNobodyAsksAbout) {
  EngineLoadTracker book;
  read(book, 0, Load{0, {}});
  book.sweep(at(100));
  EXPECT_EQ(book.size(), 1U);
  book.sweep(at(200));
  EXPECT_EQ(book.size(), 0U);
  EXPECT_EQ(book.find("pod"), nullptr);
  book.took("pod", Load{0, {}}, "", at(201));
  EXPECT_EQ(book.size(), 0U) << "an answer nobody waits for";
}

}  // namespace
}  // namespace poolwarden::pool
