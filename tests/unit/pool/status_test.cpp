#include "pool/status.h"

#include "api/names.h"
#include "world.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

TEST(Status, CountsThePods) {
  World world = settled();
  world.pods.push_back(ready_pod("vllm-c", "10.0.0.3"));
  world.pod("vllm-c").ready = api::Tristate::kFalse;
  world.pods.push_back(ready_pod("vllm-d", "10.0.0.4"));
  world.pod("vllm-d").deletion_timestamp.emplace();
  world.target->status_replicas = 3;
  const auto status = world.decide().status;
  ASSERT_TRUE(status);
  EXPECT_EQ(status->observed_generation, world.pool.generation);
  EXPECT_EQ(status->replicas, 3) << "as the target counts";
  EXPECT_EQ(status->ready_replicas, 2) << "a terminating pod is not ready";
  EXPECT_EQ(status->serving_replicas, 2);
  EXPECT_EQ(status->draining_replicas, 0);
  EXPECT_EQ(status->selector, "app=vllm,poolwarden.io/serving notin (drained,draining)");
}

TEST(Status, WithoutATargetActivePodsAreCounted) {
  World world = settled();
  world.pool.selector = world.target->selector;
  world.pool.scale_target.reset();
  world.target.reset();
  world.pod("vllm-a").phase = api::PodPhase::kFailed;
  EXPECT_EQ(world.decide().status->replicas, 1);
}

TEST(Status, TellsWhoIsOutAndWhyAndSinceWhen) {
  World world = settled();
  EXPECT_TRUE(world.pool.status.endpoints.empty()) << "the list has those that are ready";
  world.pod("vllm-b").ready = api::Tristate::kFalse;
  world.settle(60);
  const api::EndpointStatus out{.pod = "vllm-b",
                                .ip = "10.0.0.2",
                                .state = "finishing",
                                .reason = "NotReady",
                                .since = at_second(60).wall,
                                .deadline = at_second(360).wall};
  EXPECT_EQ(world.pool.status.endpoints, std::vector{out});
  world.settle(70);
  EXPECT_EQ(world.pool.status.endpoints, std::vector{out}) << "unchanged";
  world.pod("vllm-b").phase = api::PodPhase::kFailed;
  world.settle(90);
  EXPECT_EQ(world.pool.status.endpoints.at(0).reason, "Failed");
  EXPECT_EQ(world.pool.status.endpoints.at(0).since, at_second(90).wall) << "another reason, another time";
}

TEST(Status, WhileALabelIsUnderWay_CountsFromTheFirstThatWasTold) {
  World world = settled();
  world.pod("vllm-b").ready = api::Tristate::kFalse;
  world.labels_under_way = {{"vllm-b-uid", "finishing"}};
  world.apply(world.decide(60));
  ASSERT_EQ(world.pool.status.endpoints.at(0).since, at_second(60).wall);
  EXPECT_FALSE(world.decide(63).status) << "nothing has changed";
}

World on_hold_while_the_first_drains() {
  World world = settled();
  world.target.reset();
  api::Pod& going = world.pods.front();
  going.serving = api::serving::kDraining;
  auto annotations = going.drain_annotations();
  annotations.started = api::to_rfc3339(at_second(0).wall);
  going.annotations = std::make_shared<const api::DrainAnnotations>(annotations);
  return world;
}

TEST(Status, OfAPoolOnHoldSaysOfADrainWhatTheListSays) {
  World world = on_hold_while_the_first_drains();
  api::Pod& going = world.pods.front();
  world.settle();
  EXPECT_EQ(world.pool.status.serving_replicas, 1);
  ASSERT_EQ(world.pool.status.endpoints.size(), 1U);
  EXPECT_EQ(world.pool.status.endpoints[0].state, "draining");
  going.deletion_timestamp = at_second(1).wall;
  world.settle(1);
  EXPECT_EQ(world.pool.status.endpoints[0].reason, "Terminating") << "it drains no more";
}

TEST(Status, SaysOfALoadThatIsNotKnownOnlyWhatIsPrintable) {
  World world = on_hold_while_the_first_drains();
  api::Pod& going = world.pods.front();
  world.loads.request(going.uid, true, std::chrono::seconds(1), at_second(0).mono);
  world.loads.began(going.uid, at_second(0).mono);
  world.loads.took(going.uid, std::nullopt, "\x1b[2J\n" + std::string(400, '\x01'), at_second(0).mono);
  world.settle();
  const std::string& message = world.pool.status.endpoints.at(0).message;
  EXPECT_TRUE(message.starts_with(R"(\x1b[2J\n\x01\x01)")) << message;
  EXPECT_EQ(message.size(), 1024U) << "as the definition allows";
}

