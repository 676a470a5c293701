#include "kube/reflector.h"

#include "thing.h"

#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
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

Error error_of(ErrorClass cls, int status = 0) {
  return Error{cls, status, "Reason", "message", std::nullopt};
}

double in_seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

// A reflector without jitter, its clock, and its state and actions as text.
class Machine {
 public:
  explicit Machine(RandomSource random = [] { return 0.0; })
      : reflector(ReflectorOptions{}, std::move(random)) {}

  // Steps with an answer to the latest attempt unless told otherwise.
  std::string step(decltype(ReflectorInput::what) what, std::optional<std::uint64_t> attempt = std::nullopt) {
    const ReflectorStep out = reflector.step({attempt.value_or(latest), std::move(what)}, now);
    std::string text;
    for (const auto& action : out.actions) text += describe(action) + " ";
    return text + effect(out.cache);
  }
  std::string start() { return step(ReflectorInput::Start{}); }
  std::string page(std::string version, std::string more = "") {
    return step(ReflectorInput::PageListed{std::move(version), std::move(more)});
  }
  std::string list_failed(Error error) { return step(ReflectorInput::ListFailed{std::move(error)}); }
  std::string opened() { return step(ReflectorInput::WatchOpened{}); }
  std::string data(std::string version) { return step(ReflectorInput::WatchData{std::move(version)}); }
  std::string ended(std::optional<Error> error = std::nullopt) {
    return step(ReflectorInput::WatchEnded{std::move(error)});
  }
  std::string tick() { return step(ReflectorInput::Tick{}); }
  // Lets time pass until the next deadline.
  std::string due() {
    now = std::max(now, *reflector.next_deadline());
    return tick();
  }
  void pass(Duration duration) { now += duration; }

  std::string state() const {
    if (const auto* listing = std::get_if<Reflector::Listing>(&reflector.state())) {
      return fmt::format("listing page {}", listing->progress.pages + 1);
    }
    if (std::holds_alternative<Reflector::Connecting>(reflector.state())) return "connecting";
    if (const auto* watching = std::get_if<Reflector::Watching>(&reflector.state())) {
      return watching->had_event ? "watching" : "watching, no event";
    }
    if (const auto* waiting = std::get_if<Reflector::Waiting>(&reflector.state())) {
      const std::string next =
          waiting->list ? fmt::format("list page {}", waiting->list->pages + 1) : "watch";
      return fmt::format("waiting {}s to {}", in_seconds(waiting->until - now), next);
    }
    return "idle";
  }

  Reflector reflector;
  TimePoint now = at(seconds(0));
  std::uint64_t latest = 0;

 private:
  std::string describe(const ReflectorAction& action) {
    if (const auto* list = std::get_if<StartList>(&action)) {
      latest = list->attempt;
      return list->continue_token.empty() ? "list" : fmt::format("list({})", list->continue_token);
    }
    if (const auto* watch = std::get_if<StartWatch>(&action)) {
      latest = watch->attempt;
      return fmt::format("watch({})", watch->resource_version);
    }
    if (const auto* cancel = std::get_if<CancelStream>(&action)) {
      EXPECT_EQ(cancel->attempt, latest);
      return "cancel";
    }
    return fmt::format("restarted({})", to_string(std::get<Restarted>(action).reason));
  }
  static std::string effect(CacheEffect effect) {
    switch (effect) {
      case CacheEffect::kNone:
        return ".";
      case CacheEffect::kStage:
        return "+stage";
      case CacheEffect::kSwapIn:
        return "+swap in";
      case CacheEffect::kSwapInRewound:
        return "+swap in rewound";
      case CacheEffect::kApply:
        return "+apply";
      case CacheEffect::kDropStage:
        return "+drop stage";
    }
    return "?";
  }
};

// Every (state, input) pair.

// Each state as the pairs start from it; attempt and version are the same as far as they can be.
Machine in_state(std::string_view state) {
  Machine m;
  if (state == "idle") return m;
  m.start();
  if (state == "listing") return m;
  if (state == "waiting to list") return m.list_failed(error_of(ErrorClass::kRetry)), m;
  if (state == "listing page 2" || state == "waiting for page 2") {
    m.page("110", "tok");
    if (state == "waiting for page 2") m.list_failed(error_of(ErrorClass::kRetry));
    return m;
  }
  m.page("100");
  if (state == "relisting") return m.ended(error_of(ErrorClass::kRelist, 410)), m.due(), m;
  if (state == "connecting") return m;
  if (state == "waiting to watch") return m.ended(error_of(ErrorClass::kRetry)), m;
  m.opened();
  if (state == "just opened") return m;
  m.data("105");
  if (state == "just watching") return m;
  m.pass(seconds(10));
  if (state == "watching") return m;
  ADD_FAILURE() << "no such state: " << state;
  return m;
}

