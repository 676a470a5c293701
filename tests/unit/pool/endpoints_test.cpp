#include "pool/endpoints.h"

#include "api/names.h"
#include "world.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

using testing::HasSubstr;

TEST(Endpoints, AreFirstPublishedByCreating) {
  World world;
  const Plan plan = world.decide();
  ASSERT_TRUE(plan.publish);
  EXPECT_TRUE(plan.publish->write.create);
  EXPECT_FALSE(plan.publish->undo);
  EXPECT_EQ(plan.publish->write.set.revision, 1);
  ASSERT_EQ(plan.publish->changes.size(), 2U);
  EXPECT_EQ(plan.publish->changes[0].reason, Withdrawal::kNone);
  EXPECT_FALSE(plan.publish->changes[0].again);
  const api::Endpoint wanted{.pod = "vllm-a",
                             .uid = "vllm-a-uid",
                             .ip = "10.0.0.1",
                             .ports = {{.number = 8000, .name = ""}},
                             .node = "node-1",
                             .zone = "zone-1",
                             .state = api::EndpointState::kReady};
  EXPECT_EQ(plan.publish->write.set.endpoints.at(0), wanted);
}

TEST(Endpoints, AnIPv6AddressIsPublishedAsItIs) {
  World world;
  world.pod("vllm-a").ip = "fd00::1";
  EXPECT_EQ(world.decide().publish->write.set.endpoints.at(0).ip, "fd00::1");
}

TEST(Endpoints, HaveNoZoneWhileNodesCannotBeRead) {
  World world;
  world.nodes_readable = false;
  EXPECT_EQ(world.decide().publish->write.set.endpoints.at(0).zone, "");
}

TEST(Endpoints, HaveThePortsThatThePodServesOn) {
  World world;
  world.pool.target_ports = {{.number = 8000, .name = "a"}, {.number = 8001, .name = "b"}};
  world.pod("vllm-a").active_ports = std::vector<std::int32_t>{8001, 9000};
  world.pod("vllm-b").active_ports = std::vector<std::int32_t>{9000};
  const auto endpoints = world.decide().publish->write.set.endpoints;
  EXPECT_EQ(endpoints.at(0).ports, (std::vector<api::EndpointPort>{{.number = 8001, .name = "b"}}));
  EXPECT_EQ(endpoints.at(1).ports, world.pool.target_ports) << "none of these is the pool's";
  world.settle();
  EXPECT_TRUE(world.decide().empty());
  world.pod("vllm-a").active_ports.reset();
  EXPECT_EQ(world.decide().publish->write.set.endpoints.at(0).ports, world.pool.target_ports);
}

TEST(Endpoints, APoolWithoutReadyPodsPublishesAnEmptyList) {
  World world;
  world.pods.clear();
  const Plan plan = world.decide();
  ASSERT_TRUE(plan.publish);
  EXPECT_TRUE(plan.publish->write.set.endpoints.empty());
}

TEST(Endpoints, APodThatComesBackIsAdmittedAgain) {
  World world = settled();
  world.pod("vllm-a").ready = api::Tristate::kFalse;
  world.settle();
  world.pod("vllm-a").ready = api::Tristate::kTrue;
  const Plan plan = world.decide();
  ASSERT_EQ(plan.publish->changes.size(), 1U);
  EXPECT_EQ(plan.publish->changes[0].reason, Withdrawal::kNone);
  EXPECT_TRUE(plan.publish->changes[0].again);
  EXPECT_EQ(plan.publish->write.set.revision, 3);
}

// Rule 8: a pod of the same name and address that was created anew is another pod.
TEST(Endpoints, ARecreatedNamesakeIsAnotherEndpoint) {
  World world = settled();
  world.pod("vllm-a").uid = "another-uid";
  const auto changes = world.decide().publish->changes;
  ASSERT_EQ(changes.size(), 2U);
  EXPECT_EQ(changes[0].uid, "vllm-a-uid");
  EXPECT_EQ(changes[0].reason, Withdrawal::kDeleted);
  EXPECT_EQ(changes[1].uid, "another-uid");
  EXPECT_EQ(changes[1].reason, Withdrawal::kNone);
  EXPECT_FALSE(changes[1].again);
}

