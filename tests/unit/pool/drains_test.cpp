// Whom a pool drains, and when it lets go.
#include "api/names.h"
#include "fleet.h"
#include "pool/pod_labels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

TEST_F(Fleet, TheLeastBusyGoWhenTheirReplicaSetWantsFewer) {
  make({3, 0, 7});
  scale_replica_set(1);
  settle(10);
  EXPECT_THAT(draining(), ElementsAre("old-a", "old-b"));
  EXPECT_THAT(served(), ElementsAre("old-c"));
  ASSERT_EQ(notes.size(), 2U);
  EXPECT_EQ(notes[0].event.reason, "DrainStarted");
  EXPECT_THAT(notes[1].event.message,
              HasSubstr("ReplicaSet set has 2 pods too many; it had the fewest requests in flight, 0 "
                        "(the others: 3, 7)"));
  const auto& status = world.pool.status;
  EXPECT_EQ(status.draining_replicas, 2);
  EXPECT_EQ(status.serving_replicas, 1);
  EXPECT_EQ(status.replicas, 3) << "what an autoscaler divides by";
  EXPECT_EQ(status.endpoints[0].state, "draining");
  EXPECT_EQ(status.endpoints[0].reason, "ScaleDown");
  EXPECT_EQ(status.endpoints[0].in_flight, 3);
  EXPECT_EQ(status.endpoints[0].deadline, status.endpoints[0].since + std::chrono::seconds{300});
}

TEST_F(Fleet, EachIsReleasedAsSoonAsItIsIdle) {
  make({3, 0, 7});
  scale_replica_set(1);
  pass_seconds(10, 12);
  EXPECT_THAT(drained(), ElementsAre("old-b"));
  EXPECT_THAT(draining(), ElementsAre("old-a"));
  EXPECT_EQ(world.pod("old-b").drain_annotations().deletion_cost, api::kLowestDeletionCost);
  load["old-a-uid"] = 0;
  pass_seconds(13, 14);
  EXPECT_THAT(drained(), ElementsAre("old-a", "old-b"));
  EXPECT_THAT(steps(), ElementsAre(DrainResult::kStarted, DrainResult::kStarted, DrainResult::kCompleted,
                                   DrainResult::kCompleted));
}

TEST_F(Fleet, OneThatIsNeverIdleGoesWhenItsTimeIsUp) {
  make({1, 1});
  scale_replica_set(1);
  pass_seconds(10, 309);
  EXPECT_THAT(draining(), ElementsAre("old-a"));
  settle(310);
  EXPECT_THAT(drained(), ElementsAre("old-a"));
  EXPECT_EQ(notes.back().event.reason, "DrainTimedOut");
  EXPECT_THAT(notes.back().event.message, HasSubstr("with 1 in flight"));
}

TEST_F(Fleet, WhatCannotBeReadIsNotIdle) {
  make({1, 1});
  load.clear();
  scale_replica_set(1);
  pass_seconds(10, 309);
  EXPECT_THAT(draining(), ElementsAre("old-a"));
  EXPECT_FALSE(world.pool.status.endpoints[0].in_flight);
  EXPECT_EQ(world.pool.status.endpoints[0].message, "connection refused");
  settle(310);
  EXPECT_THAT(notes.back().event.message, HasSubstr("unknown: connection refused"));
}

TEST_F(Fleet, WithoutTimeItIsReleasedAtOnceAndSoItIsSaid) {
  make({5, 5});
  world.pool.drain.timeout = std::chrono::seconds{0};
  scale_replica_set(1);
  settle(10);
  EXPECT_THAT(drained(), ElementsAre("old-a"));
  EXPECT_THAT(notes[0].event.message, HasSubstr("spec.drain.timeoutSeconds is 0"));
}

TEST_F(Fleet, RaisingReplicasTakesTheLastToGoBackFirst) {
  make({1, 2, 3, 4});
  scale_replica_set(3);
  settle(10);
  scale_replica_set(1);
  settle(20);
  ASSERT_THAT(draining(), ElementsAre("old-a", "old-b", "old-c"));
  scale_replica_set(3);
  settle(30);
  EXPECT_THAT(draining(), ElementsAre("old-a"));
  scale_replica_set(4);
  settle(40);
  EXPECT_THAT(served(), ElementsAre("old-a", "old-b", "old-c", "old-d"));
  for (const api::Pod& pod : world.pods) {
    EXPECT_EQ(serving(pod), "true");
    EXPECT_EQ(pod.annotations, nullptr) << "no annotation outlives its reason: " << pod.name;
  }
}