const char* const kStates[] = {
    "idle",          "listing",  "listing page 2",  "relisting",          "connecting",      "just opened",
    "just watching", "watching", "waiting to list", "waiting for page 2", "waiting to watch"};

const std::map<std::string, decltype(ReflectorInput::what)>& inputs() {
  static const std::map<std::string, decltype(ReflectorInput::what)> all = {
      {"start", ReflectorInput::Start{}},
      {"page", ReflectorInput::PageListed{"110", ""}},
      {"page-more", ReflectorInput::PageListed{"110", "tok2"}},
      {"page-stale", ReflectorInput::PageListed{"90", ""}},
      {"list-retry", ReflectorInput::ListFailed{error_of(ErrorClass::kRetry, 500)}},
      {"list-gone", ReflectorInput::ListFailed{error_of(ErrorClass::kRelist, 410)}},
      {"list-forbidden", ReflectorInput::ListFailed{error_of(ErrorClass::kForbidden, 403)}},
      {"list-not-found", ReflectorInput::ListFailed{error_of(ErrorClass::kNotFound, 404)}},
      {"list-unreadable", ReflectorInput::ListFailed{error_of(ErrorClass::kTerminal)}},
      {"opened", ReflectorInput::WatchOpened{}},
      {"bytes", ReflectorInput::WatchData{""}},
      {"event", ReflectorInput::WatchData{"120"}},
      {"event-old", ReflectorInput::WatchData{"90"}},
      {"eof", ReflectorInput::WatchEnded{}},
      {"end-retry", ReflectorInput::WatchEnded{error_of(ErrorClass::kRetry, 500)}},
      {"end-gone", ReflectorInput::WatchEnded{error_of(ErrorClass::kRelist, 410)}},
      {"end-forbidden", ReflectorInput::WatchEnded{error_of(ErrorClass::kForbidden, 403)}},
      {"end-not-found", ReflectorInput::WatchEnded{error_of(ErrorClass::kNotFound, 404)}},
      {"end-bad-request", ReflectorInput::WatchEnded{error_of(ErrorClass::kTerminal, 400)}},
      {"end-shutdown", ReflectorInput::WatchEnded{error_of(ErrorClass::kShutdown)}},
      {"tick-early", ReflectorInput::Tick{}},
      {"tick-due", ReflectorInput::Tick{}},
      {"server-back", ReflectorInput::ServerIsBack{}},
  };
  return all;
}

struct Row {
  const char* state;
  const char* inputs;
  const char* then;  // state
  const char* does;  // actions and cache effect
};

#define WATCH_INPUTS                                                                                 \
  "opened bytes event event-old eof end-retry end-gone end-forbidden end-not-found end-bad-request " \
  "end-shutdown"
#define LIST_INPUTS \
  "page page-more page-stale list-retry list-gone list-forbidden list-not-found list-unreadable"

