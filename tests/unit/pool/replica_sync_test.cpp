#include "pool/replica_sync.h"

#include "api/names.h"
#include "world.h"

#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

constexpr auto kUnset = std::nullopt;
constexpr auto kAgreed = SyncDirection::kAgreed;
constexpr auto kScaleTarget = SyncDirection::kPoolToTarget;
constexpr auto kAdopt = SyncDirection::kTargetToPool;

struct SyncRow {
  const char* situation;
  std::optional<std::int32_t> pool;
  std::int32_t target;
  std::optional<std::int32_t> status;  // status.syncedReplicas
  std::optional<std::int32_t> memory;  // what the operator remembers
  SyncDirection wanted;
};

// Pool unset, as agreed or changed; target as agreed or changed; agreed before: never, as status says, as
// memory says, or memory against status.
const SyncRow kRows[] = {
    {"a new pool without a count takes the target's", kUnset, 3, kUnset, kUnset, kAdopt},
    {"a new pool with the target's own count", 3, 3, kUnset, kUnset, kAgreed},
    {"a new pool with another count wins", 5, 3, kUnset, kUnset, kScaleTarget},
    {"at rest", 3, 3, 3, kUnset, kAgreed},
    {"someone scaled the pool", 5, 3, 3, kUnset, kScaleTarget},
    {"someone scaled the target", 3, 5, 3, kUnset, kAdopt},
    {"both were scaled alike", 5, 5, 3, kUnset, kAgreed},
    {"both were scaled apart: the pool wins", 5, 4, 3, kUnset, kScaleTarget},
    {"the pool's count was taken away, target untouched", kUnset, 3, 3, kUnset, kAdopt},
    {"the pool's count was taken away, target scaled", kUnset, 5, 3, kUnset, kAdopt},
    {"at rest, by memory", 3, 3, kUnset, 3, kAgreed},
    {"someone scaled the pool, by memory", 5, 3, kUnset, 3, kScaleTarget},
    {"someone scaled the target, by memory", 3, 5, kUnset, 3, kAdopt},
    {"both were scaled alike, by memory", 5, 5, kUnset, 3, kAgreed},
    {"both were scaled apart, by memory", 5, 4, kUnset, 3, kScaleTarget},
    {"unset, by memory", kUnset, 3, kUnset, 3, kAdopt},
    {"unset and target scaled, by memory", kUnset, 5, kUnset, 3, kAdopt},
    {"at rest, status still tells the agreement before", 3, 3, 2, 3, kAgreed},
    {"target scaled, status still tells the agreement before", 3, 5, 2, 3, kAdopt},
    {"target scaled to the agreement before, which status still tells", 3, 2, 2, 3, kAdopt},
    {"pool scaled, status still tells the agreement before", 5, 3, 2, 3, kScaleTarget},
    {"pool scaled to the agreement before, which status still tells", 2, 3, 2, 3, kScaleTarget},
    {"both apart, status still tells the agreement before", 5, 4, 2, 3, kScaleTarget},
    {"unset, status still tells the agreement before", kUnset, 3, 2, 3, kAdopt},
    {"pool scaled to nought", 0, 3, 3, kUnset, kScaleTarget},
    {"target scaled to nought", 3, 0, 3, kUnset, kAdopt},
    {"target at nought, pool unset", kUnset, 0, kUnset, kUnset, kAdopt},
};

TEST(ReplicaSync, WhoeverScaledLastWins) {
  for (const SyncRow& row : kRows) {
    EXPECT_EQ(direction(row.pool, row.target, row.memory ? row.memory : row.status), row.wanted)
        << row.situation;
  }
}

TEST(ReplicaSync, ThePlanSaysSo) {
  for (const SyncRow& row : kRows) {
    World world;
    world.pool.replicas = row.pool;
    world.target->replicas = row.target;
    world.pool.status.synced_replicas = row.status;
    if (row.memory) world.agreed = api::Agreement{*row.memory, world.target->uid};
    const Plan plan = world.decide();
    EXPECT_EQ(plan.scale_target.has_value(), row.wanted == kScaleTarget) << row.situation;
    EXPECT_EQ(plan.scale_event.has_value(), row.wanted == kScaleTarget) << row.situation;
    EXPECT_EQ(plan.adopt_replicas.has_value(), row.wanted == kAdopt) << row.situation;
    EXPECT_EQ(plan.adopt_event.has_value(), row.wanted == kAdopt) << row.situation;
    EXPECT_EQ(plan.agreed.has_value(), row.wanted == kAgreed) << row.situation;
    if (plan.scale_target) {
      EXPECT_EQ(plan.scale_target->from, row.target) << row.situation;
      EXPECT_EQ(plan.scale_target->to, row.pool) << row.situation;
      EXPECT_EQ(plan.scale_target->resource_version, "50") << row.situation;
    }
    if (plan.adopt_replicas) {
      EXPECT_EQ(plan.adopt_replicas->from, row.pool) << row.situation;
      EXPECT_EQ(plan.adopt_replicas->to, row.target) << row.situation;
    }
    ASSERT_TRUE(plan.status) << row.situation;
    EXPECT_EQ(plan.status->synced_replicas, row.wanted == kAgreed ? std::optional{row.target} : row.status)
        << row.situation << ": status tells only what both sides agree on already";
  }
}