TEST_F(Fleet, ACostThatWasThereIsRespectedAndPutBack) {
  make({0, 9});
  world.pod("old-b").annotations = std::make_shared<const api::DrainAnnotations>(api::DrainAnnotations{
      .started = {}, .reason = {}, .request = {}, .saved_cost = {}, .deletion_cost = "-3"});
  scale_replica_set(1);
  settle(10);
  EXPECT_THAT(draining(), ElementsAre("old-b")) << "someone would rather lose it";
  load["old-b-uid"] = 0;
  pass_seconds(11, 13);
  ASSERT_THAT(drained(), ElementsAre("old-b"));
  EXPECT_EQ(world.pod("old-b").drain_annotations().saved_cost, "-3");
  scale_replica_set(2);
  settle(14);
  EXPECT_EQ(world.pod("old-b").drain_annotations().deletion_cost, "-3");
  EXPECT_FALSE(world.pod("old-b").drain_annotations().saved_cost);
}

TEST_F(Fleet, ACostThatIsSetMeanwhileIsPutBackInstead) {
  make({0, 9});
  scale_replica_set(1);
  pass_seconds(10, 13);
  ASSERT_THAT(drained(), ElementsAre("old-a"));
  api::DrainAnnotations annotations = world.pod("old-a").drain_annotations();
  EXPECT_EQ(annotations.saved_cost, "") << "it had none";
  annotations.deletion_cost = "36";
  world.pod("old-a").annotations = std::make_shared<const api::DrainAnnotations>(annotations);
  settle(14);
  EXPECT_EQ(world.pod("old-a").drain_annotations().deletion_cost, api::kLowestDeletionCost);
  EXPECT_EQ(world.pod("old-a").drain_annotations().saved_cost, "36");
  scale_replica_set(2);
  settle(15);
  EXPECT_EQ(world.pod("old-a").drain_annotations().deletion_cost, "36");
  EXPECT_FALSE(world.pod("old-a").drain_annotations().saved_cost);
}

TEST_F(Fleet, APodThatNeverServedIsTakenInstead) {
  make({1, 2, 3});
  world.pod("old-c").serving.reset();
  world.pod("old-c").ready = api::Tristate::kFalse;
  scale_replica_set(2);
  settle(10);
  EXPECT_THAT(draining(), IsEmpty());
  scale_replica_set(1);
  settle(11);
  EXPECT_THAT(draining(), ElementsAre("old-a"));
}

// Its ReplicaSet asks for it before all others, whatever they cost.
TEST_F(Fleet, APodThatTurnedUnreadyDrainsFirst) {
  make({1, 2, 3});
  world.pod("old-c").ready = api::Tristate::kFalse;
  settle(5);
  EXPECT_EQ(world.pod("old-c").serving, "finishing");
  EXPECT_EQ(world.pod("old-c").drain_annotations().started, api::to_rfc3339(at_second(5).wall));
  scale_replica_set(2);
  settle(10);
  EXPECT_THAT(draining(), ElementsAre("old-c"));
  EXPECT_EQ(world.pod("old-c").drain_annotations().started, api::to_rfc3339(at_second(5).wall))
      << "its time counts from when it turned unready";
  scale_replica_set(1);
  settle(11);
  EXPECT_THAT(draining(), ElementsAre("old-a", "old-c"));
}

TEST_F(Fleet, APodThatTurnedUnready_IsLetGoWhenNobodyListens) {
  make({1, 2, 3});
  world.pod("old-c").ready = api::Tristate::kFalse;
  settle(5);
  world.loads.request("old-c-uid", true, seconds{1}, at_second(5).mono);
  world.loads.began("old-c-uid", at_second(5).mono);
  world.loads.took("old-c-uid", std::nullopt, "refused the connection", at_second(6).mono, true);
  settle(7);
  EXPECT_EQ(world.pod("old-c").serving, "false");
  EXPECT_FALSE(world.pod("old-c").drain_annotations().started);
}