TEST(Endpoints, ANewAddressOrPortIsPublishedWithoutAWithdrawal) {
  World world = settled();
  world.pod("vllm-a").ip = "10.0.0.9";
  EXPECT_EQ(world.decide().publish->write.set.endpoints.at(0).ip, "10.0.0.9");
  EXPECT_TRUE(world.decide().publish->changes.empty());
  EXPECT_FALSE(world.decide().publish->undo);
  World ports = settled();
  ports.pool.target_ports.push_back({.number = 8001, .name = ""});
  EXPECT_EQ(ports.decide().publish->write.set.endpoints.at(0).ports.size(), 2U);
}

struct EditRow {
  const char* situation;
  std::function<void(api::ConfigMap&)> edit;
  const char* what;
};

TEST(Endpoints, EditsByOthersAreUndoneWithAnEvent) {
  const EditRow rows[] = {
      {"white space", [](auto& m) { m.endpoints_json += " "; }, "data[endpoints.json]"},
      {"garbage", [](auto& m) { m.endpoints_json = "x"; }, "data[endpoints.json]"},
      {"emptied", [](auto& m) { m.endpoints_json.clear(), m.endpoints_text.clear(); },
       "data[endpoints.json]"},
      {"the text", [](auto& m) { m.endpoints_text = "10.6.6.6:80\n"; }, "data[endpoints.txt]"},
      {"the revision annotation", [](auto& m) { m.revision = "3"; }, "annotation poolwarden.io/revision"},
      {"the revision annotation taken away", [](auto& m) { m.revision.clear(); }, "annotation"},
      {"a label taken away", [](auto& m) { m.labels.erase(std::string{api::kPoolLabel}); }, "labels"},
      {"a label changed", [](auto& m) { m.labels[std::string{api::kManagedByLabel}] = "helm"; }, "labels"},
      {"the owner no longer controls", [](auto& m) { m.owners[0].controller = false; }, "ownerReferences"},
  };
  for (const EditRow& row : rows) {
    World world = settled();
    row.edit(*world.config_map);
    const Plan plan = world.decide();
    ASSERT_TRUE(plan.publish) << row.situation;
    EXPECT_TRUE(plan.publish->undo) << row.situation;
    EXPECT_TRUE(plan.publish->changes.empty()) << row.situation;
    ASSERT_TRUE(plan.publish->event) << row.situation;
    EXPECT_EQ(plan.publish->event->reason, api::event::kOverwriteUndone) << row.situation;
    EXPECT_TRUE(plan.publish->event->warning) << row.situation;
    EXPECT_THAT(plan.publish->event->message, HasSubstr(row.what)) << row.situation;
    EXPECT_EQ(plan.publish->write.set.endpoints.size(), 2U) << row.situation;
    world.settle();
    EXPECT_TRUE(world.decide().empty()) << row.situation << ": once, not in a loop";
  }
}

TEST(Endpoints, AForeignLabelOnTheConfigMapIsNoEdit) {
  World world = settled();
  world.config_map->labels["team"] = "ml";
  EXPECT_TRUE(world.decide().empty());
}

TEST(Endpoints, AnEditThatWithdrawsIsUndoneAndShowsWhatComesBack) {
  World world = settled();
  auto set = *api::parse_endpoint_set(world.config_map->endpoints_json, nullptr);
  set.endpoints.erase(set.endpoints.begin());
  world.config_map->endpoints_json = api::to_canonical_json(set);  // and the text left as it was
  const Plan plan = world.decide();
  EXPECT_TRUE(plan.publish->undo);
  ASSERT_EQ(plan.publish->changes.size(), 1U);
  EXPECT_EQ(plan.publish->changes[0].pod, "vllm-a");
}

TEST(Endpoints, ADeletedConfigMapIsMadeAgainWithAHigherRevision) {
  World world = settled();
  world.config_map.reset();
  const Plan plan = world.decide();
  ASSERT_TRUE(plan.publish);
  EXPECT_TRUE(plan.publish->write.create);
  EXPECT_TRUE(plan.publish->undo);
  EXPECT_TRUE(plan.publish->changes.empty()) << "no pod came or went";
  EXPECT_THAT(plan.publish->event->message, HasSubstr("deleted"));
  EXPECT_EQ(plan.publish->write.set.revision, 2);
}