TEST(ReplicaSync, ConvergesFromEveryRow) {
  for (const SyncRow& row : kRows) {
    World world;
    world.pool.replicas = row.pool;
    world.target->replicas = row.target;
    world.pool.status.synced_replicas = row.status;
    if (row.memory) world.agreed = api::Agreement{*row.memory, world.target->uid};
    world.settle();
    const auto wanted = row.wanted == kScaleTarget ? *row.pool : row.target;
    EXPECT_EQ(world.pool.replicas, wanted) << row.situation;
    EXPECT_EQ(world.target->replicas, wanted) << row.situation;
    EXPECT_EQ(world.pool.status.synced_replicas, wanted) << row.situation;
    EXPECT_EQ(world.pool.status.synced_target, world.target->uid) << row.situation;
    world.agreed.reset();  // a restart
    EXPECT_TRUE(world.decide().empty()) << row.situation;
  }
}

struct AnotherTargetRow {
  const char* situation;
  std::optional<std::int32_t> pool;
  std::int32_t target;
  std::optional<api::Agreement> status;
  std::optional<api::Agreement> memory;
  SyncDirection wanted;
};

// A Deployment that was made again under its name, or another that the pool is pointed at.
TEST(ReplicaSync, WhatWasAgreedWithAnotherTargetIsNotAgreed) {
  const api::Agreement with_other{4, "other-uid"};
  const api::Agreement with_this{4, "target-uid"};
  const AnotherTargetRow rows[] = {
      {"fewer: the pool's count is carried to it", 4, 1, with_other, kUnset, kScaleTarget},
      {"fewer, by memory", 4, 1, kUnset, with_other, kScaleTarget},
      {"fewer, and status does not tell with whom", 4, 1, api::Agreement{4, ""}, with_other, kScaleTarget},
      {"more", 4, 6, with_other, with_other, kScaleTarget},
      {"as many", 4, 4, with_other, with_other, kAgreed},
      {"a pool without a count takes its", kUnset, 1, with_other, with_other, kAdopt},
      {"the pool was scaled at the same time", 2, 1, with_other, with_other, kScaleTarget},
      {"agreed since, status still tells of the other", 4, 1, with_other, with_this, kAdopt},
      {"this one before, and the other since", 4, 1, with_this, with_other, kScaleTarget},
      {"the same one", 4, 1, with_this, kUnset, kAdopt},
  };
  for (const AnotherTargetRow& row : rows) {
    World world;
    world.pool.replicas = row.pool;
    world.target->replicas = row.target;
    if (row.status) {
      world.pool.status.synced_replicas = row.status->replicas;
      world.pool.status.synced_target = row.status->target;
    }
    world.agreed = row.memory;
    const Plan plan = world.decide();
    EXPECT_EQ(plan.scale_target.has_value(), row.wanted == kScaleTarget) << row.situation;
    EXPECT_EQ(plan.adopt_replicas.has_value(), row.wanted == kAdopt) << row.situation;
    EXPECT_EQ(plan.agreed.has_value(), row.wanted == kAgreed) << row.situation;
    world.settle();
    const std::int32_t count = row.wanted == kScaleTarget ? *row.pool : row.target;
    EXPECT_EQ(world.pool.replicas, count) << row.situation;
    EXPECT_EQ(world.target->replicas, count) << row.situation;
    EXPECT_EQ(world.pool.status.synced_replicas, count) << row.situation;
    EXPECT_EQ(world.pool.status.synced_target, "target-uid") << row.situation;
  }
}

TEST(ReplicaSync, StatusOfOlderRelease_IsFilledInWithoutResize) {
  World world = settled();
  world.pool.status.synced_target.clear();
  world.agreed.reset();
  const Plan plan = world.decide();
  EXPECT_FALSE(plan.scale_target || plan.adopt_replicas);
  ASSERT_TRUE(plan.status);
  EXPECT_EQ(plan.status->synced_target, "target-uid");
}

