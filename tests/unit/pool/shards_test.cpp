// A list of several ConfigMaps: shards of three endpoints each.
#include "api/names.h"
#include "pool/endpoints.h"
#include "pool/placement.h"
#include "world.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using Names = std::vector<std::string>;

class Shards : public testing::Test {
 protected:
  void SetUp() override {
    world.list_limits = {.shard_endpoints = 3, .shards = 4};
    world.pods.clear();
    add("abcdefgh");
    world.settle();
  }

  void add(std::string_view names) {
    for (const char name : names)
      world.pods.push_back(
          ready_pod(fmt::format("vllm-{}", name), fmt::format("10.0.0.{}", static_cast<int>(name))));
  }
  void remove(char name) {
    std::erase_if(world.pods, [&](const api::Pod& pod) { return pod.name == fmt::format("vllm-{}", name); });
  }
  const api::ConfigMap& map(std::int32_t shard) const {
    return shard == 1 ? *world.config_map : world.other_shards.at(shard);
  }
  api::EndpointSet set(std::int32_t shard) const {
    return *api::parse_endpoint_set(map(shard).endpoints_json, nullptr);
  }
  Names on(std::int32_t shard) const {
    Names names;
    for (const api::Endpoint& endpoint : set(shard).endpoints) names.push_back(endpoint.pod.substr(5));
    return names;
  }

  World world;
};

TEST_F(Shards, LargePool_IsSpreadAndCounted) {
  EXPECT_THAT(on(1), ElementsAre("a", "b", "c"));
  EXPECT_THAT(on(2), ElementsAre("d", "e", "f"));
  EXPECT_THAT(on(3), ElementsAre("g", "h"));
  EXPECT_THAT(map(1).endpoints_json, HasSubstr(R"("shards":3})"));
  EXPECT_THAT(map(2).endpoints_json, HasSubstr(R"("shard":2})"));
  EXPECT_EQ(map(3).name, "vllm-endpoints-3");
  EXPECT_EQ(world.pool.status.serving_replicas, 8);
  EXPECT_EQ(world.pool.status.endpoints_revision, world.last_revision);
  EXPECT_THAT(condition(world.pool.status, api::condition::kEndpointsPublished).message,
              HasSubstr("8 endpoints in ConfigMap vllm-endpoints to vllm-endpoints-3, revision"));
  EXPECT_TRUE(world.decide(9).empty());
}

// Readers that saw a count beyond the shards there are would wait for a shard that may never come.
TEST_F(Shards, FirstOne_CountsAnotherOnceItIsThere) {
  World fresh = world;
  fresh.config_map.reset();
  fresh.other_shards.clear();
  fresh.last_revision = fresh.pool.status.endpoints_revision = 0;
  fresh.list_counted = 1;
  const Plan plan = fresh.decide();
  ASSERT_THAT(plan.publish_shards, SizeIs(2));
  EXPECT_EQ(plan.publish->write.set.shards, 1);
  EXPECT_EQ(plan.publish->write.set.endpoints.size(), 3U);
  fresh.apply(plan);
  const Plan next = fresh.decide();
  EXPECT_EQ(next.publish->write.set.shards, 3);
  EXPECT_THAT(next.publish->changes, IsEmpty());
  EXPECT_THAT(next.publish_shards, IsEmpty());
}

TEST_F(Shards, APodThatGoes_IsAWriteOfItsShard) {
  remove('e');
  const Plan plan = world.decide(1);
  EXPECT_FALSE(plan.publish);
  ASSERT_THAT(plan.publish_shards, SizeIs(1));
  EXPECT_EQ(plan.publish_shards[0].write.set.shard, 2);
  ASSERT_THAT(plan.publish_shards[0].changes, SizeIs(1));
  EXPECT_EQ(plan.publish_shards[0].changes[0].pod, "vllm-e");
  world.settle(1);
  EXPECT_THAT(on(2), ElementsAre("d", "f"));
  EXPECT_EQ(world.pool.status.serving_replicas, 7);
}

TEST_F(Shards, ANewPod_GoesWhereThereIsRoom_NobodyMoves) {
  remove('a');
  remove('e');
  world.settle(1);
  EXPECT_TRUE(world.decide(2).empty()) << "no rebalancing";
  add("yz");
  world.settle(3);
  EXPECT_THAT(on(1), ElementsAre("b", "c", "y"));
  EXPECT_THAT(on(2), ElementsAre("d", "f", "z"));
  EXPECT_THAT(on(3), ElementsAre("g", "h"));
}

TEST_F(Shards, AnEmptyShard_IsKept) {
  remove('g');
  remove('h');
  world.settle(1);
  EXPECT_THAT(on(3), IsEmpty());
  EXPECT_EQ(set(1).shards, 3);
  EXPECT_TRUE(world.decide(2).empty());
}