struct RevisionRow {
  const char* situation;
  const char* annotation;
  std::int64_t document;
  std::int64_t status;
  std::int64_t memory;
  std::int64_t wanted;
};

TEST(Endpoints, RevisionsOnlyGrow) {
  const RevisionRow rows[] = {
      {"all alike", "5", 5, 5, 5, 6},
      {"after a restart", "5", 5, 5, 0, 6},
      {"status is behind", "5", 5, 4, 0, 6},
      {"the ConfigMap was put back to an older state", "2", 2, 5, 5, 6},
      {"only memory knows", "2", 2, 2, 9, 10},
      {"the annotation was turned back", "1", 5, 4, 0, 6},
      {"the annotation was turned up", "40", 5, 5, 5, 41},
      {"the annotation is no number", "x7", 5, 5, 5, 6},
      {"the annotation is negative", "-7", 5, 5, 5, 6},
      {"the annotation is the largest number there is", "9223372036854775807", 5, 5, 5, 6},
      {"the annotation is beyond any number", "99999999999999999999", 5, 5, 5, 6},
      {"the document's is the largest number there is", "5", INT64_MAX, 5, 5, 6},
      {"the document's is negative", "5", -3, 5, 5, 6},
  };
  for (const RevisionRow& row : rows) {
    World world = settled();
    auto set = *api::parse_endpoint_set(world.config_map->endpoints_json, nullptr);
    set.revision = row.document;
    world.config_map->endpoints_json = api::to_canonical_json(set);
    world.config_map->revision = row.annotation;
    world.pool.status.endpoints_revision = row.status;
    world.last_revision = row.memory;
    world.pods.pop_back();
    EXPECT_EQ(world.decide().publish->write.set.revision, row.wanted) << row.situation;
  }
}

struct OwnerRow {
  const char* situation;
  std::vector<api::OwnerReference> owners;
  const char* reason;
  const char* message;
};

TEST(Endpoints, AConfigMapThatIsNotOursIsNeverWritten) {
  const api::OwnerReference namesake{.api_version = "poolwarden.io/v1alpha1",
                                     .kind = "InferencePool",
                                     .name = "vllm",
                                     .uid = "former-uid",
                                     .controller = true};
  api::OwnerReference other_pool = namesake;
  other_pool.name = "other";
  api::OwnerReference gateway_pool = namesake;
  gateway_pool.api_version = "inference.networking.k8s.io/v1";
  const OwnerRow rows[] = {
      {"a former pool of the same name", {namesake}, "WaitingForGarbageCollection", "once it is gone"},
      {"nobody's", {}, "NameTaken", "belongs to nobody: delete it, or set spec.publish.configMap.name"},
      {"another pool's", {other_pool}, "NameTaken", "InferencePool other"},
      {"a namesake of the Gateway API's kind", {gateway_pool}, "NameTaken", "InferencePool vllm"},
      {"another kind's", {{"v1", "Secret", "s", "s-uid", true}}, "NameTaken", "Secret s"},
  };
  for (const OwnerRow& row : rows) {
    World world = settled();
    world.config_map->owners = row.owners;
    world.config_map->labels.erase(std::string{api::kManagedByLabel});
    const Plan plan = world.decide(5);
    EXPECT_FALSE(plan.publish) << row.situation;
    ASSERT_TRUE(plan.status) << row.situation;
    const auto& published = condition(*plan.status, api::condition::kEndpointsPublished);
    EXPECT_EQ(published.status, "False") << row.situation;
    EXPECT_EQ(published.reason, row.reason) << row.situation;
    EXPECT_THAT(published.message, HasSubstr(row.message)) << row.situation;
    world.apply(plan);
    EXPECT_TRUE(world.decide(6).empty()) << row.situation << ": it waits without writing";
    world.config_map.reset();
    EXPECT_TRUE(world.decide(7).publish->write.create) << row.situation;
  }
}

