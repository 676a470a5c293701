#include "kube/reflector.h"

#include "reflector_machine.h"
#include "thing.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(Reflector, ActionsCarryWhatTheServerIsAsked) {
  Reflector reflector(ReflectorOptions{}, [] { return 0.5; });
  auto step = reflector.step({0, ReflectorInput::Start{}}, at(seconds(0)));
  EXPECT_THAT(step.actions, ElementsAre(ReflectorAction(StartList{1, "", 500, seconds(30)})));
  step = reflector.step({1, ReflectorInput::PageListed{"7", "tok"}}, at(seconds(0)));
  EXPECT_THAT(step.actions, ElementsAre(ReflectorAction(StartList{2, "tok", 500, seconds(30)})));
  step = reflector.step({2, ReflectorInput::PageListed{"7", ""}}, at(seconds(0)));
  EXPECT_THAT(step.actions,
              ElementsAre(ReflectorAction(StartWatch{3, "7", seconds(450), seconds(150), seconds(30)})));
}

TEST(Reflector, WatchTimeoutsAreSpreadBetweenFiveAndTenMinutes) {
  const RandomSource random = seeded_random(1);
  std::set<seconds> seen;
  for (int i = 0; i < 200; ++i) {
    Reflector reflector(ReflectorOptions{}, random);
    ASSERT_EQ(reflector.step({0, ReflectorInput::Start{}}, at(seconds(0))).actions.size(), 1U);
    const auto step = reflector.step({1, ReflectorInput::PageListed{"7", ""}}, at(seconds(0)));
    const auto timeout = std::get<StartWatch>(step.actions.back()).timeout;
    ASSERT_GE(timeout, seconds(300));
    ASSERT_LE(timeout, seconds(600));
    seen.insert(timeout);
  }
  EXPECT_GT(seen.size(), 100U);
}

TEST(Reflector, EventsAndBookmarksMoveTheVersionAndNeverBack) {
  Machine m = in_state("just opened");
  m.data("105");
  m.data("103");
  EXPECT_EQ(m.reflector.resource_version(), "105");
  m.data("");
  EXPECT_EQ(m.reflector.resource_version(), "105");
  m.data("200");
  m.pass(minutes(5));
  EXPECT_EQ(m.ended(), "cancel restarted(closed) watch(200) .");
}

TEST(Reflector, AFailingServerIsAskedLessAndLessOftenButForEver) {
  Machine m;
  m.start();
  std::vector<double> delays;
  for (int i = 0; i < 12; ++i) {
    m.list_failed(error_of(ErrorClass::kRetry));
    delays.push_back(in_seconds(*m.reflector.next_deadline() - m.now));
    EXPECT_EQ(m.due(), "list .");
  }
  EXPECT_THAT(delays, ElementsAre(0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30, 30));
}

TEST(Reflector, ListSucceeds_WatchBackoffGoesOn) {
  // List, watch, 410, list, watch, 410: the server's watch cache is broken.
  Machine m = in_state("connecting");
  std::vector<double> delays;
  for (int i = 0; i < 8; ++i) {
    m.opened();
    m.ended(error_of(ErrorClass::kRelist, 410));
    delays.push_back(in_seconds(*m.reflector.next_deadline() - m.now));
    EXPECT_EQ(m.due(), "list .");
    m.page("100");
  }
  EXPECT_THAT(delays, ElementsAre(0.25, 0.5, 1, 2, 4, 8, 16, 30));
}

TEST(Reflector, AfterAnOutageAllIsSoonWell) {
  Machine m = in_state("watching");
  for (int i = 0; i < 8; ++i) {
    m.ended(error_of(ErrorClass::kRetry));
    m.due();
  }
  m.ended(error_of(ErrorClass::kRetry));
  EXPECT_EQ(m.state(), "waiting 30s to watch");
  EXPECT_EQ(m.step(ReflectorInput::ServerIsBack{}), ".");
  EXPECT_EQ(m.state(), "waiting 0.25s to watch");
  EXPECT_EQ(m.due(), "watch(105) .");
  // A restarted server has no history: that is no reason for another half minute.
  m.ended(error_of(ErrorClass::kRelist, 410));
  EXPECT_EQ(m.state(), "waiting 0.25s to list page 1");
  EXPECT_EQ(m.due(), "list .");
  m.page("110");
  m.ended(error_of(ErrorClass::kRelist, 410));
  EXPECT_EQ(m.state(), "waiting 30s to list page 1") << "but a second time in a row it is";
}