TEST_F(Fleet, OneThatIsBusyWhenItsTimeIsUp_IsKeptWhereThePoolSaysSo) {
  make({1, 2});
  world.pool.drain.on_timeout = api::OnTimeout::kKeep;
  scale_replica_set(1);
  settle(10);
  settle(400);
  EXPECT_THAT(draining(), ElementsAre("old-a"));
  EXPECT_EQ(condition(world.pool.status, "DisruptionSafe").reason, "DrainsKept");
  settle(90'000);
  EXPECT_THAT(drained(), ElementsAre("old-a")) << "no pool keeps one for longer than the operator lets it";
}

TEST_F(Fleet, ASiblingThatFailsMeanwhileSavesTheVictim) {
  make({1, 2, 3});
  scale_replica_set(2);
  settle(10);
  ASSERT_THAT(draining(), ElementsAre("old-a"));
  world.pod("old-c").ready = api::Tristate::kFalse;
  settle(11);
  EXPECT_THAT(served(), ElementsAre("old-a", "old-b"));
  ASSERT_GE(notes.size(), 2U);
  EXPECT_EQ(notes[notes.size() - 2].step, DrainResult::kCancelled) << "first: there is one too many, not two";
  EXPECT_EQ(notes.back().step, DrainResult::kStarted);
  EXPECT_THAT(draining(), ElementsAre("old-c"));
}

TEST_F(Fleet, AVictimThatTurnsUnreadyGoesOnDraining) {
  make({1, 2});
  scale_replica_set(1);
  settle(10);
  world.pod("old-a").ready = api::Tristate::kFalse;
  settle(11);
  EXPECT_THAT(draining(), ElementsAre("old-a")) << "its requests may be answered yet";
  load["old-a-uid"] = 0;
  pass_seconds(12, 14);
  EXPECT_THAT(drained(), ElementsAre("old-a"));
}

TEST_F(Fleet, AVictimThatIsGoneIsMadeUpForByNobody) {
  make({1, 2, 3});
  scale_replica_set(2);
  settle(10);
  ASSERT_THAT(draining(), ElementsAre("old-a"));
  world.pod("old-a").deletion_timestamp = api::Timestamp{};
  settle(11);
  EXPECT_THAT(draining(), IsEmpty());
  EXPECT_THAT(served(), ElementsAre("old-b", "old-c"));
}

TEST_F(Fleet, AVictimThatIsRelabelledIsNoLongerOurs) {
  make({1, 2});
  scale_replica_set(1);
  settle(10);
  world.pod("old-a") = with_labels(world.pod("old-a"), {{"app", "other"}});
  settle(11);
  EXPECT_EQ(world.pod("old-a").serving, std::nullopt);
  EXPECT_EQ(world.pod("old-a").annotations, nullptr);
}

TEST_F(Fleet, TwoReplicaSetsOfARolloutDrainTheirOwn) {
  make({5, 5, 5});
  add_set("new", "new", {0, 0}, 2);
  world.superseded = {"set-uid"};
  settle(5);
  scale_replica_set(1);
  settle(10);
  EXPECT_THAT(draining(), ElementsAre("old-a", "old-b")) << "and no idle pod of the new one";
  EXPECT_EQ(world.pod("old-a").drain_annotations().reason, "Rollout");
}

TEST_F(Fleet, PodsThatAReplicaSetMadeSinceItWasLastSeenAreNotTooMany) {
  make({5, 5, 0});
  world.replica_sets[0].replicas = 2;  // as it was, before its Deployment went from two to three
  world.sets_outdated = true;
  settle(10);
  EXPECT_THAT(draining(), IsEmpty());
  world.sets_outdated = false;
  settle(11);
  EXPECT_THAT(draining(), ElementsAre("old-c"));
}

TEST_F(Fleet, WithoutTheGateScalingDownIsPlain) {
  for (const Gate gate : {Gate::kMissing, Gate::kEdited, Gate::kUnseen}) {
    make({1, 2});
    world.gate = gate;
    scale_replica_set(1);
    settle(10);
    EXPECT_THAT(draining(), IsEmpty());
    world.gate = Gate::kPresent;
  }
}

TEST_F(Fleet, GateUnseenOrEdited_DrainsOnceSurplusLasts) {
  for (const Gate gate : {Gate::kUnseen, Gate::kEdited}) {
    make({1, 2});
    world.gate = gate;
    world.surplus_lasts = false;
    scale_replica_set(1);
    settle(10);
    EXPECT_THAT(draining(), IsEmpty());
    EXPECT_TRUE(world.decide(10).look_again) << "it may last without another event";
    world.surplus_lasts = true;
    settle(15);
    EXPECT_THAT(draining(), ElementsAre("old-a"));
  }
}

TEST_F(Fleet, AGateThatGoesEndsWhatItHeld) {
  make({1, 2});
  scale_replica_set(1);
  settle(10);
  ASSERT_THAT(draining(), ElementsAre("old-a"));
  world.gate = Gate::kMissing;
  settle(11);
  EXPECT_THAT(served(), ElementsAre("old-a", "old-b"));
}

TEST_F(Fleet, APersonsRequestIsHeededUntilItIsTakenBack) {
  make({2, 1});
  const auto request = [this](std::optional<std::string> text) {
    api::DrainAnnotations annotations = world.pod("old-a").drain_annotations();
    annotations.request = std::move(text);
    world.pod("old-a").annotations = std::make_shared<const api::DrainAnnotations>(annotations);
  };
  request("requested");
  load["old-a-uid"] = 0;
  pass_seconds(10, 13);
  EXPECT_THAT(drained(), ElementsAre("old-a"));
  EXPECT_EQ(world.pod("old-a").drain_annotations().reason, "Requested");
  request(std::nullopt);
  settle(14);
  EXPECT_THAT(served(), ElementsAre("old-a", "old-b"));
}

TEST_F(Fleet, ALabelThatAPersonSetIsPutBackAndSaid) {
  for (const char* label : {"drained", "draining"}) {
    make({2, 1});
    world.pod("old-a").serving = label;
    settle(10);
    EXPECT_EQ(serving(world.pod("old-a")), "true");
    EXPECT_EQ(notes.back().event.reason, "OverwriteUndone");
  }
}

TEST_F(Fleet, WhileALabelIsBeingWrittenNobodyElseIsChosen) {
  make({1, 2, 3});
  scale_replica_set(2);
  world.labels_under_way["old-c-uid"] = "draining";
  settle(10);
  EXPECT_THAT(draining(), IsEmpty());
  EXPECT_THAT(served(), ElementsAre("old-a", "old-b"));
}

TEST_F(Fleet, AnotherPoolsDrainIsFollowedAndNotTouched) {
  make({1, 2});
  another_pool_drains("old-a");
  settle(10);
  EXPECT_THAT(served(), ElementsAre("old-b"));
  EXPECT_THAT(draining(), ElementsAre("old-a"));
}

TEST_F(Fleet, APodOfTwoPoolsDrainsAsTheOneThatAsksForMore) {
  make({0, 5});
  world.pool.drain = {.timeout = std::chrono::seconds{0}, .quiet_reads = 1, .poll = std::chrono::seconds{1}};
  world.shared_drains["old-a-uid"] = {.timeout = std::chrono::seconds{60},
                                      .quiet_reads = 4,
                                      .poll = std::chrono::seconds{2},
                                      .settle = std::chrono::seconds{7}};
  scale_replica_set(1);
  settle(10);
  EXPECT_THAT(draining(), ElementsAre("old-a"));
  const Plan plan = world.decide(11);
  ASSERT_EQ(plan.readings.size(), 1U);
  EXPECT_EQ(plan.readings[0].poll, std::chrono::seconds{2});
  EXPECT_EQ(plan.readings[0].settle, std::chrono::seconds{7});
  EXPECT_EQ(world.pool.status.endpoints[0].deadline, at_second(70).wall);
  pass_seconds(11, 13);
  EXPECT_THAT(drained(), IsEmpty());
  pass_seconds(14, 16);
  EXPECT_THAT(drained(), ElementsAre("old-a"));
}

AwaitedConsumer edge(std::int64_t has, std::int64_t wanted) {
  AwaitedConsumer out;
  out.name = "edge-1";
  out.kind = "haproxy";
  out.has = has;
  out.wanted = wanted;
  return out;
}

TEST_F(Fleet, WhoIsAwaitedByAConsumerIsNotReleased) {
  make({0, 5});
  scale_replica_set(1);
  world.confirmations["old-a-uid"] = {.by_consumers = true, .awaits = edge(3, 4)};
  pass_seconds(10, 60);
  EXPECT_THAT(draining(), ElementsAre("old-a"));
  ASSERT_EQ(world.pool.status.endpoints.size(), 1U);
  EXPECT_EQ(world.pool.status.endpoints[0].message,
            "waits for consumer edge-1 (haproxy) to confirm revision 4 of the list: it holds 3");
  world.confirmations["old-a-uid"].awaits.reset();
  pass_seconds(61, 61);
  EXPECT_THAT(drained(), IsEmpty()) << "what was read before it confirmed does not count";
  pass_seconds(62, 64);
  EXPECT_THAT(drained(), ElementsAre("old-a"));
}

TEST_F(Fleet, TimeIsUpAlsoWhileAConsumerIsAwaited) {
  make({0, 5});
  scale_replica_set(1);
  world.confirmations["old-a-uid"] = {.by_consumers = true, .awaits = edge(3, 4)};
  pass_seconds(10, 310);
  EXPECT_THAT(drained(), ElementsAre("old-a"));
  ASSERT_FALSE(notes.empty());
  EXPECT_EQ(notes.back().event.reason, "DrainTimedOut");
  EXPECT_THAT(
      notes.back().event.message,
      testing::HasSubstr("consumer edge-1 (haproxy) had not confirmed that it sends the pod nothing"));
}

// Whose word is waited for, what the pool says of it, and what readings then wait for besides.
TEST_F(Fleet, SettlingIsForThoseWhoDoNotConfirm) {
  struct {
    const char* situation;
    std::optional<WithdrawalConfirmation> confirmation;
    bool is_set;
    int settle;
    bool confirmed;
  } const rows[] = {
      {"nobody confirms", std::nullopt, false, 1, true},
      {"nobody confirms, and it is set", std::nullopt, true, 7, true},
      {"all have confirmed", WithdrawalConfirmation{true, std::nullopt}, false, 0, true},
      {"one has not", WithdrawalConfirmation{true, edge(3, 4)}, false, 0, false},
      {"all have, and it is set", WithdrawalConfirmation{true, std::nullopt}, true, 7, true},
      {"one has not, and it is set", WithdrawalConfirmation{true, edge(3, 4)}, true, 7, false},
      {"not of each list", WithdrawalConfirmation{false, std::nullopt}, false, 1, true},
      {"not of each list, and one has not", WithdrawalConfirmation{false, edge(3, 4)}, false, 1, false}};
  make({0, 5});
  scale_replica_set(1);
  settle(10);
  ASSERT_THAT(draining(), ElementsAre("old-a"));
  for (const auto& row : rows) {
    world.confirmations.clear();
    if (row.confirmation) world.confirmations["old-a-uid"] = *row.confirmation;
    world.pool.drain.settle = std::chrono::seconds{row.is_set ? 7 : 1};
    world.pool.drain.settle_is_set = row.is_set;
    const Plan plan = world.decide(10);
    ASSERT_EQ(plan.readings.size(), 1U) << row.situation;
    EXPECT_EQ(plan.readings[0].settle.count(), row.settle) << row.situation;
    EXPECT_EQ(plan.readings[0].confirmed, row.confirmed) << row.situation;
  }
}

// A gateway may read either list.
TEST_F(Fleet, WhoIsOnTheListOfAnotherPoolIsNotReleased) {
  make({0, 5});
  scale_replica_set(1);
  world.listed_by_others = {"old-a-uid"};
  pass_seconds(10, 20);
  EXPECT_THAT(draining(), ElementsAre("old-a"));
  world.listed_by_others.clear();
  pass_seconds(21, 23);
  EXPECT_THAT(drained(), ElementsAre("old-a"));
}

// Whoever deletes pods may have it while its label says so, whatever else is known by then.
TEST_F(Fleet, ReleasedPodWantedAgain_IsListedAfterItsLabel) {
  make({0, 5});
  scale_replica_set(1);
  pass_seconds(10, 13);
  ASSERT_THAT(drained(), ElementsAre("old-a"));
  scale_replica_set(2);
  const Plan plan = world.decide(14);
  ASSERT_EQ(plan.pod_labels.size(), 1U);
  EXPECT_EQ(plan.pod_labels[0].serving, "true");
  EXPECT_FALSE(plan.publish);
  world.labels_under_way["old-a-uid"] = "true";
  EXPECT_FALSE(world.decide(14).publish) << "the write is on its way";
  world.labels_under_way.clear();
  world.apply(plan);
  settle(15);
  EXPECT_THAT(served(), ElementsAre("old-a", "old-b"));
}

TEST_F(Fleet, OneThatOnlyDrainsIsBackAtOnce) {
  make({1, 5});
  scale_replica_set(1);
  settle(10);
  ASSERT_THAT(draining(), ElementsAre("old-a"));
  scale_replica_set(2);
  EXPECT_TRUE(world.decide(11).publish);
}

// Pools that split the pods of one ReplicaSet, or share them, see the same surplus.
TEST_F(Fleet, DrainsOfAnotherPool_CountForTheReplicaSet) {
  make({0, 5});
  world.pods_outside_pool = 1;
  world.draining_outside_pool = 1;
  scale_replica_set(2);
  settle(10);
  EXPECT_THAT(draining(), IsEmpty()) << "one of three is too many, and drains already";
  scale_replica_set(1);
  settle(11);
  EXPECT_THAT(draining(), ElementsAre("old-a"));
  scale_replica_set(2);
  world.pod("old-a").resource_version = "7";
  const Plan both = world.decide(12);
  EXPECT_TRUE(both.pod_labels.empty()) << "two that began at once do not both give way";
}

TEST_F(Fleet, WhatALeaderDrainsIsNotDrainedTwice) {
  make({3, 1, 2});
  another_pool_drains("old-a");
  scale_replica_set(2);
  settle(10);
  EXPECT_THAT(draining(), ElementsAre("old-a"));
}

TEST_F(Fleet, MarksGoAlsoWhereALabelIsGone) {
  make({0, 5});
  scale_replica_set(1);
  pass_seconds(10, 13);
  ASSERT_THAT(drained(), ElementsAre("old-a"));
  world.pod("old-a").serving.reset();
  ASSERT_TRUE(is_marked(world.pod("old-a")));
  const api::PodLabelWrite write = take_off(world.pod("old-a"));
  const auto annotations = {api::kDrainStartedAnnotation, api::kDrainReasonAnnotation,
                            api::kSavedCostAnnotation};
  for (const std::string_view annotation : annotations) {
    const auto found = write.annotations.find(std::string{annotation});
    ASSERT_NE(found, write.annotations.end()) << annotation;
    EXPECT_EQ(found->second, std::nullopt) << annotation;
  }
}

// Its controller chooses among equals by itself, and may choose the one that is held each time.
TEST_F(Fleet, TheReleasedOneIsNotTaken_ItsEqualsDrainToo) {
  make({1, 2, 3});
  for (const char* pod : {"old-a", "old-b"}) {
    world.pod(pod).annotations = std::make_shared<const api::DrainAnnotations>(
        api::DrainAnnotations{.started = {},
                              .reason = {},
                              .request = {},
                              .saved_cost = {},
                              .deletion_cost = std::string(api::kLowestDeletionCost)});
  }
  scale(2);
  settle(10);
  ASSERT_THAT(draining(), ElementsAre("old-a"));
  load["old-a-uid"] = 0;
  pass_seconds(11, 70);
  ASSERT_THAT(drained(), ElementsAre("old-a"));
  EXPECT_THAT(draining(), IsEmpty());
  settle(80);
  EXPECT_THAT(draining(), ElementsAre("old-b"));
  EXPECT_THAT(served(), ElementsAre("old-c")) << "whom nobody has given that cost";
  load["old-b-uid"] = 0;
  pass_seconds(81, 85);
  ASSERT_THAT(drained(), ElementsAre("old-a", "old-b"));
  world.pod("old-b").deletion_timestamp = api::Timestamp{};
  pass_seconds(86, 87);
  EXPECT_THAT(served(), ElementsAre("old-a", "old-c"));
  EXPECT_EQ(world.pod("old-a").drain_annotations().deletion_cost, api::kLowestDeletionCost) << "as it was";
  EXPECT_FALSE(world.pod("old-a").drain_annotations().saved_cost);
}

TEST_F(Fleet, ScaledToZeroAllOfThemDrain) {
  make({0, 0});
  scale_replica_set(0);
  world.target->replicas = 0;
  world.pool.replicas = 0;
  pass_seconds(10, 13);
  EXPECT_THAT(drained(), UnorderedElementsAre("old-a", "old-b"));
}

TEST_F(Fleet, AnOperatorThatRestartsCarriesOn) {
  make({1, 2});
  scale_replica_set(1);
  settle(10);
  world.loads = EngineLoadTracker{};
  load["old-a-uid"] = 0;
  pass_seconds(200, 202);
  EXPECT_THAT(drained(), ElementsAre("old-a"));
  EXPECT_EQ(notes.back().took, std::chrono::seconds{192});
}

}  // namespace
}  // namespace poolwarden::pool