TEST_F(Shards, ADeletedShard_IsMadeAgainAndStillCounts) {
  world.other_shards.erase(2);
  const Plan plan = world.decide(1);
  ASSERT_THAT(plan.publish_shards, SizeIs(1));
  EXPECT_TRUE(plan.publish_shards[0].write.create);
  EXPECT_TRUE(plan.publish_shards[0].undo);
  EXPECT_THAT(plan.publish_shards[0].event->message, HasSubstr("vllm-endpoints-2: it was deleted"));
  world.settle(1);
  EXPECT_EQ(set(1).shards, 3);
  EXPECT_EQ(world.pool.status.serving_replicas, 8);
}

TEST_F(Shards, AnEditedShard_IsPutBack) {
  world.other_shards.at(2).endpoints_text = "1.2.3.4:1\n";
  const Plan plan = world.decide(1);
  EXPECT_FALSE(plan.publish);
  ASSERT_THAT(plan.publish_shards, SizeIs(1));
  EXPECT_TRUE(plan.publish_shards[0].undo);
  EXPECT_THAT(plan.publish_shards[0].changes, IsEmpty());
  world.settle(1);
  EXPECT_THAT(on(2), ElementsAre("d", "e", "f"));
}

TEST_F(Shards, ADeletedFirstOne_IsMadeAgainWithItsCount) {
  world.config_map.reset();
  world.settle(1);
  EXPECT_THAT(on(1), ElementsAre("a", "b", "c"));
  EXPECT_EQ(set(1).shards, 3);
}

// Readers that run keep what they read of a shard that still counts. One that counts no more they let go.
TEST_F(Shards, AllAreDeleted_TheFirstStillCountsThem) {
  world.config_map.reset();
  world.other_shards.erase(2);
  const Plan plan = world.decide(1);
  ASSERT_TRUE(plan.publish);
  EXPECT_EQ(plan.publish->write.set.shards, 3);
  ASSERT_THAT(plan.publish_shards, SizeIs(1));
  EXPECT_TRUE(plan.publish_shards[0].write.create);
  world.settle(1);
  EXPECT_EQ(world.pool.status.serving_replicas, 8);
}

TEST_F(Shards, TheFirstCannotBeReadAndAnotherIsEdited_AllStillCount) {
  world.config_map->endpoints_json = "{";
  world.other_shards.at(2).endpoints_text = "1.2.3.4:1\n";
  EXPECT_EQ(world.decide(1).publish->write.set.shards, 3);
}

TEST_F(Shards, AShardLosesItsOwner_IsPutBackAsAnEdit) {
  world.other_shards.at(2).owners.clear();
  const Plan plan = world.decide(1);
  EXPECT_FALSE(plan.publish) << "all still count";
  ASSERT_THAT(plan.publish_shards, SizeIs(1));
  EXPECT_TRUE(plan.publish_shards[0].undo);
  world.settle(1);
  EXPECT_EQ(set(1).shards, 3);
  EXPECT_THAT(map(2).owners, SizeIs(1));
}

// Somebody edits the number of shards, as it should be written.
TEST_F(Shards, MoreAreCountedThanThereAre_TheNumberIsPutBack) {
  auto first = set(1);
  first.shards = 50;
  world.config_map->endpoints_json = api::to_canonical_json(first);
  const Plan plan = world.decide(1);
  ASSERT_TRUE(plan.publish);
  EXPECT_EQ(plan.publish->write.set.shards, 3);
  EXPECT_THAT(plan.publish_shards, IsEmpty()) << "nobody needs them";
  world.settle(1);
  EXPECT_EQ(world.other_shards.size(), 2U);
}

// Readers keep what was on it: nobody may move, or they are without those until they have both shards.
TEST_F(Shards, ABrokenOrMissingShard_KeepsItsEndpoints) {
  remove('a');
  world.settle(1);
  world.other_shards.at(2).endpoints_json = "{";
  World missing = world;
  missing.other_shards.erase(2);
  for (World* one : {&world, &missing}) {
    const Plan plan = one->decide(2);
    EXPECT_FALSE(plan.publish) << "there is room on the first";
    ASSERT_THAT(plan.publish_shards, SizeIs(1));
    EXPECT_THAT(plan.publish_shards[0].write.set.endpoints, SizeIs(3));
  }
}

