#include "pool/load_book.h"

#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

using std::chrono::seconds;

constexpr seconds kPoll{1};

LoadBook::TimePoint at(int second) {
  return LoadBook::TimePoint{seconds{second}};
}

// One reading, from when it was wanted to its answer.
void read(LoadBook& book, int second, std::optional<Load> load, bool withdrawn = true) {
  EXPECT_TRUE(book.want("pod", withdrawn, kPoll, at(second)));
  book.began("pod", at(second));
  book.took("pod", load, load ? "" : "refused", at(second));
}

TEST(LoadBook, OnlyReadingsThatBeganAfterTheWithdrawalSettledCount) {
  LoadBook book;
  read(book, 0, Load{0, {}}, false);
  EXPECT_EQ(book.find("pod")->quiet, 0) << "it is still on the list";
  read(book, 10, Load{0, {}});
  EXPECT_EQ(book.find("pod")->quiet, 0) << "gateways may not have heard yet";
  read(book, 11, Load{0, {}});
  EXPECT_EQ(book.find("pod")->quiet, 1);
  read(book, 12, Load{0, {}});
  EXPECT_EQ(book.find("pod")->quiet, 2);
}

TEST(LoadBook, AnyOtherAnswerBeginsTheCountAnew) {
  const std::pair<const char*, std::optional<Load>> rows[] = {
      {"busy", Load{1, {}}}, {"half a request", Load{0.5, {}}}, {"unknown", std::nullopt}};
  for (const auto& [situation, answer] : rows) {
    LoadBook book;
    read(book, 0, Load{0, {}});
    read(book, 1, Load{0, {}});
    ASSERT_EQ(book.find("pod")->quiet, 1);
    read(book, 2, answer);
    EXPECT_EQ(book.find("pod")->quiet, 0) << situation;
  }
}

TEST(LoadBook, APodThatIsReadmittedStartsAfreshWhenItDrainsAgain) {
  LoadBook book;
  read(book, 0, Load{0, {}});
  read(book, 1, Load{0, {}});
  EXPECT_EQ(book.find("pod")->quiet, 1);
  read(book, 2, Load{0, {}}, false);
  EXPECT_EQ(book.find("pod")->quiet, 0);
  read(book, 3, Load{0, {}});
  EXPECT_EQ(book.find("pod")->quiet, 0);
}

TEST(LoadBook, AsksOncePerPollAndOneAtATime) {
  LoadBook book;
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
bool sounded(LoadBook& book, int second) {
  const bool before = book.sounded("pod", at(second));
  book.want("pod", false, kPoll, at(second));
  EXPECT_EQ(book.sounded("pod", at(second)), before) << "at " << second;
  return before;
}

TEST(LoadBook, AChoiceWaitsForFreshAnswersButNotForEver) {
  LoadBook book;
  EXPECT_FALSE(sounded(book, 0));
  book.began("pod", at(0));
  EXPECT_FALSE(sounded(book, 2)) << "it has not answered";
  EXPECT_TRUE(sounded(book, 3)) << "and will not";
  book.took("pod", Load{2, 0.5}, "", at(3));
  EXPECT_TRUE(sounded(book, 4));
  EXPECT_TRUE(sounded(book, 8));
  EXPECT_NE(book.recent("pod", at(8)), nullptr);
}

TEST(LoadBook, WhatItSaidAMinuteAgoDecidesNothing) {
  LoadBook book;
  read(book, 0, Load{2, 0.5}, false);
  EXPECT_EQ(book.recent("pod", at(60)), nullptr);
  EXPECT_FALSE(sounded(book, 60));
  book.began("pod", at(60));
  EXPECT_FALSE(sounded(book, 62));
  EXPECT_TRUE(sounded(book, 63)) << "this choice has been patient, too";
  EXPECT_EQ(book.recent("pod", at(63)), nullptr) << "but it chooses without the old figure";
}

TEST(LoadBook, AChoiceWaitsLongerForWhoeverHasYetToGetItsTurn) {
  LoadBook book;
  for (const int second : {0, 4, 8}) EXPECT_FALSE(sounded(book, second)) << "it has not been asked";
  book.began("pod", at(9));
  EXPECT_FALSE(sounded(book, 11)) << "it is being asked";
  EXPECT_TRUE(sounded(book, 12));
  LoadBook crowded;
  for (const int second : {0, 4, 8, 12, 14}) EXPECT_FALSE(sounded(crowded, second));
  EXPECT_TRUE(sounded(crowded, 15)) << "not for ever";
}

TEST(LoadBook, AsksMoreRarelyWhoeverDoesNotAnswer) {
  LoadBook book;
  int second = 0;
  std::vector<int> asked;
  for (; second < 50; ++second) {
    if (!book.want("pod", true, kPoll, at(second))) continue;
    asked.push_back(second);
    book.began("pod", at(second));
    book.took("pod", std::nullopt, "refused", at(second));
  }
  EXPECT_EQ(asked, (std::vector<int>{0, 1, 3, 7, 15, 25, 35, 45}));
  EXPECT_TRUE(book.in_trouble("pod"));
  read(book, 55, Load{0, {}});
  EXPECT_FALSE(book.in_trouble("pod"));
  EXPECT_EQ(book.due("pod"), at(56)) << "as ever again";
}

TEST(LoadBook, NeverAsksMoreOftenThanThePoolSays) {
  LoadBook book;
  for (const int second : {0, 60, 120}) {
    ASSERT_TRUE(book.want("pod", true, seconds{60}, at(second)));
    book.began("pod", at(second));
    book.took("pod", std::nullopt, "refused", at(second));
  }
  EXPECT_EQ(book.due("pod"), at(180));
}

TEST(LoadBook, ForgetsWhomNobodyAsksAbout) {
  LoadBook book;
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