const Row kRows[] = {
    {"idle", "start", "listing page 1", "list ."},
    {"idle", LIST_INPUTS " " WATCH_INPUTS " tick-early tick-due server-back", "idle", "."},

    {"listing", "page page-stale", "connecting", "watch(PAGE) +swap in"},
    {"listing", "page-more", "listing page 2", "list(tok2) +stage"},
    {"listing", "list-retry", "waiting 0.25s to list page 1", "restarted(failed) ."},
    {"listing", "list-gone", "waiting 0.25s to list page 1", "restarted(expired) +drop stage"},
    {"listing", "list-forbidden", "waiting 30s to list page 1", "restarted(forbidden) ."},
    {"listing", "list-not-found list-unreadable", "waiting 0.25s to list page 1",
     "restarted(failed) +drop stage"},
    {"listing", "tick-due", "waiting 0.25s to list page 1", "restarted(lost) ."},
    {"listing", "start " WATCH_INPUTS " tick-early server-back", "listing page 1", "."},

    {"listing page 2", "page", "connecting", "watch(110) +swap in"},
    {"listing page 2", "page-stale", "waiting 0.25s to list page 1", "restarted(stale) +drop stage"},
    {"listing page 2", "page-more", "listing page 3", "list(tok2) +stage"},
    {"listing page 2", "list-retry", "waiting 0.25s to list page 2", "restarted(failed) ."},
    {"listing page 2", "list-gone", "waiting 0.25s to list page 1", "restarted(expired) +drop stage"},
    {"listing page 2", "list-forbidden", "waiting 30s to list page 2", "restarted(forbidden) ."},
    {"listing page 2", "list-not-found list-unreadable", "waiting 0.25s to list page 1",
     "restarted(failed) +drop stage"},
    {"listing page 2", "tick-due", "waiting 0.25s to list page 2", "restarted(lost) ."},
    {"listing page 2", "start " WATCH_INPUTS " tick-early server-back", "listing page 2", "."},

    {"relisting", "page", "connecting", "watch(110) +swap in"},
    {"relisting", "page-stale", "waiting 0.5s to list page 1", "restarted(stale) +drop stage"},
    {"relisting", "page-more", "listing page 2", "list(tok2) +stage"},
    {"relisting", "list-retry", "waiting 0.5s to list page 1", "restarted(failed) ."},
    {"relisting", "list-gone", "waiting 0.5s to list page 1", "restarted(expired) +drop stage"},
    {"relisting", "list-forbidden", "waiting 30s to list page 1", "restarted(forbidden) ."},
    {"relisting", "list-not-found list-unreadable", "waiting 0.5s to list page 1",
     "restarted(failed) +drop stage"},
    {"relisting", "tick-due", "waiting 0.5s to list page 1", "restarted(lost) ."},
    {"relisting", "start " WATCH_INPUTS " tick-early server-back", "listing page 1", "."},

    {"connecting", "opened", "watching, no event", "."},
    {"connecting", "bytes", "watching, no event", "+apply"},
    {"connecting", "event event-old", "watching", "+apply"},
    {"connecting", "eof end-retry end-shutdown", "waiting 0.25s to watch", "cancel restarted(failed) ."},
    {"connecting", "end-gone", "waiting 0.25s to list page 1", "cancel restarted(expired) ."},
    {"connecting", "end-forbidden", "waiting 30s to watch", "cancel restarted(forbidden) ."},
    {"connecting", "end-not-found end-bad-request", "waiting 0.25s to list page 1",
     "cancel restarted(failed) ."},
    {"connecting", "tick-due", "waiting 0.25s to watch", "cancel restarted(lost) ."},
    {"connecting", "start " LIST_INPUTS " tick-early server-back", "connecting", "."},

    {"just opened", "opened", "watching, no event", "."},
    {"just opened", "bytes", "watching, no event", "+apply"},
    {"just opened", "event event-old", "watching", "+apply"},
    {"just opened", "eof", "waiting 0.25s to watch", "cancel restarted(short) ."},
    {"just opened", "end-retry end-shutdown", "waiting 0.25s to watch", "cancel restarted(failed) ."},
    {"just opened", "end-gone", "waiting 0.25s to list page 1", "cancel restarted(expired) ."},
    {"just opened", "end-forbidden", "waiting 30s to watch", "cancel restarted(forbidden) ."},
    {"just opened", "end-not-found end-bad-request", "waiting 0.25s to list page 1",
     "cancel restarted(failed) ."},
    {"just opened", "tick-due", "waiting 0.25s to list page 1", "cancel restarted(lost) ."},
    {"just opened", "start " LIST_INPUTS " tick-early server-back", "watching, no event", "."},

    {"just watching", "opened", "watching", "."},
    {"just watching", "bytes event event-old", "watching", "+apply"},
    {"just watching", "eof", "waiting 0.25s to watch", "cancel restarted(short) ."},
    {"just watching", "end-retry end-shutdown", "waiting 0.25s to watch", "cancel restarted(failed) ."},
    {"just watching", "end-gone", "waiting 0.25s to list page 1", "cancel restarted(expired) ."},
    {"just watching", "end-forbidden", "waiting 30s to watch", "cancel restarted(forbidden) ."},
    {"just watching", "end-not-found end-bad-request", "waiting 0.25s to list page 1",
     "cancel restarted(failed) ."},
    {"just watching", "tick-due", "connecting", "cancel restarted(lost) watch(105) ."},
    {"just watching", "start " LIST_INPUTS " tick-early server-back", "watching", "."},

    {"watching", "opened", "watching", "."},
    {"watching", "bytes event event-old", "watching", "+apply"},
    {"watching", "eof", "connecting", "cancel restarted(closed) watch(105) ."},
    {"watching", "end-retry end-shutdown", "connecting", "cancel restarted(failed) watch(105) ."},
    {"watching", "end-gone", "listing page 1", "cancel restarted(expired) list ."},
    {"watching", "end-forbidden", "waiting 30s to watch", "cancel restarted(forbidden) ."},
    {"watching", "end-not-found end-bad-request", "listing page 1", "cancel restarted(failed) list ."},
    {"watching", "tick-due", "connecting", "cancel restarted(lost) watch(105) ."},
    {"watching", "start " LIST_INPUTS " tick-early server-back", "watching", "."},

    {"waiting to list", "tick-due", "listing page 1", "list ."},
    {"waiting to list", "start " LIST_INPUTS " " WATCH_INPUTS " tick-early server-back",
     "waiting 0.25s to list page 1", "."},
    {"waiting for page 2", "tick-due", "listing page 2", "list(tok) ."},
    {"waiting for page 2", "start " LIST_INPUTS " " WATCH_INPUTS " tick-early server-back",
     "waiting 0.25s to list page 2", "."},
    {"waiting to watch", "tick-due", "connecting", "watch(100) ."},
    {"waiting to watch", "start " LIST_INPUTS " " WATCH_INPUTS " tick-early server-back",
     "waiting 0.25s to watch", "."},
};

