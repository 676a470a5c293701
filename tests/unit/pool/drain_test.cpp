// The state machine of one drain: every state with every input.
#include "pool/drain.h"

#include "api/names.h"

#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

using std::chrono::seconds;

constexpr auto kScale = DrainReason::kScaleDown;
const api::Timestamp kStart{seconds{1'700'000'000}};
const api::Timestamp kLongAgo = *api::parse_rfc3339("1678-01-01T00:00:00Z");  // the first that is taken

DrainInput input(std::optional<DrainReason> cause, bool withdrawn, bool idle, int after) {
  return {.cause = cause,
          .withdrawn = withdrawn,
          .idle = idle,
          .so_far = seconds{std::max(after, 0)},
          .timeout = seconds{300},
          .now = kStart + seconds{after}};
}

struct Row {
  const char* situation;
  DrainState before;
  DrainInput given;
  DrainState after;
  DrainResult result;
};

std::vector<Row> drain_rows() {
  const NotDraining serves{};
  const Draining draining{kScale, kStart};
  const Drained drained{kScale, kStart};
  const Finishing finishing{kStart};
  const auto unfit = [](DrainInput given) {
    given.finishes = true;
    return given;
  };
  return {
      {"serves, turns unready", serves, unfit(input({}, false, false, 0)), finishing, DrainResult::kNone},
      {"serves, turns unready, to go", serves, unfit(input(kScale, false, false, 0)), draining,
       DrainResult::kStarted},
      {"unready, busy", finishing, unfit(input({}, true, false, 299)), finishing, DrainResult::kNone},
      {"unready, idle", finishing, unfit(input({}, true, true, 2)), serves, DrainResult::kNone},
      {"unready, idle, still on the list", finishing, unfit(input({}, false, true, 2)), finishing,
       DrainResult::kNone},
      {"unready, time is up", finishing, unfit(input({}, true, false, 300)), serves, DrainResult::kNone},
      {"unready, to go: its time counts from when it turned so", finishing,
       unfit(input(kScale, true, false, 100)), draining, DrainResult::kStarted},
      {"unready, by nobody's clock", Finishing{kStart + seconds{61}}, unfit(input({}, true, false, 0)),
       finishing, DrainResult::kNone},
      {"unready, and ready again", finishing, input({}, true, false, 5), serves, DrainResult::kNone},
      {"drains, wanted again, unready", draining, unfit(input({}, true, false, 5)), finishing,
       DrainResult::kCancelled},
      {"drained, wanted again, unready", drained, unfit(input({}, true, true, 900)), serves,
       DrainResult::kCancelled},

      {"serves, wanted", serves, input({}, false, false, 0), serves, DrainResult::kNone},
      {"serves, wanted, idle", serves, input({}, true, true, 900), serves, DrainResult::kNone},
      {"serves, to go", serves, input(kScale, false, false, 0), draining, DrainResult::kStarted},
      {"serves, to go, idle already", serves, input(kScale, true, true, 0), draining, DrainResult::kStarted},
      {"drains, busy", draining, input(kScale, true, false, 299), draining, DrainResult::kNone},
      {"drains, idle", draining, input(kScale, true, true, 2), drained, DrainResult::kCompleted},
      {"drains, idle, still on the list", draining, input(kScale, false, true, 2), draining,
       DrainResult::kNone},
      {"drains, time is up", draining, input(kScale, true, false, 300), drained, DrainResult::kTimedOut},
      {"drains, idle as time is up", draining, input(kScale, true, true, 300), drained,
       DrainResult::kCompleted},
      {"drains, time is up, still on the list", draining, input(kScale, false, false, 329), draining,
       DrainResult::kNone},
      {"drains, time is up, the list cannot be written", draining, input(kScale, false, false, 330), drained,
       DrainResult::kTimedOut},
      {"drains, wanted again", draining, input({}, true, false, 5), serves, DrainResult::kCancelled},
      {"drains, wanted again as it is idle", draining, input({}, true, true, 5), serves,
       DrainResult::kCancelled},
      {"drains, for another reason by now", draining, input(DrainReason::kNodeCordoned, true, false, 5),
       draining, DrainResult::kNone},
      {"drains, by a clock that is ahead", draining, input(kScale, true, false, -60), draining,
       DrainResult::kNone},
      {"drains, by nobody's clock", Draining{kScale, kStart + seconds{61}}, input(kScale, true, false, 0),
       draining, DrainResult::kNone},
      {"drains, since before there were pods", Draining{kScale, kLongAgo}, input(kScale, true, false, 0),
       Drained{kScale, kLongAgo}, DrainResult::kTimedOut},
      {"drained, not taken yet", drained, input(kScale, true, true, 900), drained, DrainResult::kNone},
      {"drained, busy after all", drained, input(kScale, true, false, 900), drained, DrainResult::kNone},
      {"drained, on the list by an edit", drained, input(kScale, false, false, 900), drained,
       DrainResult::kNone},
      {"drained, wanted again", drained, input({}, true, true, 900), serves, DrainResult::kCancelled},
  };
}

TEST(Drain, EveryStateWithEveryInput) {
  for (const Row& row : drain_rows()) {
    DrainInput given = row.given;
    given.so_far = elapsed(started(row.before), given.now);
    const DrainStep step = next(row.before, given);
    EXPECT_EQ(step.next, row.after) << row.situation;
    EXPECT_EQ(step.result, row.result) << row.situation;
  }
}

TEST(Drain, WithoutTimeItIsReleasedAsSoonAsItIsOffTheList) {
  DrainInput given = input(kScale, true, false, 0);
  given.timeout = seconds{0};
  EXPECT_EQ(next(Draining{kScale, kStart}, given).result, DrainResult::kTimedOut);
  given.withdrawn = false;
  EXPECT_EQ(next(Draining{kScale, kStart}, given).result, DrainResult::kNone);
}

TEST(Drain, StateIsWhatLabelAndAnnotationsSayTogether) {
  const api::DrainAnnotations none;
  api::DrainAnnotations started;
  started.started = api::to_rfc3339(kStart);
  started.reason = "Rollout";
  api::DrainAnnotations released = started;
  released.saved_cost = "";
  released.deletion_cost = std::string{api::kLowestDeletionCost};
  api::DrainAnnotations foreign_cost = released;
  foreign_cost.deletion_cost = "7";
  api::DrainAnnotations garbage = started;
  garbage.started = "yesterday";
  api::DrainAnnotations strange_reason = started;
  strange_reason.reason = "Whim";

  const DrainState serves = NotDraining{};
  const DrainState draining = Draining{DrainReason::kRollout, kStart};
  const DrainState drained = Drained{DrainReason::kRollout, kStart};
  struct {
    const char* situation;
    std::optional<std::string> label;
    api::DrainAnnotations annotations;
    DrainState state;
  } const rows[] = {
      {"no label", std::nullopt, none, serves},
      {"serving", "true", none, serves},
      {"withdrawn", "false", none, serves},
      {"serving, with annotations left over", "true", released, serves},
      {"draining", "draining", started, draining},
      {"drained", "drained", released, drained},
      {"drained, its cost written by another", "drained", foreign_cost, drained},
      {"draining, by a person", "draining", none, serves},
      {"drained, by a person", "drained", none, serves},
      {"one that drains, called drained by a person", "drained", started, draining},
      {"a time that is none", "draining", garbage, serves},
      {"a reason of a later release", "draining", strange_reason, Draining{DrainReason::kScaleDown, kStart}},
      {"unready", "finishing", started, Finishing{kStart}},
      {"unready, by a person", "finishing", none, serves},
      {"nonsense", "maybe", released, serves},
  };
  for (const auto& row : rows) EXPECT_EQ(drain_state(row.label, row.annotations), row.state) << row.situation;
}

}  // namespace
}  // namespace poolwarden::pool