TEST(Reflector, AServerThatIsBackHurriesNobodyItHasAnswered) {
  for (const Error& error : {error_of(ErrorClass::kRetry, 500), error_of(ErrorClass::kForbidden, 403)}) {
    Machine m = in_state("watching");
    for (int i = 0; i < 8; ++i) {
      m.ended(error);
      m.due();
    }
    m.ended(error);
    const std::string before = m.state();
    m.step(ReflectorInput::ServerIsBack{});
    EXPECT_EQ(m.state(), before);
  }
}

TEST(Reflector, ShortWatchWithEvent_BackoffGoesOn) {
  Machine m = in_state("connecting");
  std::vector<double> delays;
  for (int i = 0; i < 5; ++i) {
    m.opened();
    m.data(std::to_string(101 + i));
    m.ended();
    delays.push_back(in_seconds(*m.reflector.next_deadline() - m.now));
    EXPECT_EQ(m.due(), fmt::format("watch({}) .", 101 + i));
  }
  EXPECT_THAT(delays, ElementsAre(0.25, 0.5, 1, 2, 4));
}

TEST(Reflector, AHealthySpellStartsTheBackoffAnew) {
  Machine m = in_state("connecting");
  for (int i = 0; i < 6; ++i) {
    m.ended(error_of(ErrorClass::kRetry));
    m.due();
  }
  m.opened();
  m.data("101");
  m.pass(seconds(10));
  EXPECT_EQ(m.ended(error_of(ErrorClass::kRetry)), "cancel restarted(failed) watch(101) .") << "at once";
  m.ended(error_of(ErrorClass::kRetry));
  EXPECT_EQ(m.state(), "waiting 0.25s to watch");
}

TEST(Reflector, TheTimeBeforeTheAnswerIsNoPartOfAHealthySpell) {
  Machine m = in_state("connecting");
  m.pass(seconds(20));
  m.opened();
  m.data("101");
  m.pass(seconds(9));
  m.ended(error_of(ErrorClass::kRetry));
  EXPECT_EQ(m.state(), "waiting 0.25s to watch");
}

// As after a restore of etcd: the server waits until its versions get there.
TEST(Reflector, AWatchThatNeverToldAnythingLeadsToAList) {
  for (const bool bookmark : {false, true}) {
    Machine m = in_state("just opened");
    if (bookmark) m.data("101");
    m.pass(seconds(150));
    m.ended(error_of(ErrorClass::kRetry));  // the transport's idle limit
    EXPECT_EQ(m.state(), bookmark ? "connecting" : "waiting 0.25s to list page 1");
  }
}

TEST(Reflector, AnEmptyAnswerThreeTimesInARowLeadsToAList) {
  Machine m = in_state("connecting");
  for (const char* then : {"waiting 0.25s to watch", "waiting 0.5s to watch", "waiting 1s to list page 1"}) {
    m.opened();
    m.pass(milliseconds(5));
    EXPECT_EQ(m.ended(), "cancel restarted(short) .");
    EXPECT_EQ(m.state(), then);
    m.due();
  }
  EXPECT_EQ(m.state(), "listing page 1");
}

TEST(Reflector, AnEventBetweenEmptyAnswersBreaksTheRow) {
  Machine m = in_state("connecting");
  for (int i = 0; i < 2; ++i) m.opened(), m.ended(), m.due();
  m.opened(), m.data("101"), m.ended(), m.due();
  for (int i = 0; i < 2; ++i) m.opened(), m.ended(), m.due();
  EXPECT_EQ(m.state(), "connecting");
}

TEST(Reflector, AWatchThatRanWithoutAnEventGoesOnAtOnce) {
  Machine m = in_state("just opened");
  m.pass(seconds(1));
  EXPECT_EQ(m.ended(), "cancel restarted(closed) watch(100) .");
}