std::vector<std::string> words(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> out;
  for (std::string word; in >> word;) out.push_back(word);
  return out;
}

TEST(ReflectorTable, EveryPairOfStateAndInput) {
  std::set<std::pair<std::string, std::string>> seen;
  for (const Row& row : kRows) {
    for (const std::string& input : words(row.inputs)) {
      SCOPED_TRACE(fmt::format("{} <- {}", row.state, input));
      EXPECT_TRUE(seen.emplace(row.state, input).second) << "this pair is there twice";
      Machine m = in_state(row.state);
      if (input == "tick-due" && m.reflector.next_deadline()) m.now = *m.reflector.next_deadline();
      std::string expected = row.does;
      if (const auto at = expected.find("PAGE"); at != std::string::npos) {
        expected.replace(at, 4, input == "page" ? "110" : "90");
      }
      EXPECT_EQ(m.step(inputs().at(input)), expected);
      EXPECT_EQ(m.state(), row.then);
      if (m.state() != "idle") {
        ASSERT_TRUE(m.reflector.next_deadline());
        EXPECT_GT(*m.reflector.next_deadline(), m.now) << "a deadline must lie ahead";
      }
    }
  }
  for (const char* state : kStates) {
    for (const auto& [input, what] : inputs()) {
      EXPECT_TRUE(seen.contains({state, input})) << "missing: " << state << " <- " << input;
    }
  }
}

TEST(ReflectorTable, AnAnswerToASupersededAttemptChangesNothing) {
  for (const char* state : kStates) {
    for (const auto& [name, what] : inputs()) {
      if (std::holds_alternative<ReflectorInput::Start>(what) ||
          std::holds_alternative<ReflectorInput::Tick>(what) ||
          std::holds_alternative<ReflectorInput::ServerIsBack>(what)) {
        continue;
      }
      SCOPED_TRACE(fmt::format("{} <- {}", state, name));
      Machine m = in_state(state);
      const std::string before = m.state();
      const std::string version = m.reflector.resource_version();
      EXPECT_EQ(m.step(what, m.latest + 1), ".");
      if (m.latest > 0) {
        EXPECT_EQ(m.step(what, m.latest - 1), ".");
      }
      EXPECT_EQ(m.state(), before);
      EXPECT_EQ(m.reflector.resource_version(), version);
    }
  }
}

// Stories.

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

TEST(Reflector, AListThatSucceedsDoesNotResetTheBackoffOfAWatchThatDoesNot) {
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

TEST(Reflector, AnEventOnEachWatchThatEndsAtOnceDoesNotResetTheBackoff) {
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

TEST(Reflector, AStaleListIsRefusedUntilHistoryMustHaveBeenRewound) {
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

TEST(Reflector, AListWithoutEndIsGivenUp) {
  Machine m;
  m.start();
  for (int i = 1; i < Reflector::kMaxPages; ++i) ASSERT_EQ(m.page("5", "again"), "list(again) +stage");
  EXPECT_EQ(m.page("5", "again"), "restarted(failed) +drop stage");
  EXPECT_THAT(m.reflector.last_error()->message, HasSubstr("2000 pages"));
  EXPECT_EQ(m.due(), "list .");
}

TEST(Reflector, ATickThatComesLateDoesNotAddUp) {
  Machine m = in_state("waiting to list");
  m.pass(minutes(30));
  EXPECT_EQ(m.tick(), "list .");
  EXPECT_EQ(*m.reflector.next_deadline(), m.now + seconds(40));
}

}  // namespace
}  // namespace poolwarden::kube