// A pool that was deleted with --cascade=orphan and made again, or a backup that was restored.
TEST(Endpoints, AListOfOursWithoutAnOwner_IsTakenBack) {
  World world = settled();
  world.config_map->owners.clear();
  const std::string left = world.pods.back().name;
  world.pods.pop_back();
  const Plan plan = world.decide();
  ASSERT_TRUE(plan.publish);
  EXPECT_FALSE(plan.publish->write.create);
  ASSERT_EQ(plan.publish->changes.size(), 1U);
  EXPECT_EQ(plan.publish->changes[0].pod, left);
  EXPECT_THAT(plan.publish->event->message, HasSubstr("ownerReferences"));
}

// A finalizer holds it: for as long as it is there, readers read it.
TEST(Endpoints, AreStillWrittenToAConfigMapThatIsBeingDeleted) {
  World world = settled();
  world.config_map->deleting = true;
  EXPECT_FALSE(world.decide().publish);
  world.pods.pop_back();
  const Plan plan = world.decide();
  ASSERT_TRUE(plan.publish);
  EXPECT_FALSE(plan.publish->write.create);
  EXPECT_EQ(plan.publish->changes.size(), 1U);
  ASSERT_TRUE(plan.status);
  const auto& published = condition(*plan.status, api::condition::kEndpointsPublished);
  EXPECT_EQ(published.status, "True");
  EXPECT_THAT(published.message, HasSubstr("is being deleted and a finalizer holds it"));
}

struct HoldRow {
  const char* situation;
  std::function<void(World&)> change;
  const char* reason;
};

// Rule 4: nothing is withdrawn because we cannot see.
TEST(Endpoints, FailStatic) {
  const HoldRow rows[] = {
      {"the target is gone, and with it the selector", [](World& w) { w.target.reset(); }, "NoSelector"},
      {"the target cannot be read",
       [](World& w) { w.target.reset(), w.target_visibility = Visibility::kUnknown; }, "NoSelector"},
      {"the target's selector is empty", [](World& w) { w.target->selector = {}; }, "NoSelector"},
      {"the target's selector uses the label we write",
       [](World& w) {
         w.target->selector.match_labels = {{"poolwarden.io/serving", "true"}};
       },
       "NoSelector"},
      {"the target is of a kind that is not read", [](World& w) { w.pool.scale_target->kind = "DaemonSet"; },
       "NoSelector"},
      {"the spec is unusable", [](World& w) { w.pool.target_ports.clear(); }, "InvalidSpec"},
      {"pods cannot be read", [](World& w) { w.can_see = false, w.watch_errors = {"pods: grant list"}; },
       "CannotRead"},
  };
  for (const HoldRow& row : rows) {
    World world = settled();
    row.change(world);
    if (!world.can_see) world.pods.clear();  // what the snapshot then looks like
    const Plan plan = world.decide(5);
    EXPECT_FALSE(plan.publish || plan.service || !plan.pod_labels.empty()) << row.situation;
    ASSERT_TRUE(plan.status) << row.situation;
    EXPECT_EQ(plan.status->serving_replicas, 2) << row.situation;
    EXPECT_EQ(plan.status->endpoints_revision, 1) << row.situation;
    EXPECT_TRUE(plan.status->endpoints.empty()) << row.situation << ": both are on the list";
    EXPECT_EQ(condition(*plan.status, api::condition::kEndpointsPublished).reason, row.reason)
        << row.situation;
    EXPECT_EQ(condition(*plan.status, api::condition::kAvailable).status, "True") << row.situation;
    EXPECT_EQ(condition(*plan.status, api::condition::kDegraded).status, "True") << row.situation;
    world.apply(plan);
    EXPECT_TRUE(world.decide(6).empty()) << row.situation;
  }
}

// Another operator, which led before, made the list from newer pods than ours.
TEST(Endpoints, OlderPodsOverruleNoList) {
  World world = settled();
  world.config_map->pods_version = "120";
  world.pods_behind = true;
  world.pods.erase(world.pods.begin());                   // not there yet, for all we know
  world.pods.push_back(ready_pod("vllm-z", "10.0.0.9"));  // and this one may have gone since
  EXPECT_TRUE(world.decide().empty());
}

