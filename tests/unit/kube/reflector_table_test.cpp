// Every (state, input) pair of the reflector.
#include "reflector_machine.h"
#include "thing.h"

#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace poolwarden::kube {
namespace {

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

}  // namespace
}  // namespace poolwarden::kube
