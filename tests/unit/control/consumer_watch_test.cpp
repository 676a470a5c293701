#include "control/consumer_watch.h"

#include "control/off_list_marks.h"
#include "parts.h"

#include <gmock/gmock.h>

namespace poolwarden::control {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Pool "a" lists pod "p" at revision 5, pool "b" has nobody. Pod "q" drains and is on no list.
struct Confirming : Parts {
  Confirming() {
    list<Pools>({made_pool("a", "vllm"), made_pool("b", "other")});
    list<ConfigMaps>({made_list(made_pool("a", "vllm"), {"p"})});
    list<Pods>({made_pod("p", "vllm"), draining(made_pod("q", "vllm"))});
    list<ConsumerLeases>({});
    list_the_rest();
    record("a").list.read_all(*pool("a"), feeds.store<ConfigMaps>());
    open<ConsumerLeases>();
    look();
  }
  std::vector<std::string> silent;
  void look() {
    for (auto& one : router.look_at_consumers(now))
      silent.insert(silent.end(), one.names.begin(), one.names.end());
  }
  // Leases are gathered for a moment.
  std::vector<std::string> marked_soon() {
    pass_time(60ms);
    look();
    return marked();
  }
  pool::Snapshot snapshot(const std::string& of = "a") {
    return snapshots.build(record(of), *pool(of), false, now);
  }
  // What is said of pod "q": "time" where nobody confirms, whom it waits for, or "confirmed".
  std::string confirmation() {
    const auto seen = snapshot();
    const auto found = seen.confirmations.find("q-uid");
    if (found == seen.confirmations.end()) return "none";
    if (found->second.awaits) return found->second.awaits->name;
    return found->second.by_consumers ? "confirmed" : "time";
  }
};

TEST(ConsumerWatch, NewsOfAConsumer_MarksItsPoolOnly) {
  Confirming parts;
  parts.see<ConsumerLeases>(made_lease("edge", "a", {5}));
  EXPECT_THAT(parts.marked(), IsEmpty()) << "all consumers confirm within moments";
  EXPECT_THAT(parts.marked_soon(), ElementsAre("a"));
  parts.see<ConsumerLeases>(made_lease("edge", "a", {5}));
  EXPECT_THAT(parts.marked_soon(), IsEmpty()) << "a renewal";
  parts.see<ConsumerLeases>(made_lease("edge", "a", {6}));
  EXPECT_THAT(parts.marked_soon(), ElementsAre("a"));
  parts.see<ConsumerLeases>(made_lease("edge", "b", {6}));
  EXPECT_THAT(parts.marked_soon(), ElementsAre("a", "b"));
  parts.lose<ConsumerLeases>("edge");
  EXPECT_THAT(parts.marked_soon(), ElementsAre("b"));
  parts.see<ConsumerLeases>(made_lease("stray", "", {6}));
  parts.see<ConsumerLeases>(made_lease("another", "no-such-pool", {6}));
  EXPECT_THAT(parts.marked_soon(), IsEmpty());
}

TEST(ConsumerWatch, DrainingPodWaitsForWhoeverFollowsItsList) {
  Confirming parts;
  EXPECT_EQ(parts.confirmation(), "time");
  parts.see<ConsumerLeases>(made_lease("far", "b", {0}));
  EXPECT_EQ(parts.confirmation(), "time") << "a consumer of another pool";
  parts.see<ConsumerLeases>(made_lease("edge", "a", {4}));
  EXPECT_EQ(parts.confirmation(), "edge");
  parts.see<ConsumerLeases>(made_lease("edge", "a", {5}));
  EXPECT_EQ(parts.confirmation(), "confirmed");
  EXPECT_FALSE(parts.snapshot().confirmations.contains("p-uid")) << "it serves";
}

// The list goes on to change; the pod was off it long before.
TEST(ConsumerWatch, RevisionIsThatAtWhichThePodWasOffTheList) {
  Confirming parts;
  parts.see<ConsumerLeases>(made_lease("edge", "a", {5}));
  EXPECT_EQ(parts.confirmation(), "confirmed");
  parts.see<ConfigMaps>(made_list(made_pool("a", "vllm"), {"p"}, 9));
  EXPECT_EQ(parts.confirmation(), "confirmed");
  parts.see<ConfigMaps>(made_list(made_pool("a", "vllm"), {"p", "q"}, 10));
  EXPECT_FALSE(parts.snapshot().confirmations.at("q-uid").awaits)
      << "it is on the list, and so not withdrawn";
  parts.see<ConfigMaps>(made_list(made_pool("a", "vllm"), {"p"}, 11));
  EXPECT_EQ(parts.confirmation(), "edge") << "it has left the list again";
}

TEST(ConsumerWatch, PodOfTwoPools_BothListsCount) {
  Confirming parts;
  parts.see<Pools>(made_pool("c", "vllm"));
  parts.see<ConsumerLeases>(made_lease("edge", "a", {5}));
  EXPECT_EQ(parts.confirmation(), "time") << "nobody confirms for the other";
  parts.see<ConsumerLeases>(made_lease("late", "c", {0}));
  parts.see<ConfigMaps>(made_list(made_pool("c", "vllm"), {"p"}, 3));
  parts.record("a").off_list = {};
  EXPECT_EQ(parts.confirmation(), "late");
  parts.see<ConsumerLeases>(made_lease("late", "c", {3}));
  EXPECT_EQ(parts.confirmation(), "confirmed");
}

TEST(ConsumerWatch, FallsSilent_TheDrainGoesOn) {
  Confirming parts;
  parts.see<ConsumerLeases>(made_lease("edge", "a", {4}));
  parts.pass_time(10s);
  parts.see<ConsumerLeases>(made_lease("edge", "a", {4}));
  parts.marked_soon();
  ASSERT_EQ(parts.router.next_deadline(), parts.now.mono + 20s - 60ms) << "as it was seen first";
  parts.pass_time(20s - 60ms);
  parts.look();
  EXPECT_THAT(parts.silent, IsEmpty()) << "it was renewed";
  EXPECT_THAT(parts.marked(), IsEmpty());
  EXPECT_EQ(parts.confirmation(), "edge");
  parts.pass_time(10s);
  parts.look();
  EXPECT_THAT(parts.silent, ElementsAre("edge"));
  EXPECT_THAT(parts.marked(), ElementsAre("a"));
  EXPECT_EQ(parts.confirmation(), "time");
  EXPECT_EQ(parts.router.next_deadline(), std::nullopt);
}

TEST(ConsumerWatch, LeasesAreNotHeardOf_NobodyFallsSilent) {
  ConsumerWatch watch;
  kube::TimePoint now = Parts::kStart;
  NotedMetrics metrics;
  const auto tell = [&] {
    kube::Delta<api::ConsumerLease> delta;
    delta.after = std::make_shared<const api::ConsumerLease>(made_lease("edge", "a", {4}));
    watch.changed(delta, now, metrics);
  };
  tell();
  tell();
  const kube::ObjectKey pool{"default", "a"};
  EXPECT_EQ(watch.of(pool), nullptr) << "before they have been read";
  watch.look(ConsumerWatch::Hearing::kHears, now);
  EXPECT_NE(watch.of(pool), nullptr);
  watch.look(ConsumerWatch::Hearing::kBlind, now += 29s);
  EXPECT_THAT(watch.look(ConsumerWatch::Hearing::kBlind, now += 60s), IsEmpty());
  EXPECT_NE(watch.of(pool), nullptr) << "it is waited for";
  EXPECT_EQ(watch.next_deadline(), std::nullopt);
  watch.look(ConsumerWatch::Hearing::kBlind, now += 60s);
  EXPECT_EQ(watch.of(pool), nullptr) << "that has lasted: as if nobody confirmed";
  EXPECT_THAT(watch.look(ConsumerWatch::Hearing::kHears, now += 60s), IsEmpty());
  EXPECT_NE(watch.of(pool), nullptr);
  EXPECT_THAT(watch.look(ConsumerWatch::Hearing::kHears, now += 29s), IsEmpty());
  EXPECT_EQ(watch.look(ConsumerWatch::Hearing::kHears, now += 1s).size(), 1U);
  watch.look(ConsumerWatch::Hearing::kRefused, now);
  EXPECT_EQ(watch.of(pool), nullptr);
}

// It stood still, and has heard nobody.
TEST(ConsumerWatch, ProcessWasStopped_NobodyFallsSilent) {
  ConsumerWatch watch;
  NotedMetrics metrics;
  kube::Delta<api::ConsumerLease> delta;
  delta.after = std::make_shared<const api::ConsumerLease>(made_lease("edge", "a", {4}));
  for (int i = 0; i < 2; ++i) watch.changed(delta, Parts::kStart, metrics);
  watch.look(ConsumerWatch::Hearing::kHears, Parts::kStart);
  EXPECT_THAT(watch.look(ConsumerWatch::Hearing::kHears, Parts::kStart + 60s), IsEmpty());
  EXPECT_EQ(watch.next_deadline(), Parts::kStart + 90s);
}

TEST(ConsumerWatch, ConfirmationIsTimedFromTheAnsweredWrite) {
  Confirming parts;
  parts.see<ConsumerLeases>(made_lease("edge", "a", {5}));
  parts.router.consumers().list_written({"default", "a"}, 1, 6, parts.now.mono);
  parts.router.consumers().list_written({"default", "b"}, 1, 6, parts.now.mono);
  parts.pass_time(20ms);
  parts.see<ConsumerLeases>(made_lease("edge", "a", {6}));
  EXPECT_THAT(parts.metrics.confirmations, ElementsAre(20ms));
  parts.pass_time(10s);
  parts.see<ConsumerLeases>(made_lease("edge", "a", {6}));
  EXPECT_THAT(parts.metrics.confirmations, ElementsAre(20ms)) << "a renewal";
}

TEST(ConsumerWatch, LeasesMayNotBeRead_NothingWaitsForThem) {
  Parts parts;
  parts.list<Pools>({made_pool("a", "vllm")});
  parts.list<ConfigMaps>({made_list(made_pool("a", "vllm"), {"p"})});
  parts.list<Pods>({made_pod("p", "vllm"), draining(made_pod("q", "vllm"))});
  WatchedKinds::for_each([&]<class Kind>() {
    if constexpr (!std::is_same_v<Kind, ConsumerLeases>) {
      if (!parts.feeds.synced<Kind>()) parts.list<Kind>({});
    }
  });
  EXPECT_TRUE(parts.feeds.settled()) << "they are yet to be read";
  parts.forbid<ConsumerLeases>();
  EXPECT_TRUE(parts.feeds.settled());
  const auto seen = parts.snapshots.build(parts.record("a"), *parts.pool("a"), false, parts.now);
  EXPECT_FALSE(seen.confirmations.at("q-uid").by_consumers);
  EXPECT_TRUE(seen.watch_errors.empty()) << "no condition tells of it";
  ASSERT_FALSE(parts.out.logs.empty());
  EXPECT_THAT(parts.out.logs.back().fields.back().second, HasSubstr("drains wait for settleSeconds"));
}

TEST(OffListMarks, WhatAPassDoesNotAskForIsForgotten) {
  OffListMarks marks;
  const kube::ObjectKey pool{"default", "a"};
  const auto mark = [&](std::int64_t revision) {
    marks.begin_pass();
    const auto found = marks.mark("p", pool, {.by_shard = {revision}, .newest = revision}).by_shard.front();
    marks.end_pass();
    return found;
  };
  EXPECT_EQ(mark(5), 5);
  EXPECT_EQ(mark(9), 5);
  marks.begin_pass();
  marks.end_pass();
  EXPECT_EQ(mark(9), 9);
}

}  // namespace
}  // namespace poolwarden::control