// The newer ones may have said that it is ready again, or the list would not have it.
TEST(Endpoints, WhatMayHavePassedIsNotBelievedOfOlderPods) {
  for (const char* made_from : {"120", "100"}) {
    World world = settled();
    world.config_map->pods_version = made_from;
    world.pods_behind = true;
    world.pods.front().ready = world.pods.front().containers_ready = api::Tristate::kFalse;
    EXPECT_EQ(world.decide().publish.has_value(), made_from == std::string("100")) << made_from;
    world.nodes.at("node-1").ready = api::Tristate::kFalse;
    EXPECT_TRUE(world.decide().publish) << "its node is seen by a watch of its own";
  }
}

TEST(Endpoints, WhoIsSeenToGoLeavesAlsoByOlderPods) {
  World world = settled();
  world.config_map->pods_version = "120";
  world.pods_behind = true;
  world.pods.front().deletion_timestamp.emplace();
  const Plan plan = world.decide();
  ASSERT_TRUE(plan.publish);
  EXPECT_EQ(plan.publish->write.set.endpoints.size(), 1U);
  EXPECT_EQ(plan.publish->write.pods_version, "120") << "the rest of it is still that of the newer ones";
  EXPECT_FALSE(plan.status || plan.scale_target || !plan.pod_labels.empty());
}

TEST(Endpoints, AListSaysWhichPodsItWasMadeFrom) {
  World world = settled();
  world.pods.pop_back();
  EXPECT_EQ(world.decide().publish->write.pods_version, "100");
  world.config_map.reset();
  EXPECT_EQ(world.decide().publish->write.pods_version, "100");
}

struct HeldPodRow {
  const char* situation;
  std::function<void(World&)> change;  // of pod vllm-a
  Withdrawal reason;
  std::size_t in_status;
};

// Who belongs to the pool cannot be told, but what has become of those on its list can.
TEST(Endpoints, OnHoldThoseThatGoStillLeave) {
  const HeldPodRow rows[] = {
      {"deleted", [](World& w) { w.pods.erase(w.pods.begin()); }, Withdrawal::kDeleted, 0},
      {"a namesake in its place", [](World& w) { w.pod("vllm-a").uid = "new"; }, Withdrawal::kDeleted, 0},
      {"terminating", [](World& w) { w.pod("vllm-a").deletion_timestamp.emplace(); },
       Withdrawal::kTerminating, 1},
      {"not ready", [](World& w) { w.pod("vllm-a").ready = api::Tristate::kFalse; }, Withdrawal::kNotReady,
       1},
  };
  const std::function<void(World&)> holds[] = {[](World& w) { w.target.reset(); },
                                               [](World& w) { w.pool.target_ports.clear(); }};
  for (const HeldPodRow& row : rows) {
    for (const auto& hold : holds) {
      World world = settled();
      hold(world);
      row.change(world);
      world.pods.push_back(ready_pod("vllm-c", "10.0.0.3"));
      const Plan plan = world.decide(5);
      ASSERT_TRUE(plan.publish) << row.situation;
      ASSERT_EQ(plan.publish->changes.size(), 1U) << row.situation;
      EXPECT_EQ(plan.publish->changes[0].reason, row.reason) << row.situation;
      EXPECT_FALSE(plan.publish->undo) << row.situation;
      ASSERT_EQ(plan.publish->write.set.endpoints.size(), 1U) << row.situation << ": and nobody joins";
      EXPECT_EQ(plan.publish->write.set.endpoints[0].pod, "vllm-b") << row.situation;
      ASSERT_TRUE(plan.status) << row.situation;
      EXPECT_EQ(plan.status->serving_replicas, 1) << row.situation;
      EXPECT_EQ(plan.status->endpoints.size(), row.in_status) << row.situation;
      world.settle(6);
      EXPECT_TRUE(world.decide(7).empty()) << row.situation;
    }
  }
}