TEST(ReplicaSync, WhatAnotherTargetWasGrantedIsNotThisOnes) {
  for (const std::int32_t has : {2, 3}) {
    World world = settled();
    world.pool.status.surge_replicas = 1;
    world.pool.status.synced_target = "other-uid";
    world.agreed.reset();
    world.target->replicas = has;
    EXPECT_EQ(world.decide().status->surge_replicas, 0) << has;
    world.settle();
    EXPECT_EQ(world.target->replicas, 2) << has;
    EXPECT_EQ(world.pool.replicas, 2) << has;
    EXPECT_EQ(world.pool.status.surge_replicas, 0) << has;
  }
}

struct QuietRow {
  const char* situation;
  std::function<void(World&)> change;
};

TEST(ReplicaSync, LeavesReplicasAlone) {
  const QuietRow rows[] = {
      {"while the pool is being deleted", [](World& w) { w.pool.deleting = true; }},
      {"while the target is being deleted", [](World& w) { w.target->deleting = true; }},
      {"without a target", [](World& w) { w.target.reset(); }},
      {"while the target cannot be read",
       [](World& w) { w.target.reset(), w.target_visibility = Visibility::kUnknown; }},
      {"for a kind it cannot scale", [](World& w) { w.pool.scale_target->kind = "DaemonSet"; }},
      {"without a reference", [](World& w) { w.pool.scale_target.reset(); }},
      {"while the spec is unusable", [](World& w) { w.pool.target_ports.clear(); }},
      {"while pods cannot be read", [](World& w) { w.can_see = false; }},
      {"while autoscalers on both sides pull apart",
       [](World& w) { w.pool_autoscalers = {"a"}, w.target_autoscalers = {"b"}; }},
      {"while a write of ours is not yet in the caches", [](World& w) { w.replicas_unsettled = true; }},
  };
  for (const QuietRow& row : rows) {
    World world = settled();
    world.pool.selector = world.target->selector;
    world.pool.replicas = 7;
    row.change(world);
    const Plan plan = world.decide();
    EXPECT_FALSE(plan.scale_target || plan.adopt_replicas || plan.agreed) << row.situation;
  }
}

TEST(ReplicaSync, GoesOnWithAutoscalersOnOneSide) {
  World world = settled();
  world.pool.replicas = 7;
  world.pool_autoscalers = {"a", "b"};
  EXPECT_TRUE(world.decide().scale_target);
  world.target_autoscalers.swap(world.pool_autoscalers);
  EXPECT_TRUE(world.decide().scale_target);
}

TEST(ReplicaSync, EventsNameBothCounts) {
  World world = settled();
  world.pool.replicas = 4;
  const Plan scaled = world.decide();
  EXPECT_EQ(scaled.scale_event->reason, api::event::kScaledTarget);
  EXPECT_EQ(scaled.scale_event->message, "Scaled Deployment vllm from 2 to 4 replicas, as the pool says");
  world.pool.replicas = 2;
  world.target->replicas = 3;
  const Plan adopted = world.decide();
  EXPECT_EQ(adopted.adopt_event->reason, api::event::kAdoptedReplicas);
  EXPECT_EQ(adopted.adopt_event->message, "Took over 3 replicas from Deployment vllm, instead of 2");
  EXPECT_FALSE(adopted.adopt_event->warning);
}

TEST(ReplicaSync, AFallToLessThanHalf_IsAWarningWithTheWayBack) {
  World world = settled();
  world.pool.replicas = world.target->replicas = 6;
  world.settle();
  world.target->replicas = 1;
  const Plan fell = world.decide();
  EXPECT_TRUE(fell.adopt_event->warning);
  EXPECT_NE(fell.adopt_event->message.find("kubectl scale pwp/vllm --replicas=6"), std::string::npos);
  world.target_autoscalers = {"hpa"};
  EXPECT_FALSE(world.decide().adopt_event->warning) << "it knows what it does";
}

TEST(ReplicaSync, TwoWritersUndoEachOther_WaitsAsLongAsItShould) {
  World world = settled();
  world.pool.replicas = 4;
  world.replicas_wait = std::chrono::seconds{4};
  const Plan plan = world.decide();
  EXPECT_FALSE(plan.scale_target || plan.adopt_replicas);
  EXPECT_LE(plan.look_again, std::chrono::seconds{4});
}

}  // namespace
}  // namespace poolwarden::pool