TEST_F(Shards, TheFirstIsTaken_TheOthersAreStillWritten) {
  World taken = world;
  taken.config_map->owners = {{"v1", "Secret", "s", "s-uid", true}};
  World held = taken;
  held.target.reset();
  for (World* each : {&taken, &held}) {
    each->pod("vllm-e").deletion_timestamp.emplace();
    const Plan plan = each->decide(1);
    EXPECT_FALSE(plan.publish);
    const auto second = std::find_if(plan.publish_shards.begin(), plan.publish_shards.end(),
                                     [](const auto& what) { return what.write.set.shard == 2; });
    ASSERT_NE(second, plan.publish_shards.end());
    ASSERT_FALSE(second->changes.empty());
    EXPECT_EQ(second->changes[0].pod, "vllm-e");
    EXPECT_GT(second->write.set.revision, each->last_revision);
  }
}

TEST_F(Shards, TheFirstIsMissingOnHold_TheOthersLoseWhoGoes) {
  world.target.reset();
  world.config_map.reset();
  world.pod("vllm-e").deletion_timestamp.emplace();
  const Plan plan = world.decide(1);
  EXPECT_FALSE(plan.publish);
  ASSERT_THAT(plan.publish_shards, SizeIs(1));
  ASSERT_THAT(plan.publish_shards[0].changes, SizeIs(1));
  EXPECT_EQ(plan.publish_shards[0].changes[0].pod, "vllm-e");
}

// A new operator does not know how many counted, and one of them has somebody to lose first.
TEST_F(Shards, TheFirstIsMissingAndForgotten_CountsAllWhenItIsBack) {
  world.list_counted = 1;
  world.config_map.reset();
  world.pod("vllm-e").deletion_timestamp.emplace();
  const Plan plan = world.decide(1);
  EXPECT_FALSE(plan.publish) << "readers would lose the second shard";
  ASSERT_FALSE(plan.publish_shards.empty());
  world.apply(plan);
  const Plan next = world.decide(2);
  ASSERT_TRUE(next.publish);
  EXPECT_GE(next.publish->write.set.shards, 2);
}

TEST_F(Shards, OneThatIsBeingDeleted_IsWrittenAsTheOthersAre) {
  world.other_shards.at(2).deleting = true;
  remove('e');
  const Plan plan = world.decide(2);
  ASSERT_THAT(plan.publish_shards, SizeIs(1));
  EXPECT_EQ(plan.publish_shards[0].write.set.shard, 2);
  EXPECT_FALSE(plan.publish_shards[0].write.create);
  EXPECT_EQ(plan.publish_shards[0].changes[0].pod, "vllm-e");
}