// A list that does not fit cannot be written, and would go on naming pods that are gone.
TEST(Endpoints, AsManyArePublishedAsAConfigMapHolds) {
  World world;
  world.list_limits = {.shard_endpoints = 100'000, .shards = 1};
  world.pods.clear();
  const auto add = [&world](int number) {
    world.pods.push_back(
        ready_pod(fmt::format("vllm-{:05}", number), fmt::format("10.{}.{}.1", number / 256, number % 256)));
    world.pods.back().serving = api::serving::kTrue;
  };
  for (int i = 0; i < 8'000; ++i) add(i * 2);
  world.settle();
  const auto bytes = [&world] {
    return world.config_map->endpoints_json.size() + world.config_map->endpoints_text.size();
  };
  EXPECT_LE(bytes(), 1'048'576U);
  EXPECT_GT(bytes(), 1'046'000U);
  const auto listed = world.pool.status.serving_replicas;
  EXPECT_GT(listed, 4'000);
  const auto& published = condition(world.pool.status, api::condition::kEndpointsPublished);
  EXPECT_EQ(published.status, "False");
  EXPECT_EQ(published.reason, "TooLarge");
  EXPECT_THAT(
      published.message,
      HasSubstr(fmt::format("holds {} of 8000 ready endpoints, and no more fit into 1 ConfigMap", listed)));
  EXPECT_EQ(condition(world.pool.status, api::condition::kDegraded).reason, "ListTooLarge");

  add(1);  // sorts before most of those listed, and displaces none
  EXPECT_FALSE(world.decide(1).publish);
  world.pod("vllm-00100").deletion_timestamp.emplace();
  const Plan plan = world.decide(2);
  ASSERT_TRUE(plan.publish) << "withdrawals go on";
  ASSERT_EQ(plan.publish->changes.size(), 2U);
  EXPECT_EQ(plan.publish->changes[0].pod, "vllm-00100");
  EXPECT_EQ(plan.publish->changes[0].reason, Withdrawal::kTerminating);
  EXPECT_EQ(plan.publish->changes[1].reason, Withdrawal::kNone) << "another has room now";
  world.settle(3);
  EXPECT_TRUE(world.decide(4).empty());
}

TEST(Endpoints, NothingIsCreatedBlindly) {
  World world;
  world.target.reset();
  world.pods.clear();
  EXPECT_FALSE(world.decide().publish);
}

TEST(Endpoints, AnExplicitSelectorNeedsNoTarget) {
  World world = settled();
  world.pool.selector = api::LabelSelector{{{"app", "vllm"}}, {}};
  for (const Visibility visibility : {Visibility::kAbsent, Visibility::kUnknown}) {
    world.target.reset();
    world.target_visibility = visibility;
    EXPECT_FALSE(world.decide().publish);
    World less = world;
    less.pods.pop_back();
    EXPECT_EQ(less.decide().publish->write.set.endpoints.size(), 1U);
  }
}

TEST(Endpoints, WhileTheWriteFailsStatusTellsWhatReadersHave) {
  World world = settled();
  world.config_map_error = "configmaps \"vllm-endpoints\" is forbidden: grant patch on configmaps";
  world.config_map_error_reason = "Forbidden";
  world.pods.pop_back();
  const Plan plan = world.decide(5);
  ASSERT_TRUE(plan.publish) << "it is tried again";
  EXPECT_EQ(plan.status->serving_replicas, 2);
  EXPECT_EQ(plan.status->endpoints_revision, 1);
  const auto& published = condition(*plan.status, api::condition::kEndpointsPublished);
  EXPECT_EQ(published.status, "False");
  EXPECT_EQ(published.reason, "Forbidden");
  EXPECT_THAT(published.message, HasSubstr("grant patch"));
}

TEST(Endpoints, TwoPoolsOfOnePodBothPublishIt) {
  World world = settled();
  world.overlapping_pools = {"other"};
  world.pods_of_others = {"vllm-a-uid", "vllm-b-uid"};
  const Plan plan = world.decide(1);
  EXPECT_FALSE(plan.publish);
  EXPECT_TRUE(plan.pod_labels.empty());
  const auto& degraded = condition(*plan.status, api::condition::kDegraded);
  EXPECT_EQ(degraded.reason, "Overlap");
  EXPECT_THAT(degraded.message, HasSubstr("pool other"));
}

}  // namespace
}  // namespace poolwarden::pool