TEST(Reflector, SilenceEndsAWatchAndAnyByteCountsAsNone) {
  Machine m = in_state("just opened");
  for (int i = 0; i < 10; ++i) {
    m.pass(seconds(150));
    EXPECT_EQ(m.data(""), "+apply") << "bytes of a long line";
    EXPECT_EQ(m.tick(), ".");
  }
  m.pass(seconds(159));
  EXPECT_EQ(m.tick(), ".") << "the transport's own limit comes first";
  m.pass(seconds(1));
  EXPECT_EQ(m.tick(), "cancel restarted(lost) .");
  EXPECT_EQ(m.reflector.last_error()->reason, "Silent");
}

TEST(Reflector, RetryAfterIsHonouredUpToALimit) {
  Error busy = error_of(ErrorClass::kRetry, 429);
  for (const auto& [asked, waited] : {std::pair{milliseconds(0), 0.25},
                                      {milliseconds(100), 0.25},
                                      {milliseconds(7'000), 7.0},
                                      {milliseconds(86'400'000), 120.0}}) {
    busy.retry_after = asked;
    Machine m = in_state("connecting");
    m.ended(busy);
    EXPECT_EQ(m.state(), fmt::format("waiting {}s to watch", waited));
    Machine lists = in_state("listing");
    lists.list_failed(busy);
    EXPECT_EQ(lists.state(), fmt::format("waiting {}s to list page 1", waited));
    Machine healthy = in_state("watching");
    healthy.ended(busy);
    EXPECT_EQ(healthy.state(), fmt::format("waiting {}s to watch", waited))
        << "not at once: the server asked";
  }
}

TEST(Reflector, ForbiddenIsVisibleAndRetriedSlowly) {
  Machine m([] { return 1.0; });
  m.start();
  m.list_failed(error_of(ErrorClass::kForbidden, 403));
  EXPECT_EQ(m.state(), "waiting 15s to list page 1");
  ASSERT_TRUE(m.reflector.last_error());
  EXPECT_EQ(m.reflector.last_error()->http_status, 403);
  m.due();
  EXPECT_TRUE(m.reflector.last_error()) << "asking again is no success";
  m.page("5");
  EXPECT_FALSE(m.reflector.last_error());
}

TEST(Reflector, TheLastErrorGoesWhenTheWatchIsOpen) {
  Machine m = in_state("waiting to watch");
  EXPECT_TRUE(m.reflector.last_error());
  m.due();
  EXPECT_TRUE(m.reflector.last_error());
  m.opened();
  EXPECT_FALSE(m.reflector.last_error());
}

TEST(Reflector, AVersionThatIsGoneMidListStartsTheListOver) {
  Machine m = in_state("listing page 2");
  EXPECT_EQ(m.list_failed(error_of(ErrorClass::kRelist, 410)), "restarted(expired) +drop stage");
  EXPECT_EQ(m.due(), "list .");
  EXPECT_EQ(m.page("200"), "watch(200) +swap in");
}

TEST(Reflector, APassingFailureMidListKeepsWhatWasListed) {
  Machine m = in_state("listing page 2");
  EXPECT_EQ(m.list_failed(error_of(ErrorClass::kRetry, 500)), "restarted(failed) .");
  EXPECT_EQ(m.due(), "list(tok) .");
  EXPECT_EQ(m.page("110"), "watch(110) +swap in");
}

TEST(Reflector, StaleList_RefusedUntilHistoryIsRewound) {
  Machine m = in_state("relisting");
  for (int i = 0; i < Reflector::kStaleListLimit; ++i) {
    EXPECT_EQ(m.page("90"), "restarted(stale) +drop stage");
    EXPECT_EQ(m.reflector.last_error()->reason, "StaleList");
    EXPECT_EQ(m.reflector.resource_version(), "100");
    EXPECT_EQ(m.due(), "list .");
  }
  EXPECT_EQ(m.page("90", "more"), "list(more) +stage");
  EXPECT_EQ(m.page("90"), "watch(90) +swap in rewound");
  EXPECT_EQ(m.reflector.resource_version(), "90");
}

TEST(Reflector, AStaleListOnceDoesNotCountLater) {
  Machine m = in_state("relisting");
  for (int i = 0; i < Reflector::kStaleListLimit; ++i) m.page("90"), m.due();
  EXPECT_EQ(m.page("100"), "watch(100) +swap in");
  m.ended(error_of(ErrorClass::kRelist, 410));
  m.due();
  EXPECT_EQ(m.page("90"), "restarted(stale) +drop stage");
}

TEST(Reflector, APageOfAnotherVersionMakesTheListAnew) {
  for (const char* version : {"109", "111"}) {
    Machine m = in_state("listing page 2");
    EXPECT_EQ(m.page(version), "restarted(stale) +drop stage");
    EXPECT_EQ(m.due(), "list .");
  }
}

constexpr std::size_t kMebibyte = 1u << 20;

TEST(Reflector, PageTooLong_IsAskedForInHalvesAtOnce) {
  Machine m = in_state("listing page 2");
  std::vector<int> limits{m.limit};
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(m.page_too_long(), "restarted(failed) list(tok) .") << "what was listed before it stays";
    limits.push_back(m.limit);
  }
  EXPECT_THAT(limits, ElementsAre(500, 250, 125, 62, 31, 15, 7, 3, 1));
  EXPECT_FALSE(m.reflector.last_error()) << "the list goes on";
  EXPECT_EQ(m.page("110"), "watch(110) +swap in");
}

TEST(Reflector, ObjectTooLong_IsAnErrorWithADelay) {
  Machine m = in_state("listing page 2");
  while (m.limit > 1) m.page_too_long();
  EXPECT_EQ(m.page_too_long(), "restarted(failed) +drop stage");
  EXPECT_EQ(m.reflector.last_error()->reason, kAnswerTooLarge);
  EXPECT_EQ(m.state(), "waiting 0.25s to list page 1");
}

TEST(Reflector, PagesAreShortAgain_LimitGrowsBack) {
  Machine m = in_state("listing");
  for (int i = 0; i < 4; ++i) m.page_too_long();
  std::vector<int> limits;
  for (int i = 0; i < 7; ++i) {
    // Long objects first, of which a longer page would be too long again.
    m.step(ReflectorInput::PageListed{"5", fmt::format("t{}", i), 31, (i < 2 ? 40U : 1U) * kMebibyte});
    limits.push_back(m.limit);
  }
  EXPECT_THAT(limits, ElementsAre(31, 31, 62, 124, 248, 496, 500));
}

TEST(Reflector, ManyShortLists_LimitStaysWhereItBegan) {
  Machine m = in_state("connecting");
  for (int i = 0; i < 3; ++i) {
    m.ended(error_of(ErrorClass::kRelist, 410));
    m.due();
    EXPECT_EQ(m.limit, 500);
    m.page(std::to_string(110 + i));
  }
}

TEST(Reflector, ManyPages_AreNoReasonToGiveUp) {
  Machine m = in_state("listing");
  for (int i = 0; i < 10'000; ++i) {
    const std::string token = fmt::format("t{}", i);
    ASSERT_EQ(m.step(ReflectorInput::PageListed{"5", token, 31, 40 * kMebibyte}),
              fmt::format("list({}) +stage", token));
  }
  EXPECT_EQ(m.page("5"), "watch(5) +swap in");
}

TEST(Reflector, PageNamesItselfAsTheNext_ListIsMadeAnew) {
  Machine m = in_state("listing");
  EXPECT_EQ(m.page("5", "t"), "list(t) +stage");
  EXPECT_EQ(m.page("5", "t"), "restarted(failed) +drop stage");
  EXPECT_THAT(m.reflector.last_error()->message, HasSubstr("does not go on"));
  EXPECT_EQ(m.due(), "list .");
}

TEST(Reflector, ListWithoutEnd_IsGivenUp) {
  ReflectorOptions options;
  options.max_objects = 2000;
  for (const std::size_t per_page : {500U, 1U, 0U}) {
    Machine m([] { return 0.0; }, options);
    m.start();
    std::size_t pages = 0;
    while (m.step(ReflectorInput::PageListed{"5", std::to_string(++pages), per_page}).ends_with("+stage")) {
    }
    EXPECT_EQ(pages, 2000 / std::max<std::size_t>(per_page, 1)) << "a page without objects counts as one";
    EXPECT_THAT(m.reflector.last_error()->message, HasSubstr("more than 2000 objects"));
    EXPECT_EQ(m.due(), "list .");
  }
}

TEST(Reflector, ATickThatComesLateDoesNotAddUp) {
  Machine m = in_state("waiting to list");
  m.pass(minutes(30));
  EXPECT_EQ(m.tick(), "list .");
  EXPECT_EQ(*m.reflector.next_deadline(), m.now + seconds(40));
}

}  // namespace
}  // namespace poolwarden::kube
