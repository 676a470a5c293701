#include "pool/service.h"

#include "api/names.h"
#include "world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

using testing::HasSubstr;

std::string published_message(const Plan& plan, const World& world) {
  return condition(plan.status ? *plan.status : world.pool.status, api::condition::kEndpointsPublished)
      .message;
}

TEST(Service, IsCreated) {
  World world;
  const Plan plan = world.decide();
  ASSERT_TRUE(plan.service);
  EXPECT_TRUE(plan.service->create);
  EXPECT_EQ(plan.service->labels, (api::LabelMap{{"app.kubernetes.io/managed-by", "poolwarden"},
                                                 {"poolwarden.io/health", "healthy"},
                                                 {"poolwarden.io/pool", "vllm"},
                                                 {"poolwarden.io/ready-endpoints", "2"}}));
  EXPECT_EQ(plan.service->selector, (api::LabelMap{{"app", "vllm"}, {"poolwarden.io/serving", "true"}}));
  const std::vector<api::ServicePort> ports{
      {.name = "http", .number = 8000, .target = "8000", .protocol = "TCP"}};
  EXPECT_EQ(plan.service->ports, ports);
}

TEST(Service, WithAnEnginesNameSetsNoVariablesOfIt) {
  for (const auto& [name, headless] :
       std::map<std::string, bool>{{"vllm", true}, {"sglang", true}, {"vllm-a", false}, {"chat", false}}) {
    World world;
    world.pool.publish.service_name = name;
    const Plan plan = world.decide();
    ASSERT_TRUE(plan.service) << name;
    EXPECT_EQ(plan.service->headless, headless) << name;
  }
}

TEST(Service, SeveralPortsHaveNames) {
  World world;
  world.pool.target_ports = {{.number = 8000, .name = "api"}, {.number = 8001, .name = ""}};
  const auto ports = world.decide().service->ports;
  ASSERT_EQ(ports.size(), 2U);
  EXPECT_EQ(ports[0].name, "api");
  EXPECT_EQ(ports[1].name, "port-8001");
}

TEST(Service, IsNotCreated) {
  World off;
  off.pool.publish.create_service = false;
  EXPECT_FALSE(off.decide().service) << "when the pool says so";
  World unreadable;
  unreadable.service_visibility = Visibility::kUnknown;
  EXPECT_FALSE(unreadable.decide().service) << "when it may be there unseen";
  World expressions;
  expressions.pool.selector = api::LabelSelector{{}, {{.key = "app", .op = "In", .values = {"vllm"}}}};
  const Plan plan = expressions.decide();
  EXPECT_FALSE(plan.service) << "when no Service could select the pods";
  EXPECT_THAT(published_message(plan, expressions), HasSubstr("cannot express matchExpressions"));
  EXPECT_EQ(condition(*plan.status, api::condition::kEndpointsPublished).status, "True");
}

struct HealthRow {
  const char* situation;
  std::function<void(World&)> change;
  const char* health;
  const char* ready;
};

TEST(Service, LabelsTellThePoolsHealth) {
  const HealthRow rows[] = {
      {"all ready", [](World&) {}, "healthy", "2"},
      {"one not ready", [](World& w) { w.pod("vllm-a").ready = api::Tristate::kFalse; }, "degraded", "1"},
      {"one on its way out", [](World& w) { w.pod("vllm-a").deletion_timestamp.emplace(); }, "healthy", "1"},
      {"an evicted one left behind", [](World& w) { w.pod("vllm-a").phase = api::PodPhase::kFailed; },
       "healthy", "1"},
      {"none ready",
       [](World& w) {
         for (auto& pod : w.pods) pod.ready = api::Tristate::kFalse;
       },
       "empty", "0"},
      {"no pods", [](World& w) { w.pods.clear(); }, "empty", "0"},
  };
  for (const HealthRow& row : rows) {
    World world = settled();
    row.change(world);
    world.settle();
    EXPECT_EQ(world.service->labels.at("poolwarden.io/health"), row.health) << row.situation;
    EXPECT_EQ(world.service->labels.at("poolwarden.io/ready-endpoints"), row.ready) << row.situation;
  }
}

