#include "control/snapshot_builder.h"

#include "parts.h"
#include "pool/budget.h"

#include <gmock/gmock.h>

namespace poolwarden::control {
namespace {

using namespace std::chrono_literals;
using pool::Visibility;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

pool::Snapshot snapshot_of(Parts& parts, const std::string& pool) {
  return parts.snapshots.build(parts.record(pool), *parts.pool(pool), false, parts.now);
}

std::vector<std::string> pods_in(const pool::Snapshot& seen) {
  std::vector<std::string> names;
  for (const api::Pod* pod : seen.pods) names.push_back(pod->name);
  return names;
}

std::vector<std::string> names_of(const std::vector<const api::InferencePool*>& pools) {
  std::vector<std::string> names;
  for (const api::InferencePool* one : pools) names.push_back(one->name);
  return names;
}

// A pool that takes its selector from a Deployment which is not there.
api::InferencePool unsure_pool(const std::string& name) {
  api::InferencePool pool = made_pool(name, "");
  pool.scale_target = api::ScaleTargetRef{"apps/v1", "Deployment", "vllm"};
  return pool;
}

TEST(SnapshotBuilder, Pods_AreTheMembersByName) {
  Parts parts;
  parts.list<Pools>({made_pool("a", "vllm")});
  parts.list<Pods>({made_pod("q", "vllm"), made_pod("x", "other"), made_pod("p", "vllm")});
  parts.list_the_rest();
  EXPECT_THAT(pods_in(snapshot_of(parts, "a")), ElementsAre("p", "q"));
}

TEST(SnapshotBuilder, ListedPodWasRelabelled_IsShown) {
  Parts parts;
  parts.list<Pools>({made_pool("a", "vllm")});
  parts.list<ConfigMaps>({made_list(made_pool("a", "vllm"), {"p", "q"})});
  parts.list<Pods>({made_pod("o", "vllm"), made_pod("p", "other"), made_pod("q", "vllm")});
  parts.list_the_rest();
  parts.see<ConfigMaps>(made_list(made_pool("a", "vllm"), {"p", "q"}, 6));
  EXPECT_THAT(pods_in(snapshot_of(parts, "a")), ElementsAre("o", "p", "q"));
  EXPECT_TRUE(snapshot_of(parts, "a").is_listed("p-uid"));
}

TEST(SnapshotBuilder, ListFromNewerPods_IsBehind) {
  Parts parts;
  api::ConfigMap list = made_list(made_pool("a", "vllm"), {"p"});
  list.pods_version = "100000";
  parts.list<Pools>({made_pool("a", "vllm")});
  parts.list<ConfigMaps>({list});
  parts.list_the_rest();
  EXPECT_EQ(parts.snapshots.newer_shards(parts.record("a")).size(), 1U);
  list.pods_version = "1";
  parts.see<ConfigMaps>(list);
  EXPECT_TRUE(parts.snapshots.newer_shards(parts.record("a")).empty());
  list.pods_version = "of another cluster";
  parts.see<ConfigMaps>(list);
  EXPECT_TRUE(parts.snapshots.newer_shards(parts.record("a")).empty())
      << "versions that do not compare say nothing";
  parts.lose<ConfigMaps>("a-endpoints");
  EXPECT_TRUE(parts.snapshots.newer_shards(parts.record("a")).empty());
}

// It has the name that a second shard would have, and was made from the pods of another cluster.
TEST(SnapshotBuilder, ConfigMapOfAnother_IsNoReasonToWait) {
  Parts parts;
  api::ConfigMap foreign = made_list(made_pool("a", "vllm"), {"p"}, 5, 2);
  foreign.pods_version = "9999999999999";
  foreign.owners.clear();
  parts.list<Pools>({made_pool("a", "vllm")});
  parts.list<ConfigMaps>({made_list(made_pool("a", "vllm"), {"p"}), foreign});
  parts.list_the_rest();
  EXPECT_TRUE(parts.snapshots.newer_shards(parts.record("a")).empty());
}

TEST(SnapshotBuilder, ConfigMapWithoutOurLabel_IsShown) {
  Parts parts;
  parts.list<Pools>({made_pool("a", "vllm")});
  parts.list_the_rest();
  const auto shown = [&parts] { return snapshot_of(parts, "a").list.front().config_map; };
  EXPECT_EQ(shown(), nullptr);
  api::ConfigMap foreign = made_list(made_pool("a", "vllm"), {});
  foreign.uid = "foreign";
  parts.record("a").unlabelled["a-endpoints"].config_map = foreign;
  ASSERT_NE(shown(), nullptr);
  EXPECT_EQ(shown()->uid, "foreign");
  parts.see<ConfigMaps>(made_list(made_pool("a", "vllm"), {}));
  EXPECT_EQ(shown()->uid, "a-endpoints-uid");
}

TEST(SnapshotBuilder, MissingObject_IsAbsentOnceItsKindIsRead) {
  Parts parts;
  api::InferencePool pool = made_pool("a", "vllm");
  pool.scale_target = api::ScaleTargetRef{"apps/v1", "Deployment", "vllm"};
  parts.list<Pools>({pool});
  pool::Snapshot seen = snapshot_of(parts, "a");
  for (const Visibility visibility :
       {seen.target_visibility, seen.service_visibility, seen.budget_visibility})
    EXPECT_EQ(visibility, Visibility::kUnknown);
  EXPECT_FALSE(seen.can_see);
  EXPECT_FALSE(seen.sees_replica_sets);
  parts.list_the_rest();
  seen = snapshot_of(parts, "a");
  for (const Visibility visibility :
       {seen.target_visibility, seen.service_visibility, seen.budget_visibility})
    EXPECT_EQ(visibility, Visibility::kAbsent);
  EXPECT_TRUE(seen.can_see);
  EXPECT_TRUE(seen.sees_replica_sets);
  api::Deployment target;
  target.ns = "default";
  target.name = "vllm";
  target.uid = "target-uid";
  parts.see<Deployments>(target);
  seen = snapshot_of(parts, "a");
  EXPECT_EQ(seen.target_visibility, Visibility::kPresent);
  EXPECT_EQ(seen.target->uid, "target-uid");
}

TEST(SnapshotBuilder, UnreadableKinds_AreNamed) {
  Parts parts;
  parts.list<Pools>({made_pool("a", "vllm")});
  parts.forbid<Nodes>();
  parts.list_the_rest();
  pool::Snapshot seen = snapshot_of(parts, "a");
  EXPECT_THAT(seen.watch_errors, ElementsAre("needs verbs list and watch on nodes"));
  EXPECT_THAT(seen.stale, IsEmpty());
  EXPECT_FALSE(seen.sees_cordons);
  EXPECT_FALSE(seen.node);
  parts.forbid<Services>();
  seen = snapshot_of(parts, "a");
  EXPECT_THAT(seen.stale, ElementsAre("needs verbs list and watch on services")) << "it was read once";
}

api::EndpointSlice made_slice(const std::string& pool, const std::string& uid, std::string_view manager) {
  api::EndpointSlice slice;
  slice.ns = "default";
  slice.name = pool + "-" + std::string(manager);
  slice.uid = slice.name + "-uid";
  slice.service = pool;
  slice.pool = pool;
  slice.manager = manager;
  slice.skips_mirror = true;
  api::SliceEndpoint endpoint;
  endpoint.pod = "p";
  endpoint.uid = uid;
  endpoint.ready = true;
  slice.endpoints.push_back(std::move(endpoint));
  return slice;
}

api::Service made_direct_service(const std::string& name, bool selects) {
  api::Service service;
  service.ns = "default";
  service.name = name;
  service.uid = name + "-uid";
  service.labels.emplace(api::kSkipMirrorLabel, "true");
  if (selects) service.selector.emplace("app", "vllm");
  return service;
}

TEST(SnapshotBuilder, ADrainWaitsForASliceThatSaysToUseThePod) {
  struct Row {
    const char* what;
    std::string_view manager;
    bool selects;
    bool waits;
  };
  for (const Row& row : {Row{"ours", api::kOurSliceManager, true, true},
                         Row{"Kubernetes keeps it", api::kKubernetesSliceManager, true, false},
                         Row{"Kubernetes has left it behind", api::kKubernetesSliceManager, false, true}}) {
    Parts parts;
    parts.list<Pools>({made_pool("a", "vllm")});
    parts.list<Pods>({made_pod("p", "vllm")});
    parts.list<Services>({made_direct_service("a", row.selects)});
    parts.list<EndpointSlices>({made_slice("a", "p-uid", row.manager)});
    parts.list_the_rest();
    EXPECT_EQ(snapshot_of(parts, "a").listed_by_others.contains("p-uid"), row.waits) << row.what;
  }
}

TEST(SnapshotBuilder, ADrainWaitsForTheSliceOfAnotherPoolOfThePod) {
  Parts parts;
  parts.list<Pools>({made_pool("a", "vllm"), made_pool("b", "vllm")});
  parts.list<Pods>({made_pod("p", "vllm")});
  parts.list<EndpointSlices>({made_slice("b", "p-uid", api::kOurSliceManager)});
  parts.list_the_rest();
  EXPECT_THAT(snapshot_of(parts, "a").listed_by_others, ElementsAre("p-uid"));
}

TEST(SnapshotBuilder, SlicesThatCannotBeReadAnyMoreStillCount) {
  Parts parts;
  parts.list<Pools>({made_pool("a", "vllm")});
  parts.list<Pods>({made_pod("p", "vllm")});
  parts.list<EndpointSlices>({made_slice("a", "p-uid", api::kOurSliceManager)});
  parts.list_the_rest();
  parts.forbid<EndpointSlices>();
  const pool::Snapshot seen = snapshot_of(parts, "a");
  EXPECT_EQ(seen.slice_sight, pool::SliceSight::kRefused);
  EXPECT_THAT(seen.listed_by_others, ElementsAre("p-uid"));
}

TEST(SnapshotBuilder, SlicesThatWereNeverReadMaySayAnything) {
  Parts parts;
  parts.list<Pools>({made_pool("a", "vllm")});
  parts.list<Pods>({made_pod("p", "vllm")});
  parts.list<Services>({made_direct_service("a", false)});
  const pool::Snapshot seen = snapshot_of(parts, "a");
  EXPECT_EQ(seen.slice_sight, pool::SliceSight::kNotYet);
  EXPECT_THAT(seen.listed_by_others, ElementsAre("p-uid"));
}

TEST(SnapshotBuilder, PodOfTwoPools_FirstPoolDecides) {
  Parts parts;
  api::InferencePool patient = made_pool("b", "vllm");
  patient.drain.timeout = 900s;
  parts.list<Pools>({made_pool("a", "vllm"), patient});
  parts.list<ConfigMaps>({made_list(made_pool("a", "vllm"), {"p"})});
  parts.list<Pods>({made_pod("p", "vllm")});
  parts.list_the_rest();
  parts.see<ConfigMaps>(made_list(made_pool("a", "vllm"), {"p"}, 6));

  const pool::Snapshot first = snapshot_of(parts, "a");
  EXPECT_THAT(first.overlapping_pools, ElementsAre("b"));
  EXPECT_THAT(first.pods_of_others, ElementsAre("p-uid"));
  EXPECT_THAT(first.led_by_others, IsEmpty());
  EXPECT_THAT(first.listed_by_others, IsEmpty());
  EXPECT_EQ(first.drain_of(*first.pods.front()).timeout, 900s);

  const pool::Snapshot second = snapshot_of(parts, "b");
  EXPECT_THAT(second.led_by_others, ElementsAre("p-uid"));
  EXPECT_THAT(second.listed_by_others, ElementsAre("p-uid"));
}

TEST(SnapshotBuilder, PoolThatCannotDecide_LeadsNoPods) {
  Parts parts;
  api::InferencePool broken = made_pool("a", "vllm");
  broken.target_ports.clear();
  ASSERT_FALSE(api::problems(broken).empty());
  parts.list<Pools>({broken, made_pool("b", "vllm")});
  parts.list<Pods>({made_pod("p", "vllm")});
  parts.list_the_rest();
  const pool::Snapshot seen = snapshot_of(parts, "b");
  EXPECT_THAT(seen.pods_of_others, ElementsAre("p-uid"));
  EXPECT_THAT(seen.led_by_others, IsEmpty());
}

TEST(SnapshotBuilder, PodAlone_HasNoOtherPools) {
  Parts parts;
  parts.list<Pools>({made_pool("a", "vllm"), made_pool("b", "other")});
  parts.list<Pods>({made_pod("p", "vllm")});
  parts.list_the_rest();
  const pool::Snapshot seen = snapshot_of(parts, "a");
  EXPECT_THAT(seen.overlapping_pools, IsEmpty());
  EXPECT_THAT(seen.pods_of_others, IsEmpty());
  EXPECT_TRUE(seen.shared_drains.empty());
}

TEST(SnapshotBuilder, PoolWithoutSelectorListsThePod_ListCounts) {
  Parts parts;
  api::InferencePool unsure = unsure_pool("b");
  unsure.drain.timeout = 900s;
  parts.list<Pools>({made_pool("a", "vllm"), unsure});
  parts.list<Pods>({made_pod("p", "vllm")});
  parts.list_the_rest();
  parts.see<ConfigMaps>(made_list(unsure, {"p"}));
  const pool::Snapshot seen = snapshot_of(parts, "a");
  EXPECT_THAT(seen.listed_by_others, ElementsAre("p-uid"));
  EXPECT_THAT(seen.overlapping_pools, IsEmpty()) << "whom it selects is not known";
  EXPECT_EQ(seen.drain_of(*seen.pods.front()).timeout, 900s);
}

TEST(SnapshotBuilder, OtherPoolsOfAPod_AreThoseItServesOrMay) {
  Parts parts;
  parts.list<Pools>({made_pool("a", "vllm"), made_pool("b", "vllm"), unsure_pool("c"), unsure_pool("d")});
  parts.list<Pods>({made_pod("p", "vllm")});
  parts.list_the_rest();
  parts.see<ConfigMaps>(made_list(unsure_pool("c"), {"p"}));
  const api::InferencePool pool = *parts.pool("a");
  EXPECT_THAT(names_of(parts.snapshots.other_pools_of(pool, "p", "p-uid")), ElementsAre("b", "c"));
  EXPECT_THAT(parts.snapshots.other_pools_of(pool, "p", "another-uid"), IsEmpty()) << "a namesake";
  EXPECT_THAT(parts.snapshots.other_pools_of(pool, "gone", "gone-uid"), IsEmpty());
}

TEST(SnapshotBuilder, PodOfNoPool_MayBeOfOneThatDoesNotKnow) {
  Parts parts;
  api::InferencePool knew = unsure_pool("knew");
  knew.status.selector = "app=vllm";
  parts.list<Pools>({knew, unsure_pool("listed")});
  parts.list<Pods>({made_pod("p", "vllm"), made_pod("q", "other"), made_pod("r", "other")});
  parts.list_the_rest();
  parts.see<ConfigMaps>(made_list(unsure_pool("listed"), {"q"}));
  const auto may_be_of_a_pool = [&parts](const api::Pod& pod) {
    return parts.snapshots.may_be_of(parts.snapshots.undecided_pools("default"), pod);
  };
  EXPECT_TRUE(may_be_of_a_pool(made_pod("p", "vllm"))) << "its status says so";
  EXPECT_TRUE(may_be_of_a_pool(made_pod("q", "other"))) << "it was on its list";
  EXPECT_FALSE(may_be_of_a_pool(made_pod("r", "other")));
  api::InferencePool going = knew;
  going.deleting = true;
  parts.see<Pools>(going);
  EXPECT_FALSE(may_be_of_a_pool(made_pod("p", "vllm"))) << "it is being deleted";
  for (int i = 0; i < 65; ++i) parts.see<Pools>(unsure_pool(fmt::format("unsure-{}", i)));
  EXPECT_TRUE(may_be_of_a_pool(made_pod("r", "other"))) << "so many are not asked one by one";
}

TEST(SnapshotBuilder, PodsOfManyPools_TheFirstCountAndTheOthersAreCounted) {
  Parts parts;
  std::vector<api::InferencePool> pools;
  for (int i = 0; i < 20; ++i) pools.push_back(made_pool(fmt::format("pool-{:02}", i), "vllm"));
  pools[0].drain.timeout = 700s;
  pools[19].drain.timeout = 900s;
  parts.list<Pools>(pools);
  parts.list<Pods>({made_pod("p", "vllm"), made_pod("q", "vllm")});
  parts.list_the_rest();
  const pool::Snapshot seen = snapshot_of(parts, "pool-10");
  EXPECT_THAT(seen.overlapping_pools, ElementsAre("pool-00", "pool-01", "pool-02", "pool-03", "pool-04",
                                                  "pool-05", "pool-06", "pool-07"));
  EXPECT_EQ(seen.more_overlapping_pools, 11U);
  EXPECT_THAT(seen.led_by_others, ElementsAre("p-uid", "q-uid"));
  EXPECT_EQ(seen.drain_of(*seen.pods.front()).timeout, 700s);
  EXPECT_THAT(snapshot_of(parts, "pool-00").led_by_others, IsEmpty()) << "whoever is first decides";
  EXPECT_EQ(parts.snapshots.other_pools_of(*parts.pool("pool-10"), "p", "p-uid").size(), 8U);
}

// Broken ones decide nothing: the first that does may be any.
TEST(SnapshotBuilder, FirstPoolsCannotDecide_ALaterOneLeads) {
  Parts parts;
  std::vector<api::InferencePool> pools;
  for (int i = 0; i < 20; ++i) pools.push_back(made_pool(fmt::format("pool-{:02}", i), "vllm"));
  for (int i = 0; i < 15; ++i) pools[static_cast<std::size_t>(i)].target_ports.clear();
  parts.list<Pools>(pools);
  parts.list<Pods>({made_pod("p", "vllm")});
  parts.list_the_rest();
  EXPECT_THAT(snapshot_of(parts, "pool-15").led_by_others, IsEmpty());
  EXPECT_THAT(snapshot_of(parts, "pool-16").led_by_others, ElementsAre("p-uid"));
}

TEST(SnapshotBuilder, Gate_IsAsToldOrAsFound) {
  for (const auto& [told, expected] :
       {std::pair{DrainGate::kOn, pool::Gate::kPresent}, std::pair{DrainGate::kOff, pool::Gate::kMissing}})
    EXPECT_EQ(Parts(told).snapshots.gate().gate, expected);
  Parts parts(DrainGate::kAuto);
  EXPECT_EQ(parts.snapshots.gate().gate, pool::Gate::kUnseen);
  api::GatePart part;
  part.name = part.uid = std::string(api::kGateName);
  parts.list<GatePolicies>({part});
  EXPECT_EQ(parts.snapshots.gate().gate, pool::Gate::kUnseen) << "it has two parts";
  parts.list<GateBindings>({});
  EXPECT_EQ(parts.snapshots.gate().gate, pool::Gate::kMissing);
  parts.see<GateBindings>(part);
  EXPECT_EQ(parts.snapshots.gate().gate, pool::Gate::kPresent);
  part.difference = "it warns only";
  parts.see<GatePolicies>(part);
  EXPECT_EQ(parts.snapshots.gate().gate, pool::Gate::kEdited);
}

TEST(SnapshotBuilder, Autoscalers_AreThoseOfThePoolAndOfItsTarget) {
  Parts parts;
  parts.list<Pools>({unsure_pool("a")});
  parts.list_the_rest();
  const auto scales = [&](const std::string& name, const std::string& group, const std::string& kind,
                          const std::string& target, const std::string& ns = "default") {
    api::Autoscaler one;
    one.ns = ns;
    one.name = name;
    one.uid = ns + name;
    one.target_group = group;
    one.target_kind = kind;
    one.target_name = target;
    parts.see<Autoscalers>(one);
  };
  scales("of-pool", "poolwarden.io", "InferencePool", "a");
  scales("of-target", "apps", "Deployment", "vllm");
  scales("of-a-namesake", "apps", "StatefulSet", "vllm");
  scales("of-target", "apps", "Deployment", "vllm", "elsewhere");
  const pool::Snapshot seen = snapshot_of(parts, "a");
  EXPECT_THAT(seen.pool_autoscalers, ElementsAre("of-pool"));
  EXPECT_THAT(seen.target_autoscalers, ElementsAre("of-target"));
}

TEST(SnapshotBuilder, PoolAsksForMoreTimeThanPodsMayHave_TheyHaveThat) {
  Parts parts;
  api::InferencePool pool = made_pool("a", "vllm");
  pool.drain.timeout = 1h;
  parts.list<Pools>({pool});
  parts.list<Pods>({made_pod("p", "vllm")});
  parts.list_the_rest();
  const pool::Snapshot seen = snapshot_of(parts, "a");
  EXPECT_EQ(seen.drain_limit(*seen.pods.front()), 10min) << "as the operator was started";
}

TEST(SnapshotBuilder, PodOfTwoPools_IsDecidedAboutByOneThatCan) {
  Parts parts;
  parts.list<Pools>({made_pool("a", "vllm"), made_pool("b", "vllm")});
  parts.list<Pods>({made_pod("p", "vllm")});
  parts.list_the_rest();
  EXPECT_THAT(snapshot_of(parts, "b").decided_by_others, ElementsAre("p-uid"));
  for (const char* name : {"a", "b"}) {
    api::InferencePool unusable = made_pool(name, "vllm");
    unusable.target_ports.clear();
    parts.see<Pools>(unusable);
  }
  EXPECT_THAT(snapshot_of(parts, "a").decided_by_others, IsEmpty()) << "neither leaves it to the other";
  EXPECT_THAT(snapshot_of(parts, "b").decided_by_others, IsEmpty());
}

TEST(SnapshotBuilder, Budgets_AreItsOwnAndOthersThatSelectItsPods) {
  Parts parts;
  parts.list<Pools>({made_pool("a", "vllm")});
  parts.list<Pods>({made_pod("p", "vllm")});
  parts.list_the_rest();
  const auto budget = [&](const std::string& name, const std::string& app, bool deleting = false) {
    api::DisruptionBudget one;
    one.ns = "default";
    one.name = one.uid = name;
    one.selector.match_labels = {{"app", app}};
    one.deleting = deleting;
    parts.see<Budgets>(one);
  };
  budget(pool::budget_name(*parts.pool("a")), "vllm");
  budget("another", "vllm");
  budget("of-others", "other");
  budget("going", "vllm", true);
  const pool::Snapshot seen = snapshot_of(parts, "a");
  ASSERT_NE(seen.budget, nullptr);
  EXPECT_EQ(seen.budget->name, pool::budget_name(*parts.pool("a")));
  EXPECT_THAT(seen.other_budgets, ElementsAre("another"));
  for (int i = 0; i < 300; ++i) budget(fmt::format("many-{:03}", i), i % 2 == 0 ? "vllm" : "other");
  EXPECT_EQ(snapshot_of(parts, "a").other_budgets.size(), 8U) << "the first few are told";
}

// A pool of so many different pods is not compared with each budget of a namespace that is full of them.
TEST(SnapshotBuilder, BudgetsAndLabelsWithoutEnd_TheFirstAreCompared) {
  Parts parts;
  parts.list<Pools>({made_pool("a", "vllm")});
  std::vector<api::Pod> pods;
  for (int i = 0; i < 100; ++i) {
    pods.push_back(made_pod(fmt::format("p-{:03}", i), "vllm"));
    pods.back().labels = std::make_shared<const api::Labels>(
        api::LabelMap{{"app", "vllm"}, {"number", fmt::format("{:03}", i)}});
  }
  parts.list<Pods>(pods);
  parts.list_the_rest();
  const auto budget = [&](const std::string& name, const std::string& number) {
    api::DisruptionBudget one;
    one.ns = "default";
    one.name = one.uid = name;
    one.selector.match_labels = {{"number", number}};
    parts.see<Budgets>(one);
  };
  for (const char* number : {"010", "063", "064"}) budget(std::string("of-") + number, number);
  EXPECT_THAT(snapshot_of(parts, "a").other_budgets, ElementsAre("of-010", "of-063"));
  for (int i = 0; i < 400; ++i) budget(fmt::format("a-{:03}", i), "none");
  EXPECT_THAT(snapshot_of(parts, "a").other_budgets, IsEmpty()) << "400 before them by name";
}

TEST(SnapshotBuilder, DeletesThatNothingHeld_AreToldWhereTheGateStands) {
  for (const DrainGate gate : {DrainGate::kOn, DrainGate::kOff}) {
    Parts parts(gate);
    parts.list<Pools>({made_pool("a", "vllm")});
    parts.list_the_rest();
    parts.record("a").slipped_deletes.saw("p", parts.now.mono);
    parts.record("a").slipped_deletes.saw("q", parts.now.mono);
    const auto remarks = snapshot_of(parts, "a").remarks;
    ASSERT_EQ(remarks.size(), gate == DrainGate::kOn ? 1U : 0U);
    if (!remarks.empty()) {
      EXPECT_EQ(remarks[0].reason, "DeletesNotHeld");
    }
  }
}

TEST(SnapshotBuilder, WhatBecameOfReplicas_IsTold) {
  Parts parts;
  api::InferencePool pool = made_pool("a", "vllm");
  pool.scale_target = api::ScaleTargetRef{.api_version = "apps/v1", .kind = "Deployment", .name = "web"};
  parts.list<Pools>({pool});
  api::Deployment target;
  target.ns = "default";
  target.name = target.uid = "web";
  parts.list<Deployments>({target});
  parts.list_the_rest();
  auto& moves = parts.record("a").replica_moves;
  moves.adopted(6, 1, parts.now.mono);
  ASSERT_EQ(snapshot_of(parts, "a").remarks.size(), 1U);
  EXPECT_EQ(snapshot_of(parts, "a").remarks[0].reason, "ReplicasFell");
  EXPECT_EQ(snapshot_of(parts, "a").replicas_wait.count(), 0);
  for (int i = 0; i < 2; ++i) {
    moves.scaled(1, 6, parts.now.mono);
    moves.adopted(6, 1, parts.now.mono);
  }
  const pool::Snapshot seen = snapshot_of(parts, "a");
  ASSERT_EQ(seen.remarks.size(), 1U);
  EXPECT_EQ(seen.remarks[0].reason, "ReplicasContested");
  EXPECT_GT(seen.replicas_wait.count(), 0);
}

TEST(SnapshotBuilder, ReplicaSets_AreThoseOfItsPodsByUid) {
  Parts parts;
  parts.list<Pools>({made_pool("a", "vllm")});
  std::vector<api::Pod> pods;
  for (const auto& [name, set] : {std::pair{"p", "set-2"}, std::pair{"q", "set-1"}, std::pair{"r", "set-2"},
                                  std::pair{"s", "set-unknown"}, std::pair{"t", ""}}) {
    pods.push_back(made_pod(name, "vllm"));
    pods.back().controller = std::make_shared<const std::string>(set);
  }
  pods.push_back(made_pod("outside", "other"));
  pods.back().controller = std::make_shared<const std::string>("set-1");
  parts.list<Pods>(pods);
  std::vector<api::ReplicaSet> sets;
  for (const char* uid : {"set-1", "set-2", "set-3"}) {
    sets.emplace_back();
    sets.back().ns = "default";
    sets.back().name = sets.back().uid = uid;
  }
  parts.list<ReplicaSets>(sets);
  parts.list_the_rest();
  const pool::Snapshot seen = snapshot_of(parts, "a");
  ASSERT_EQ(seen.replica_sets.size(), 2U);
  EXPECT_EQ(seen.replica_sets[0].set->uid, "set-1");
  EXPECT_EQ(seen.replica_sets[0].pods_outside_pool, 1);
  EXPECT_EQ(seen.replica_sets[1].set->uid, "set-2");
  EXPECT_EQ(seen.replica_sets[1].pods_outside_pool, 0);
}

TEST(SnapshotBuilder, StatefulSets_TellWhoGoesNextOfAllTheirPods) {
  Parts parts;
  api::InferencePool pool = made_pool("a", "vllm");
  pool.scale_target = api::ScaleTargetRef{"apps/v1", "StatefulSet", "web"};
  parts.list<Pools>({pool});
  std::vector<api::Pod> pods;
  for (const char* name : {"web-0", "web-1", "web-2"}) {
    pods.push_back(made_pod(name, name == std::string("web-0") ? "other" : "vllm"));
    pods.back().controller = std::make_shared<const std::string>("set-uid");
  }
  parts.list<Pods>(pods);
  EXPECT_FALSE(snapshot_of(parts, "a").sees_stateful_sets);
  api::StatefulSet set;
  set.ns = "default";
  set.name = "web";
  set.uid = "set-uid";
  set.replicas = 2;
  parts.list<StatefulSets>({set});
  parts.list_the_rest();
  const pool::Snapshot seen = snapshot_of(parts, "a");
  EXPECT_TRUE(seen.sees_stateful_sets);
  ASSERT_NE(seen.target, nullptr);
  EXPECT_EQ(seen.target->uid, "set-uid");
  ASSERT_EQ(seen.stateful_sets.size(), 1U);
  EXPECT_EQ(seen.stateful_sets[0].set->uid, "set-uid");
  EXPECT_THAT(seen.stateful_sets[0].leaving,
              ElementsAre(testing::Pair("web-2-uid", pool::DrainReason::kScaleDown)));
  EXPECT_FALSE(seen.stateful_sets[0].held);
  parts.pass_time(6s);
  EXPECT_TRUE(snapshot_of(parts, "a").stateful_sets[0].held) << "its controller would have deleted it by now";
}

TEST(SnapshotBuilder, WhatIsRememberedOfThePool_IsShown) {
  Parts parts;
  parts.list<Pools>({made_pool("a", "vllm")});
  parts.list_the_rest();
  PoolRecord& record = parts.record("a");
  record.errors = {.config_maps = {{"a-endpoints", {.reason = "Forbidden", .text = "refused"}}},
                   .service = "no service",
                   .slices = {{"a-poolwarden-ipv4-1", "no slice"}},
                   .budget = "no budget",
                   .scale = "no scale",
                   .labels = {{"p-uid", "no label"}}};
  record.status.dropped_fields = {"surgeReplicas"};
  record.agreed = api::Agreement{3, "target-uid"};
  record.replicas_in_flight = true;
  const pool::Snapshot seen =
      parts.snapshots.build(record, *parts.pool("a"), /*pods_behind=*/true, parts.now);
  EXPECT_EQ(seen.config_map_error, "refused");
  EXPECT_EQ(seen.config_map_error_reason, "Forbidden");
  EXPECT_EQ(seen.service_error, "no service");
  EXPECT_EQ(seen.slices_error, "no slice");
  EXPECT_EQ(seen.budget_error, "no budget");
  EXPECT_EQ(seen.scale_error, "no scale");
  EXPECT_EQ(seen.labels_error, "no label");
  EXPECT_THAT(seen.dropped_fields, ElementsAre("surgeReplicas"));
  EXPECT_EQ(seen.agreed, (api::Agreement{3, "target-uid"}));
  EXPECT_TRUE(seen.replicas_unsettled);
  EXPECT_TRUE(seen.pods_behind);
}

}  // namespace
}  // namespace poolwarden::control