TEST(Status, SaysOfAnEngineThatItStandsStill) {
  World world = on_hold_while_the_first_drains();
  const std::string uid = world.pods.front().uid;
  for (const int second : {0, 9, 10}) {
    world.loads.request(uid, true, std::chrono::seconds(1), at_second(second).mono);
    world.loads.began(uid, at_second(second).mono);
    world.loads.took(uid, Load{.in_flight = 3, .cache_usage = {}, .work = 100}, "", at_second(second).mono);
    world.settle(second);
    const api::EndpointStatus& told = world.pool.status.endpoints.at(0);
    EXPECT_EQ(told.in_flight, 3);
    EXPECT_EQ(told.message.starts_with("its engine stands still"), second == 10) << second;
  }
}

TEST(Status, IsWrittenOnlyWhenItDiffers) {
  World world = settled();
  for (const std::int64_t second : {1, 60, 86'400}) EXPECT_FALSE(world.decide(second).status) << second;
}

TEST(Status, HasWholeSecondsAsTheApiKeepsThem) {
  World world;
  world.settle();
  for (const auto& condition : world.pool.status.conditions) {
    EXPECT_EQ(condition.last_transition, std::chrono::floor<std::chrono::seconds>(condition.last_transition));
  }
}

TEST(Status, NamesAHundredPodsAndCountsTheRest) {
  World world;
  world.pods.clear();
  for (int i = 0; i < 260; ++i) {
    world.pods.push_back(
        ready_pod("pod-" + std::to_string(1000 + i), fmt::format("10.0.{}.{}", i / 200, i % 200)));
    if (i < 130) world.pods.back().ready = api::Tristate::kFalse;
  }
  world.settle();
  EXPECT_EQ(world.pool.status.endpoints.size(), api::kMaxStatusEndpoints);
  EXPECT_EQ(world.pool.status.endpoints_omitted, 30);
  EXPECT_EQ(world.pool.status.endpoints.front().pod, "pod-1000");
  EXPECT_EQ(world.pool.status.serving_replicas, 130);
}

api::ConsumerLease lease_of(const std::string& name, std::int64_t revision) {
  api::ConsumerLease lease;
  lease.name = lease.uid = lease.holder = name;
  lease.kind = "haproxy";
  lease.applied = {revision};
  lease.applied_at = api::Timestamp{std::chrono::milliseconds{1'700'000'000'700}};
  return lease;
}

TEST(Status, TheTenSlowestConsumersAreTold) {
  World world = settled();
  EXPECT_EQ(world.pool.status.consumer_count, 0);
  world.list_revisions = {.by_shard = {30}, .newest = 30};
  const auto now = at_second(100).mono;
  for (int i = 0; i < 12; ++i) world.consumers.saw(lease_of("edge-" + std::to_string(10 + i), 30 - i), now);
  world.settle(100);
  const api::PoolStatus& status = world.pool.status;
  EXPECT_EQ(status.consumer_count, 12);
  ASSERT_EQ(status.consumers.size(), api::kMaxStatusConsumers);
  EXPECT_EQ(status.consumers[0], (api::ConsumerStatus{.name = "edge-21",
                                                      .kind = "haproxy",
                                                      .revision = 19,
                                                      .behind = 11,
                                                      .live = true,
                                                      .applied_at = at_second(0).wall}));
  EXPECT_EQ(status.consumers[9].name, "edge-12");
  EXPECT_EQ(world.settle(101), 0) << "and nothing more is to be written";
  api::PoolStatus after = status;
  after.consumers[0].revision = 30;
  after.consumers[0].behind = 0;
  EXPECT_FALSE(is_news(status, after)) << "it is written with others";
  world.consumers.fall_silent(at_second(200).mono);
  world.settle(200);
  EXPECT_NE(condition(world.pool.status, "DisruptionSafe").reason, "ConsumerSilent")
      << "they have never been heard of";
  for (const int second : {201, 202}) world.consumers.saw(lease_of("edge-10", 30), at_second(second).mono);
  world.consumers.fall_silent(at_second(300).mono);
  world.settle(300);
  EXPECT_EQ(condition(world.pool.status, "DisruptionSafe").reason, "ConsumerSilent");
}

TEST(Status, PodsThatHaveEnded_HideNobodyWhoLives) {
  World world;
  world.pods.clear();
  for (int i = 0; i < 150; ++i) {
    world.pods.push_back(ready_pod("a-" + std::to_string(1000 + i), fmt::format("10.0.0.{}", i)));
    world.pods.back().phase = api::PodPhase::kFailed;
  }
  world.pods.push_back(ready_pod("z", "10.0.1.1"));
  world.pods.back().ready = api::Tristate::kFalse;
  world.settle();
  const auto& endpoints = world.pool.status.endpoints;
  ASSERT_EQ(endpoints.size(), api::kMaxStatusEndpoints);
  EXPECT_EQ(endpoints.front().pod, "a-1000");
  EXPECT_EQ(endpoints.back().pod, "z");
}

}  // namespace
}  // namespace poolwarden::pool
