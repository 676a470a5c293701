// Each thing that may be seen of a pod that was asked to drain, and what a person is told.
#include "commands/drain_follow.h"

#include "examples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::commands {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

const std::chrono::steady_clock::time_point kAsked{};

api::Now after(int elapsed) {
  return {kAsked + seconds(elapsed), kNow};
}

PodView asked(std::string_view serving) {
  PodView out = ready_pod();
  if (serving == "draining") begin_drain(out);
  label(out, serving);
  annotate(out, api::kDrainRequestAnnotation, "requested");
  return out;
}
PodView reread_asked(std::string_view serving) {
  return reread(asked(serving));
}
PodView drained() {
  PodView out = asked("drained");
  drain(out);
  return out;
}
template <class Change>
PodView but(PodView out, Change change) {
  change(out);
  return out;
}

struct Row {
  const char* situation;
  DrainLook seen;
  DrainEnd end;
  const char* words;
};
void PrintTo(const Row& row, std::ostream* out) {
  *out << row.situation;
}

class Looks : public testing::TestWithParam<Row> {};
TEST_P(Looks, AreTold) {
  DrainFollow follow("uid-vllm-a", kAsked);
  DrainLook seen = GetParam().seen;
  if (seen.pod) seen.pod = reread(*seen.pod);
  const DrainStep step = follow.look(seen, after(1));
  EXPECT_EQ(step.end, GetParam().end);
  EXPECT_THAT(step.words, HasSubstr(GetParam().words));
  EXPECT_FALSE(step.unheeded);
}
INSTANTIATE_TEST_SUITE_P(
    Situations, Looks,
    testing::Values(
        Row{"nobody has begun", {asked("true"), {}}, DrainEnd::kNone, "waiting for the operator"},
        Row{"ready but not labelled yet",
            {but(asked(""), [](auto& p) { p.labels.erase("poolwarden.io/serving"); }), {}},
            DrainEnd::kNone,
            "waiting for the operator"},
        Row{"draining",
            {asked("draining"), draining("vllm-a")},
            DrainEnd::kNone,
            "draining for 12 s, 3 in flight, at most 288 s more"},
        Row{"draining, and the status lags behind",
            {asked("draining"), endpoint("vllm-a", "ready")},
            DrainEnd::kNone,
            "draining for 12 s, in flight not known"},
        Row{"draining, and the status has no room for it",
            {but(asked("draining"),
                 [](auto& p) { annotate(p, api::kDrainStartedAnnotation, "2026-11-22T11:59:00Z"); }),
             {}},
            DrainEnd::kNone,
            "draining for 60 s, in flight not known"},
        Row{"drained", {drained(), {}}, DrainEnd::kReleased, "drained"},
        Row{"drained, and its ReplicaSet takes it at once",
            {but(drained(), [](auto& p) { p.ends = ahead(30); }), {}},
            DrainEnd::kReleased,
            "drained"},
        Row{"never served and not ready",
            {but(not_ready_pod(), [](auto& p) { annotate(p, api::kDrainRequestAnnotation, "requested"); }),
             {}},
            DrainEnd::kReleased,
            "nothing to drain"},
        Row{"labelled drained by hand", {asked("drained"), {}}, DrainEnd::kNone, "waiting for the operator"},
        Row{"gone", {{}, {}}, DrainEnd::kGone, "gone"},
        Row{"replaced by a namesake",
            {but(asked("true"), [](auto& p) { p.uid = "other"; }), {}},
            DrainEnd::kGone,
            "another of its name"},
        Row{"deleted by a person",
            {but(asked("draining"), [](auto& p) { p.ends = ahead(30); }), {}},
            DrainEnd::kTerminating,
            "before it was drained"},
        Row{"someone took the request off",
            {but(asked("draining"), [](auto& p) { p.annotations.clear(); }), {}},
            DrainEnd::kCancelled,
            "took the request off"}));

TEST(DrainFollow, NoOperator_IsUnheededAfterTenSeconds) {
  DrainFollow follow("uid-vllm-a", kAsked);
  EXPECT_FALSE(follow.look({reread_asked("true"), {}}, after(9)).unheeded);
  EXPECT_TRUE(follow.look({reread_asked("true"), {}}, after(10)).unheeded);
}

TEST(DrainFollow, OnceBegunItIsHeeded) {
  DrainFollow follow("uid-vllm-a", kAsked);
  (void)follow.look({reread_asked("draining"), {}}, after(2));
  EXPECT_FALSE(follow.look({reread_asked("true"), {}}, after(60)).unheeded);
}

TEST(DrainFollow, TimeAloneIsNoNews) {
  DrainFollow follow("uid-vllm-a", kAsked);
  const auto first = follow.look({reread_asked("draining"), draining("vllm-a")}, {kAsked, kNow});
  const auto later = follow.look({reread_asked("draining"), draining("vllm-a")}, {kAsked, ahead(5)});
  EXPECT_NE(first.words, later.words);
  EXPECT_EQ(first.news, later.news);
  EndpointView fewer = draining("vllm-a");
  fewer.in_flight = 2;
  EXPECT_NE(follow.look({reread_asked("draining"), fewer}, {kAsked, ahead(5)}).news, later.news);
}

}  // namespace
}  // namespace poolwarden::commands
