#include "status_page/from_sight.h"

#include "api/names.h"
#include "status_page/render.h"

#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::status_page {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

constexpr kube::TimePoint kSeen{1000s};
constexpr api::Timestamp kWall{1'700'000'000s};

api::InferencePool made_pool(const std::string& name) {
  api::InferencePool pool;
  pool.ns = "default";
  pool.name = name;
  pool.replicas = 2;
  pool.status.ready_replicas = 2;
  pool.status.conditions = {{.type = "Available", .status = "True", .reason = "", .message = ""},
                            {.type = "Degraded", .status = "False", .reason = "", .message = ""}};
  return pool;
}

control::SeenPool seen(api::InferencePool pool, std::size_t listed = 2) {
  control::SeenPool out;
  out.pool = std::make_shared<const api::InferencePool>(std::move(pool));
  out.listed = listed;
  for (const api::EndpointStatus& one : out.pool->status.endpoints)
    out.pods.push_back({one.pod, &one, {}, false});
  return out;
}

control::Sight sight_of(std::vector<control::SeenPool> pools) {
  control::Sight sight;
  sight.at = {kSeen, kWall};
  sight.pools = std::move(pools);
  for (auto& feed : sight.feeds)
    feed = {.synced = true, .last_byte = kSeen, .fresh_at = kSeen, .problem = ""};
  return sight;
}

StatusPage page_of(const control::Sight& sight, kube::Duration later = 0s) {
  return from_sight(&sight, kSeen + later, "0.1.0");
}

std::vector<std::string> names(const StatusPage& page) {
  std::vector<std::string> out;
  for (const PoolPart& pool : page.pools) out.push_back(pool.name);
  return out;
}

TEST(FromSight, NothingSeenYet) {
  EXPECT_FALSE(from_sight(nullptr, kSeen, "0.1.0").age);
}

TEST(FromSight, TroubleComesFirst) {
  api::InferencePool unsafe = made_pool("b");
  unsafe.status.conditions.push_back(
      {.type = "DisruptionSafe", .status = "False", .reason = "NoPreStop", .message = "give them one"});
  api::InferencePool degraded = made_pool("c");
  degraded.status.conditions[1] = {
      .type = "Degraded", .status = "True", .reason = "Overlap", .message = "both"};
  api::InferencePool changed = made_pool("d");
  changed.generation = 3;
  const StatusPage page =
      page_of(sight_of({seen(made_pool("a")), seen(unsafe), seen(degraded), seen(changed)}));
  EXPECT_THAT(names(page), ElementsAre("default/c", "default/b", "default/d", "default/a"));
  EXPECT_EQ(page.pools[0].level, Level::kTrouble);
  EXPECT_EQ(page.pools[0].problems[0].what, "Degraded is True (Overlap)");
  EXPECT_EQ(page.pools[0].problems[0].message, "both");
  EXPECT_EQ(page.pools[1].level, Level::kRisk);
  EXPECT_EQ(page.pools[2].level, Level::kSettling);
  EXPECT_EQ(page.pools[3].level, Level::kFine);
}

TEST(FromSight, AnEmptyListIsTrouble_WhateverALeaderReported) {
  EXPECT_EQ(page_of(sight_of({seen(made_pool("a"), 0)})).pools[0].level, Level::kTrouble);
  api::InferencePool none = made_pool("a");
  none.replicas = none.status.ready_replicas = 0;
  none.status.conditions[0] = {
      .type = "Available", .status = "False", .reason = "ScaledToZero", .message = "No replicas are wanted"};
  EXPECT_EQ(page_of(sight_of({seen(none, 0)})).pools[0].level, Level::kFine) << "scaled to zero";
}

TEST(FromSight, FewerReadyThanWanted_IsSaidEvenWhereNoConditionDoes) {
  api::InferencePool pool = made_pool("a");
  pool.status.ready_replicas = 1;
  EXPECT_EQ(page_of(sight_of({seen(pool, 1)})).pools[0].level, Level::kSettling);
  EXPECT_EQ(page_of(sight_of({seen(pool, 1)})).pools[0].problems[0].what, "1 of 2 wanted replicas ready");
  pool.status.conditions.push_back(
      {.type = "Progressing", .status = "True", .reason = "WaitingForReady", .message = "one loads"});
  EXPECT_EQ(page_of(sight_of({seen(pool, 1)})).pools[0].problems[0].message, "one loads");
}

TEST(FromSight, TimesRunOnAfterTheSight) {
  api::InferencePool pool = made_pool("a");
  pool.status.endpoints = {{.pod = "p",
                            .ip = "",
                            .state = "draining",
                            .reason = "ScaleDown",
                            .since = kWall - 10s,
                            .in_flight = 3,
                            .deadline = kWall + 20s}};
  const control::Sight sight = sight_of({seen(pool)});
  const StatusPage page = page_of(sight, 5s);
  EXPECT_EQ(page.age, 5s);
  ASSERT_THAT(page.drains, SizeIs(1));
  EXPECT_EQ(page.drains[0].in_flight, 3);
  EXPECT_EQ(page.drains[0].so_far, 15s);
  EXPECT_EQ(page.drains[0].left, 15s);
  EXPECT_EQ(page_of(sight, 60s).drains[0].left, 0s);
}

TEST(FromSight, OfEndpointsTroubleComesFirst_AndAPodThatIsGoneIsSaidToBe) {
  api::InferencePool pool = made_pool("a");
  pool.status.endpoints = {{.pod = "a", .ip = "", .state = "drained", .reason = "ScaleDown"},
                           {.pod = "b", .ip = "", .state = "draining", .reason = "ScaleDown"},
                           {.pod = "c", .ip = "", .state = "withdrawn", .reason = "NotReady"}};
  control::SeenPool one = seen(pool);
  auto pod = std::make_shared<api::Pod>();
  pod->node = std::make_shared<const std::string>("node-1");
  pod->created = kWall - 1h;
  one.pods.push_back({"0", nullptr, pod, true});
  const StatusPage page = page_of(sight_of({one}));
  std::vector<std::string> order;
  for (const EndpointPart& endpoint : page.pools[0].endpoints)
    order.push_back(endpoint.state + " " + endpoint.pod);
  EXPECT_THAT(order, ElementsAre("withdrawn c", "draining b", "drained a", "ready 0"));
  EXPECT_EQ(page.pools[0].endpoints[0].message, "the pod is gone");
  EXPECT_EQ(page.pools[0].endpoints[3].node, "node-1");
  EXPECT_EQ(page.pools[0].endpoints[3].age, 1h);
}

TEST(FromSight, TheSlowestConsumerComesFirst) {
  api::InferencePool one = made_pool("a");
  one.status.consumers = {{.name = "fast", .kind = "haproxy", .revision = 7, .behind = 0, .live = true},
                          {.name = "dead", .kind = "haproxy", .revision = 2, .behind = 5, .live = false}};
  one.status.consumer_count = 12;
  api::InferencePool other = made_pool("b");
  other.status.consumers = {{.name = "slow", .kind = "envoy", .revision = 1, .behind = 2, .live = true}};
  other.status.consumer_count = 1;
  const StatusPage page = page_of(sight_of({seen(one), seen(other)}));
  std::vector<std::string> order;
  for (const ConsumerPart& consumer : page.consumers) order.push_back(consumer.name);
  EXPECT_THAT(order, ElementsAre("slow", "fast", "dead"));
  EXPECT_EQ(page.more_consumers, 10U);
}

TEST(FromSight, WhatOthersWroteIsShortened_SoThePageIsBounded) {
  const std::string endless(5'000, '"');
  std::vector<control::SeenPool> pools;
  for (int i = 0; i < 200; ++i) {
    api::InferencePool pool = made_pool(endless);
    pool.status.conditions[1] = {.type = "Degraded", .status = "True", .reason = endless, .message = endless};
    for (int n = 0; n < 5; ++n)
      pool.status.endpoints.push_back(
          {.pod = endless, .ip = "", .state = endless, .reason = endless, .message = endless});
    for (int n = 0; n < 10; ++n)
      pool.status.consumers.push_back(
          {.name = endless, .kind = endless, .revision = 1, .behind = 1, .live = true});
    pools.push_back(seen(std::move(pool)));
  }
  const StatusPage page = page_of(sight_of(std::move(pools)));
  EXPECT_THAT(page.consumers, SizeIs(400));
  EXPECT_LT(render(page).size(), 8U << 20);
}

TEST(FromSight, WhoLeads) {
  control::Sight sight = sight_of({});
  EXPECT_EQ(page_of(sight).role, Role::kAlone);
  sight.elects = true;
  sight.identity = "one";
  sight.holder = "other";
  EXPECT_EQ(page_of(sight).role, Role::kStandby);
  EXPECT_EQ(page_of(sight).leader, "other");
  sight.leads = true;
  EXPECT_EQ(page_of(sight).role, Role::kLeads);
}

TEST(FromSight, AKindThatIsNotReadIsNamed) {
  control::Sight sight = sight_of({});
  sight.feeds[control::WatchedKinds::index<control::Pods>()].synced = false;
  const StatusPage page = page_of(sight);
  ASSERT_THAT(page.blind, SizeIs(1));
  EXPECT_EQ(page.blind[0].what, "pods");
  EXPECT_THAT(page.blind[0].message, HasSubstr("the first list is not complete"));
}

}  // namespace
}  // namespace poolwarden::status_page