// All ports get long names: not all of a full shard fit into its ConfigMap any more.
TEST_F(Shards, EndpointsThatOutgrowTheirShard_AreOnTheNewOneBeforeTheyLeave) {
  World large = world;
  large.list_limits = {.shard_endpoints = 100'000, .shards = 9};
  large.pods.clear();
  for (int i = 0; i < 3'000; ++i)
    large.pods.push_back(
        ready_pod(fmt::format("vllm-{:05}", i), fmt::format("10.{}.{}.1", i / 256, i % 256)));
  large.config_map.reset();
  large.other_shards.clear();
  large.list_counted = 1;
  large.settle(1);
  ASSERT_TRUE(large.other_shards.empty());
  for (api::EndpointPort& port : large.pool.target_ports) port.name = std::string(250, 'p');
  for (int pass = 2; pass < 8; ++pass) {
    large.apply(large.decide(pass));
    std::set<std::string> published;
    const auto first = api::parse_endpoint_set(large.config_map->endpoints_json, nullptr);
    for (const auto& one : first->endpoints) published.insert(one.uid);
    for (std::int32_t shard = 2; shard <= first->shards; ++shard) {
      const auto other = api::parse_endpoint_set(large.other_shards.at(shard).endpoints_json, nullptr);
      for (const auto& one : other->endpoints) published.insert(one.uid);
    }
    EXPECT_EQ(published.size(), 3'000U) << "pass " << pass;
    EXPECT_LE(large.config_map->endpoints_json.size() + large.config_map->endpoints_text.size(), 1'048'576U);
  }
  EXPECT_FALSE(large.other_shards.empty());
  EXPECT_TRUE(large.decide(9).empty());
}

// Another pool's list has the name that this one wants next: it stays theirs, and a person is told.
TEST_F(Shards, ATakenName_IsToldAndNotWritten) {
  api::ConfigMap foreign;
  foreign.name = "vllm-endpoints-4";
  foreign.resource_version = "1";
  foreign.owners = {{.api_version = std::string{api::kApiVersion},
                     .kind = std::string{api::kPoolKind},
                     .name = "other",
                     .uid = "other-uid",
                     .controller = true}};
  world.other_shards[4] = foreign;
  EXPECT_TRUE(world.decide(1).empty()) << "nobody needs it";
  add("ijk");
  world.settle(2);
  EXPECT_EQ(world.other_shards.at(4), foreign);
  EXPECT_EQ(set(1).shards, 3);
  EXPECT_THAT(on(3), ElementsAre("g", "h", "i"));
  const auto& published = condition(world.pool.status, api::condition::kEndpointsPublished);
  EXPECT_EQ(published.reason, "NameTaken");
  EXPECT_THAT(published.message,
              HasSubstr("ConfigMap vllm-endpoints-4 exists and belongs to InferencePool other"));
  remove('e');
  world.settle(3);
  EXPECT_THAT(on(2), ElementsAre("d", "f", "j")) << "withdrawals go on";
  world.other_shards.erase(4);
  world.settle(4);
  EXPECT_THAT(on(4), ElementsAre("k"));
  EXPECT_EQ(condition(world.pool.status, api::condition::kEndpointsPublished).reason, "Published");
}

// Its shard was deleted, and the name given to something else: the others take in whom they can.
TEST_F(Shards, ANameTakenLater_CountsNoMore) {
  remove('a');
  world.settle(1);
  world.other_shards.at(2) = {};
  world.other_shards.at(2).name = "vllm-endpoints-2";
  world.settle(2);
  EXPECT_EQ(set(1).shards, 1);
  EXPECT_THAT(on(1), SizeIs(3));
  EXPECT_EQ(condition(world.pool.status, api::condition::kEndpointsPublished).reason, "NameTaken");
}

// As after a release that knew no shards: what they say is years old, and no reader may find it.
TEST_F(Shards, AnOldShard_CountsOnlyWithoutWhoIsGone) {
  auto first = set(1);
  first.shards = 1;
  world.config_map->endpoints_json = api::to_canonical_json(first);
  remove('e');
  remove('h');
  const Plan plan = world.decide(1);
  EXPECT_FALSE(plan.publish) << "none counts before they are written";
  EXPECT_THAT(plan.publish_shards, SizeIs(2));
  world.settle(1);
  EXPECT_EQ(set(1).shards, 3);
}

TEST_F(Shards, OnHold_EachLosesWhoGoes) {
  world.target.reset();
  remove('a');
  remove('e');
  add("x");
  const Plan plan = world.decide(1);
  ASSERT_TRUE(plan.publish);
  EXPECT_EQ(plan.publish->write.set.shards, 3);
  ASSERT_THAT(plan.publish_shards, SizeIs(1));
  world.settle(1);
  EXPECT_THAT(on(1), ElementsAre("b", "c"));
  EXPECT_THAT(on(2), ElementsAre("d", "f"));
  EXPECT_EQ(world.pool.status.serving_replicas, 6);
}

TEST_F(Shards, OlderPods_AddToNoShard) {
  world.pods_behind = true;
  world.other_shards.at(2).pods_version = "120";
  world.pod("vllm-e").deletion_timestamp.emplace();
  add("x");
  const Plan plan = world.decide(1);
  EXPECT_FALSE(plan.publish);
  ASSERT_THAT(plan.publish_shards, SizeIs(1));
  EXPECT_EQ(plan.publish_shards[0].write.pods_version, "120");
  EXPECT_EQ(plan.publish_shards[0].write.set.endpoints.size(), 2U);
}

TEST_F(Shards, MoreThanTheyHold_IsTooLarge) {
  add("ijklmnop");
  world.settle(1);
  EXPECT_EQ(world.pool.status.serving_replicas, 12);
  const auto& published = condition(world.pool.status, api::condition::kEndpointsPublished);
  EXPECT_EQ(published.reason, "TooLarge");
  EXPECT_THAT(published.message,
              HasSubstr("holds 12 of 16 ready endpoints, and no more fit into 4 ConfigMaps"));
  EXPECT_TRUE(world.decide(2).empty());
}

TEST(Placement, AShardOfAnOlderRelease_KeepsItsEndpoints) {
  api::EndpointSet wanted{.ns = "default", .pool = "vllm", .revision = 0, .endpoints = {}};
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    api::Endpoint endpoint;
    endpoint.pod = endpoint.uid = name;
    wanted.endpoints.push_back(endpoint);
  }
  api::EndpointSet before = wanted;
  before.endpoints.pop_back();
  const Placement placed = place(wanted, {{.set = &before}}, {.shard_endpoints = 2, .shards = 9});
  ASSERT_THAT(placed.shards, SizeIs(2));
  EXPECT_THAT(placed.shards[0].endpoints, SizeIs(4));
  EXPECT_THAT(placed.shards[1].endpoints, SizeIs(1));
  EXPECT_EQ(placed.shards[1].shard, 2);
  EXPECT_EQ(placed.omitted, 0);
}

}  // namespace
}  // namespace poolwarden::pool