TEST(Service, AHandEditIsPutBackOnceWithAnEvent) {
  World world = settled();
  world.service->selector = {{"app", "other"}, {"tier", "gpu"}};
  world.service->labels["team"] = "ml";
  const Plan plan = world.decide();
  ASSERT_TRUE(plan.service);
  EXPECT_EQ(plan.service->stale_selector_keys, std::vector<std::string>{"tier"});
  EXPECT_TRUE(plan.service->ports.empty()) << "what is right is not written";
  ASSERT_TRUE(plan.service_event);
  EXPECT_EQ(plan.service_event->reason, api::event::kOverwriteUndone);
  world.settle();
  EXPECT_EQ(world.service->selector, (api::LabelMap{{"app", "vllm"}, {"poolwarden.io/serving", "true"}}));
  EXPECT_EQ(world.service->labels.at("team"), "ml") << "another's label is not ours to take";
}

TEST(Service, EditedPortsArePutBack) {
  World world = settled();
  world.service->ports[0].target = "9999";
  EXPECT_EQ(world.decide().service->ports.at(0).target, "8000");
  EXPECT_TRUE(world.decide().service->selector.empty());
}

TEST(Service, FollowsThePoolsPortsWithoutAnEvent) {
  World world = settled();
  world.pool.target_ports = {{.number = 9000, .name = ""}};
  ++world.pool.generation;
  const Plan plan = world.decide();
  EXPECT_EQ(plan.service->ports.at(0).number, 9000);
  EXPECT_FALSE(plan.service_event);
}

TEST(Service, OneThatIsNotOursIsOnlyLabelled) {
  World world = settled();
  world.service->owners.clear();
  world.service->labels.clear();
  world.service->selector = {{"app", "theirs"}};
  const Plan plan = world.decide(1);
  ASSERT_TRUE(plan.service);
  EXPECT_TRUE(plan.service->selector.empty() && plan.service->stale_selector_keys.empty() &&
              plan.service->ports.empty());
  EXPECT_EQ(plan.service->labels, (api::LabelMap{{"poolwarden.io/health", "healthy"},
                                                 {"poolwarden.io/pool", "vllm"},
                                                 {"poolwarden.io/ready-endpoints", "2"}}));
  EXPECT_THAT(published_message(plan, world), HasSubstr("not ours"));
  world.settle();
  EXPECT_EQ(world.service->selector, (api::LabelMap{{"app", "theirs"}}));
}

// `kubectl delete --cascade=orphan`, or a backup that was restored.
TEST(Service, OursWithoutAnOwner_IsTakenBack) {
  World world = settled();
  world.service->owners.clear();
  world.service->selector = {{"app", "old"}};
  const Plan plan = world.decide(1);
  ASSERT_TRUE(plan.service);
  EXPECT_TRUE(plan.service->adopt);
  EXPECT_FALSE(plan.service->only_count) << "it goes out at once";
  EXPECT_EQ(plan.service->selector.at("app"), "vllm");
  world.settle();
  EXPECT_EQ(world.service->owners.at(0).uid, world.pool.uid);
}

TEST(Service, TwoPoolsDoNotFightOverOne) {
  World by_owner = settled();
  by_owner.service->owners[0].uid = "other-pool-uid";
  by_owner.service->labels.clear();
  EXPECT_FALSE(by_owner.decide(1).service);
  World by_label = settled();
  by_label.service->owners.clear();
  by_label.service->labels["poolwarden.io/pool"] = "other";
  EXPECT_FALSE(by_label.decide(1).service);
  EXPECT_THAT(published_message(by_label.decide(1), by_label), HasSubstr("another pool's"));
}

TEST(Service, OursIsOnlyLabelledOnceCreationIsTurnedOff) {
  World world = settled();
  world.pool.publish.create_service = false;
  world.service->ports[0].target = "9999";
  EXPECT_FALSE(world.decide().service);
  world.pods.pop_back();
}

TEST(Service, IsLeftAloneWhileItOrThePoolGoes) {
  World world = settled();
  world.service->deleting = true;
  world.service->selector.clear();
  EXPECT_FALSE(world.decide().service);
  World pool_goes = settled();
  pool_goes.pool.deleting = true;
  pool_goes.service->selector.clear();
  EXPECT_FALSE(pool_goes.decide().service);
}

}  // namespace
}  // namespace poolwarden::pool
