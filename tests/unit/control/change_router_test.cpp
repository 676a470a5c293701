#include "control/change_router.h"

#include "parts.h"

#include <gmock/gmock.h>

namespace poolwarden::control {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

// Pool "a" selects app=vllm and lists pod "p"; pool "b" selects app=other. Everything is read.
struct Routed : Parts {
  Routed() {
    list<Pools>({made_pool("a", "vllm"), made_pool("b", "other")});
    list<ConfigMaps>({made_list(made_pool("a", "vllm"), {"p"})});
    list<Pods>({made_pod("p", "vllm")});
    list<Nodes>({made_node("node-1")});
    list_the_rest();
    record("a").list.stop_watches();
  }
  bool has_event() { return record("a").list.first_event(kube::TimePoint::max()) != kube::TimePoint::max(); }
  // A label write of pod "p" that gives it `serving`.
  void write_label(const std::string& serving) {
    WriteRequest request;
    request.purpose =
        PodLabelWrite{{.name = "p", .uid = "p-uid", .resource_version = {}, .serving = serving}, {}};
    request.object = {Written::kPod, {"default", "p"}};
    request.pool = {{"default", "a"}, "a-uid"};
    request.call = kube::merge_patch(kube::kPods, "default", "p", "{}");
    ASSERT_TRUE(writes.send(std::move(request), now.mono, out).sent());
  }
  void write_object(Written kind, const std::string& name) {
    WriteRequest request;
    request.purpose = BudgetWrite{};
    request.object = {kind, {"default", name}};
    request.pool = {{"default", "a"}, "a-uid"};
    request.call = kube::get(kube::kPods, "default", name);
    ASSERT_TRUE(writes.send(std::move(request), now.mono, out).sent());
  }
  // Whether the object was seen to change while the newest write was under way.
  bool changed_meanwhile() {
    const auto answered = writes.answered({out.sends.back().id, Answer()}, now.mono);
    return answered && answered->changed_meanwhile;
  }
};

TEST(ChangeRouter, ListedPodTurnsUnready_ItsPoolIsUrgent) {
  Routed parts;
  parts.router.mark(parts.record("b"), parts.now);
  parts.see<Pods>(unready(made_pod("p", "vllm")));
  EXPECT_TRUE(parts.record("a").list.withdrawal_due());
  EXPECT_THAT(parts.marked(), ElementsAre("a", "b")) << "though b came first";
}

TEST(ChangeRouter, PodIsWellAgain_NoWithdrawalIsDue) {
  Routed parts;
  parts.see<Pods>(unready(made_pod("p", "vllm")));
  parts.see<Pods>(made_pod("p", "vllm"));
  EXPECT_FALSE(parts.record("a").list.withdrawal_due());
}

TEST(ChangeRouter, HeartbeatOfAPod_MarksNothing) {
  Routed parts;
  api::Pod beating = made_pod("p", "vllm");
  beating.resource_version = "2";
  parts.see<Pods>(beating);
  EXPECT_THAT(parts.marked(), IsEmpty());
  EXPECT_FALSE(parts.has_event());
}

TEST(ChangeRouter, PodDeleted_IsForgottenAndWithdrawn) {
  Routed parts;
  EXPECT_TRUE(parts.record("a").list.ever_listed().contains("p-uid"));
  parts.lose<Pods>("p");
  EXPECT_THAT(parts.marked(), ElementsAre("a"));
  EXPECT_TRUE(parts.record("a").list.withdrawal_due());
  EXPECT_FALSE(parts.record("a").list.ever_listed().contains("p-uid"));
}

TEST(ChangeRouter, PodChangesPools_BothHear) {
  Routed parts;
  parts.see<Pods>(made_pod("p", "other"));
  EXPECT_THAT(parts.marked(), UnorderedElementsAre("a", "b"));
  EXPECT_TRUE(parts.record("a").list.withdrawal_due());
  EXPECT_FALSE(parts.record("b").list.withdrawal_due());
}

TEST(ChangeRouter, PodOfNoPool_MarksNothing) {
  Routed parts;
  parts.see<Pods>(made_pod("q", "database"));
  parts.see<Pods>(unready(made_pod("q", "database")));
  EXPECT_THAT(parts.marked(), IsEmpty());
}

TEST(ChangeRouter, PodOnTheListOfAPoolWithoutSelector_PoolHears) {
  Parts parts;
  api::InferencePool unsure = made_pool("a", "");
  unsure.scale_target = api::ScaleTargetRef{"apps/v1", "Deployment", "vllm"};
  parts.list<Pools>({unsure});
  parts.list<ConfigMaps>({made_list(unsure, {"p"})});
  parts.list<Pods>({made_pod("p", "vllm")});
  parts.list_the_rest();
  parts.see<Pods>(unready(made_pod("p", "vllm")));
  EXPECT_THAT(parts.marked(), ElementsAre("a"));
  EXPECT_TRUE(parts.record("a").list.withdrawal_due());
}

TEST(ChangeRouter, PodIsSeenByAStandby_NoStopwatchStarts) {
  Routed parts;
  parts.router.set_acting(false);
  parts.see<Pods>(unready(made_pod("p", "vllm")));
  EXPECT_FALSE(parts.has_event());
  EXPECT_TRUE(parts.record("a").list.withdrawal_due()) << "it is remembered for whoever leads next";
  parts.router.set_acting(true);
  parts.see<Pods>(made_pod("p", "vllm"));
  EXPECT_TRUE(parts.has_event());
}

TEST(ChangeRouter, OwnLabelAheadOfItsAnswer_MarksNothing) {
  Routed parts;
  parts.write_label("true");
  parts.see<Pods>(labelled(made_pod("p", "vllm"), "true"));
  EXPECT_THAT(parts.marked(), IsEmpty());
  EXPECT_FALSE(parts.changed_meanwhile());
}

TEST(ChangeRouter, AnotherLabelDuringAWrite_Marks) {
  Routed parts;
  parts.write_label("true");
  parts.see<Pods>(labelled(made_pod("p", "vllm"), "edited"));
  EXPECT_THAT(parts.marked(), ElementsAre("a"));
  EXPECT_TRUE(parts.changed_meanwhile());
}

// Where the write is a label of mere membership, nobody would look at the pod after its answer.
TEST(ChangeRouter, DrainRequestDuringALabelWrite_IsToldByItsAnswer) {
  Routed parts;
  parts.write_label("true");
  const api::Pod ours = labelled(made_pod("p", "vllm"), "true");
  parts.see<Pods>(ours);
  parts.see<Pods>(drain_requested(ours));
  EXPECT_TRUE(parts.changed_meanwhile());
}

TEST(ChangeRouter, DrainRequestSeenWithOurLabel_IsToldByTheAnswer) {
  Routed parts;
  parts.write_label("true");
  parts.see<Pods>(drain_requested(labelled(made_pod("p", "vllm"), "true")));
  EXPECT_TRUE(parts.changed_meanwhile());
}

TEST(ChangeRouter, LabelWritten_OtherPoolsOfThePodHear) {
  Routed parts;
  parts.see<Pools>(made_pool("c", "vllm"));
  parts.marked();
  parts.router.wrote_label({"default", "p"}, &parts.record("a"), parts.now);
  EXPECT_THAT(parts.marked(), ElementsAre("c"));
  parts.router.wrote_label({"default", "p"}, nullptr, parts.now);
  EXPECT_THAT(parts.marked(), UnorderedElementsAre("a", "c")) << "written for no pool";
  parts.router.wrote_label({"default", "gone"}, nullptr, parts.now);
  EXPECT_THAT(parts.marked(), IsEmpty());
}

TEST(ChangeRouter, PodGoesWhileItDrains_IsCountedAsLostOnce) {
  Routed parts;
  const api::Pod going = draining(made_pod("p", "vllm"));
  parts.see<Pods>(going);
  api::Pod failed = going;
  failed.phase = api::PodPhase::kFailed;
  parts.see<Pods>(failed);
  EXPECT_THAT(parts.metrics.drains, ElementsAre("lost"));
  parts.lose<Pods>("p");
  EXPECT_THAT(parts.metrics.drains, ElementsAre("lost")) << "it had gone before";
  parts.router.set_acting(false);
  parts.see<Pods>(going);
  parts.lose<Pods>("p");
  EXPECT_THAT(parts.metrics.drains, ElementsAre("lost")) << "whoever leads counts it";
}

TEST(ChangeRouter, NewPool_MarksItsNamespace) {
  Routed parts;
  api::InferencePool elsewhere = made_pool("e", "vllm");
  elsewhere.ns = "elsewhere";
  parts.see<Pools>(elsewhere);
  EXPECT_THAT(parts.marked(), ElementsAre("e"));
  parts.see<Pools>(made_pool("c", "vllm"));
  EXPECT_THAT(parts.marked(), UnorderedElementsAre("a", "b", "c")) << "neighbours may overlap now";
}

TEST(ChangeRouter, PoolGone_IsForgottenAndNeighboursHear) {
  Routed parts;
  parts.lose<Pools>("a");
  EXPECT_EQ(parts.table.find({"default", "a"}), nullptr);
  EXPECT_THAT(parts.metrics.gone, ElementsAre("a"));
  EXPECT_THAT(parts.marked(), ElementsAre("b"));
}

TEST(ChangeRouter, OwnStatusAheadOfItsAnswer_MarksNothing) {
  Routed parts;
  parts.write_object(Written::kPool, "a");
  api::InferencePool written = made_pool("a", "vllm");
  written.status.replicas = 1;
  parts.see<Pools>(written);
  EXPECT_THAT(parts.marked(), IsEmpty());
  written.generation = 2;
  written.replicas = 3;
  written.resource_version.clear();
  parts.see<Pools>(written);
  EXPECT_THAT(parts.marked(), ElementsAre("a")) << "its spec has changed";
}

TEST(ChangeRouter, OwnStatusAnswer_UpdatesTheTableAndMarksNothing) {
  Routed parts;
  auto after = std::make_shared<api::InferencePool>(made_pool("a", "vllm"));
  after->deleting = true;
  parts.router.wrote({kube::DeltaKind::kModified, parts.pool("a"), after, parts.now.mono});
  EXPECT_TRUE(parts.record("a").deleting);
  EXPECT_THAT(parts.marked(), IsEmpty());
}

TEST(ChangeRouter, ListChanges_MarksThePoolThatPublishesIt) {
  Routed parts;
  parts.see<ConfigMaps>(made_list(made_pool("a", "vllm"), {"p", "q"}, 6));
  EXPECT_THAT(parts.marked(), ElementsAre("a"));
  EXPECT_TRUE(parts.record("a").list.lists("q-uid"));
  parts.lose<ConfigMaps>("a-endpoints");
  EXPECT_THAT(parts.marked(), ElementsAre("a"));
}

TEST(ChangeRouter, ListChangesDuringItsWrite_WaitsForTheAnswer) {
  Routed parts;
  parts.write_object(Written::kConfigMap, "a-endpoints");
  parts.see<ConfigMaps>(made_list(made_pool("a", "vllm"), {"p", "q"}, 6));
  EXPECT_THAT(parts.marked(), IsEmpty());
  EXPECT_FALSE(parts.record("a").list.lists("q-uid")) << "whose change it was is not known yet";
  EXPECT_TRUE(parts.changed_meanwhile());
}

TEST(ChangeRouter, UnlabelledListWasRemembered_AChangeForgetsIt) {
  Routed parts;
  parts.record("a").unlabelled["a-endpoints"].config_map = made_list(made_pool("a", "vllm"), {});
  parts.see<ConfigMaps>(made_list(made_pool("a", "vllm"), {"p"}, 6));
  EXPECT_THAT(parts.record("a").unlabelled, IsEmpty());
}

TEST(ChangeRouter, ServiceChanges_MarksItsPoolUnlessItIsWritten) {
  Routed parts;
  api::Service service;
  service.ns = "default";
  service.name = "a";
  service.uid = "service-uid";
  parts.see<Services>(service);
  EXPECT_THAT(parts.marked(), ElementsAre("a"));
  parts.write_object(Written::kService, "a");
  service.labels = {{"x", "y"}};
  parts.see<Services>(service);
  EXPECT_THAT(parts.marked(), IsEmpty());
  EXPECT_TRUE(parts.changed_meanwhile());
}

TEST(ChangeRouter, NodeIsTainted_ItsPodsAreUnfitAtOnce) {
  Routed parts;
  parts.router.mark(parts.record("b"), parts.now);
  api::Node node = made_node("node-1");
  node.taints = {"gone"};
  parts.see<Nodes>(node);
  EXPECT_TRUE(parts.record("a").list.withdrawal_due());
  EXPECT_THAT(parts.marked(), ElementsAre("a", "b"));
  parts.see<Nodes>(made_node("node-1"));
  EXPECT_FALSE(parts.record("a").list.withdrawal_due()) << "the taint was taken off again";
}

TEST(ChangeRouter, NodeIsGone_ItsPodsAreUnfit) {
  Routed parts;
  parts.lose<Nodes>("node-1");
  EXPECT_TRUE(parts.record("a").list.withdrawal_due());
  EXPECT_THAT(parts.marked(), ElementsAre("a"));
}

TEST(ChangeRouter, HeartbeatOfANode_MarksNothing) {
  Routed parts;
  parts.see<Nodes>(made_node("node-1"));
  EXPECT_THAT(parts.marked(), IsEmpty());
}

TEST(ChangeRouter, NodeOfAFirstList_WithdrawsNobodyYet) {
  Parts parts;
  parts.list<Pools>({made_pool("a", "vllm")});
  parts.list<ConfigMaps>({made_list(made_pool("a", "vllm"), {"p"})});
  parts.list<Pods>({made_pod("p", "vllm")});
  api::Node node = made_node("node-1");
  node.taints = {"gone"};
  parts.list<Nodes>({node});
  EXPECT_FALSE(parts.record("a").list.withdrawal_due()) << "not everything is read";
}

TEST(ChangeRouter, PodComesToADrainingNode_IsRememberedUntilItGoes) {
  Routed parts;
  api::Node cordoned = made_node("node-1");
  cordoned.unschedulable = true;
  parts.see<Nodes>(cordoned);
  parts.pass_time(1min);
  api::Pod late = made_pod("late", "vllm");
  late.created = parts.now.wall;
  parts.see<Pods>(late);
  api::Pod missed = made_pod("missed", "vllm");
  missed.created = parts.now.wall - 1h;
  parts.see<Pods>(missed);
  EXPECT_TRUE(parts.router.draining_nodes().scheduled_after_drain("late-uid"));
  EXPECT_FALSE(parts.router.draining_nodes().scheduled_after_drain("missed-uid")) << "the watch had a gap";
  parts.lose<Pods>("late");
  EXPECT_FALSE(parts.router.draining_nodes().scheduled_after_drain("late-uid"));
}

TEST(ChangeRouter, TargetChanges_MarksWhomItConcerns) {
  Routed parts;
  api::InferencePool targeted = made_pool("t", "");
  targeted.scale_target = api::ScaleTargetRef{"apps/v1", "Deployment", "vllm"};
  parts.see<Pools>(targeted);
  parts.marked();
  api::Deployment target;
  target.ns = "default";
  target.name = "vllm";
  target.uid = "target-uid";
  target.selector.match_labels = {{"app", "vllm"}};
  parts.see<Deployments>(target);
  EXPECT_THAT(parts.marked(), UnorderedElementsAre("a", "b", "t")) << "now t selects whom a does";
  target.replicas = 4;
  parts.see<Deployments>(target);
  EXPECT_THAT(parts.marked(), ElementsAre("t"));
  parts.see<Deployments>(target);
  EXPECT_THAT(parts.marked(), IsEmpty()) << "nothing that is read has changed";
  parts.lose<Deployments>("vllm");
  EXPECT_THAT(parts.marked(), UnorderedElementsAre("a", "b", "t")) << "t decides about its pods no more";
  EXPECT_FALSE(parts.record("t").selector_known);
}

TEST(ChangeRouter, StatefulSetChanges_MarksThoseThatScaleItAndThePoolsOfItsPods) {
  Routed parts;
  for (const auto& [name, kind] : {std::pair{"t", "StatefulSet"}, std::pair{"namesake", "Deployment"}}) {
    api::InferencePool targeted = made_pool(name, "");
    targeted.scale_target = api::ScaleTargetRef{"apps/v1", kind, "vllm"};
    parts.see<Pools>(targeted);
  }
  api::Pod pod = made_pod("vllm-0", "vllm");
  pod.controller = std::make_shared<const std::string>("set-uid");
  parts.see<Pods>(pod);
  parts.marked();
  api::StatefulSet set;
  set.ns = "default";
  set.name = "vllm";
  set.uid = "set-uid";
  set.selector.match_labels = {{"app", "other"}};
  parts.see<StatefulSets>(set);
  EXPECT_TRUE(parts.record("t").selector_known);
  EXPECT_FALSE(parts.record("namesake").selector_known) << "it is to scale a Deployment of that name";
  parts.marked();
  set.update_revision = "vllm-2";
  parts.see<StatefulSets>(set);
  EXPECT_THAT(parts.marked(), UnorderedElementsAre("a", "t"));
  parts.see<StatefulSets>(set);
  EXPECT_THAT(parts.marked(), IsEmpty()) << "nothing that is read has changed";
}

TEST(ChangeRouter, RolloutChanges_MarksThePoolsThatScaleIt) {
  Routed parts;
  for (const auto& [name, version] :
       {std::pair{"t", "argoproj.io/v1alpha1"}, std::pair{"other", "argoproj.io/v1"}}) {
    api::InferencePool targeted = made_pool(name, "");
    targeted.scale_target = api::ScaleTargetRef{version, "Rollout", "vllm"};
    parts.see<Pools>(targeted);
  }
  parts.list<Rollouts>({});
  parts.marked();
  api::Rollout rollout;
  rollout.ns = "default";
  rollout.name = "vllm";
  rollout.uid = "rollout-uid";
  rollout.selector.match_labels = {{"app", "other"}};
  parts.see<Rollouts>(rollout);
  EXPECT_TRUE(parts.record("t").selector_known);
  EXPECT_FALSE(parts.record("other").selector_known);
  parts.marked();
  rollout.active_template = "green";
  parts.see<Rollouts>(rollout);
  EXPECT_THAT(parts.marked(), ElementsAre("t"));
}

TEST(ChangeRouter, WorkerChanges_MarksThePoolsOfItsLeader) {
  Routed parts;
  const auto in_group = [](const char* name, const char* app, const char* index) {
    api::Pod pod = made_pod(name, app);
    pod.labels =
        std::make_shared<const api::Labels>(api::LabelMap{{"app", app},
                                                          {std::string(api::kGroupSetLabel), "llm"},
                                                          {std::string(api::kGroupIndexLabel), "0"},
                                                          {std::string(api::kWorkerIndexLabel), index}});
    return pod;
  };
  parts.see<Pods>(in_group("llm-0", "vllm", "0"));
  api::Pod worker = in_group("llm-0-1", "worker", "1");
  parts.see<Pods>(worker);
  parts.marked();
  worker.ready = api::Tristate::kFalse;
  parts.see<Pods>(worker);
  EXPECT_THAT(parts.marked(), ElementsAre("a"));
  parts.lose<Pods>("llm-0-1");
  EXPECT_THAT(parts.marked(), ElementsAre("a"));
}

TEST(ChangeRouter, ReplicaSetChanges_MarksThePoolsOfItsPodsOnce) {
  Routed parts;
  for (const char* name : {"q", "r"}) {
    api::Pod pod = made_pod(name, "vllm");
    pod.controller = std::make_shared<const std::string>("set-uid");
    parts.see<Pods>(pod);
  }
  parts.marked();
  api::ReplicaSet set;
  set.ns = "default";
  set.name = "vllm-1";
  set.uid = "set-uid";
  parts.see<ReplicaSets>(set);
  EXPECT_THAT(parts.marked(), ElementsAre("a"));
  parts.see<ReplicaSets>(set);
  EXPECT_THAT(parts.marked(), IsEmpty());
}

api::Pod released(api::Pod pod) {
  api::DrainAnnotations annotations;
  annotations.started = "2023-11-14T22:00:00Z";
  annotations.saved_cost = "";
  pod.serving = std::string(api::serving::kDrained);
  pod.annotations = std::make_shared<const api::DrainAnnotations>(std::move(annotations));
  return pod;
}

TEST(ChangeRouter, PodIsReleased_ItIsKnownSinceWhen) {
  Routed parts;
  parts.see<Pods>(released(made_pod("p", "vllm")));
  parts.pass_time(5s);
  EXPECT_EQ(parts.router.releases().released_for("p-uid", parts.now.mono), 5s);
  parts.see<Pods>(labelled(made_pod("p", "vllm"), "true"));
  EXPECT_EQ(parts.router.releases().taken_back("p-uid"), parts.now.mono);
  parts.lose<Pods>("p");
  EXPECT_FALSE(parts.router.releases().taken_back("p-uid"));
}

TEST(ChangeRouter, ReleaseOfOurOwn_IsKnownByItsAnswer) {
  Routed parts;
  parts.write_label("drained");
  api::Pod pod = released(made_pod("p", "vllm"));
  pod.resource_version = parts.next_version();
  parts.answer(parts.out.sends.size() - 1, Answer(pod));
  EXPECT_TRUE(parts.router.releases().released_for("p-uid", parts.now.mono));
}

// A pod of a ReplicaSet that is to have `replicas`, beside another one.
struct Deleted : Routed {
  explicit Deleted(std::int32_t replicas) {
    api::ReplicaSet set;
    set.ns = "default";
    set.name = "set";
    set.uid = "set-uid";
    set.replicas = replicas;
    see<ReplicaSets>(set);
    for (const char* name : {"p", "q", "r"}) see<Pods>(of_set(name));
  }
  static api::Pod of_set(const std::string& name) {
    api::Pod pod = labelled(made_pod(name, "vllm"), "true");
    pod.controller = std::make_shared<const std::string>("set-uid");
    return pod;
  }
  void remove(api::Pod pod) {
    pod.deletion_timestamp = now.wall;
    see<Pods>(std::move(pod));
  }
  bool is_told() { return record("a").slipped_deletes.tell(now.mono); }
};

TEST(ChangeRouter, PodsOfASurplusAreDeletedWhileTheyServe_NothingHoldsThem) {
  Deleted parts(1);
  parts.remove(Deleted::of_set("p"));
  EXPECT_FALSE(parts.is_told()) << "a person may have done it";
  parts.remove(Deleted::of_set("q"));
  EXPECT_TRUE(parts.is_told());
}

TEST(ChangeRouter, GateComesAfterwards_WhatSlippedBeforeSaysNothingOfIt) {
  Deleted parts(1);
  parts.remove(Deleted::of_set("p"));
  parts.remove(Deleted::of_set("q"));
  api::GatePart gate;
  gate.name = gate.uid = std::string(api::kGateName);
  parts.see<GatePolicies>(gate);
  EXPECT_FALSE(parts.is_told());
}

TEST(ChangeRouter, PodsAreDeletedAndThereIsNoSurplus_NobodyElseDidIt) {
  Deleted parts(3);
  parts.remove(Deleted::of_set("p"));
  parts.remove(Deleted::of_set("q"));
  EXPECT_FALSE(parts.is_told());
}

TEST(ChangeRouter, PodsAreEvictedOrReleasedBefore_NothingSlipped) {
  Deleted parts(0);
  api::Pod evicted = Deleted::of_set("p");
  evicted.disruption_target = "EvictionByEvictionAPI";
  parts.remove(evicted);
  for (const char* name : {"q", "r"}) {
    parts.see<Pods>(released(Deleted::of_set(name)));
    parts.remove(released(Deleted::of_set(name)));
  }
  EXPECT_FALSE(parts.is_told());
}

TEST(ChangeRouter, AutoscalersAndBudgets_MarkTheirNamespace) {
  Routed parts;
  api::Autoscaler autoscaler;
  autoscaler.ns = "default";
  autoscaler.name = autoscaler.uid = "hpa";
  parts.see<Autoscalers>(autoscaler);
  EXPECT_THAT(parts.marked(), UnorderedElementsAre("a", "b"));
  parts.see<Autoscalers>(autoscaler);
  EXPECT_THAT(parts.marked(), IsEmpty());
  api::DisruptionBudget budget;
  budget.ns = "default";
  budget.name = budget.uid = "pdb";
  parts.see<Budgets>(budget);
  EXPECT_THAT(parts.marked(), UnorderedElementsAre("a", "b"));
  parts.write_object(Written::kBudget, "pdb");
  budget.min_available = "1";
  parts.see<Budgets>(budget);
  EXPECT_THAT(parts.marked(), IsEmpty()) << "a write of it is under way";
  EXPECT_TRUE(parts.changed_meanwhile());
}

TEST(ChangeRouter, GateChanges_MarksAllPools) {
  Routed parts;
  api::InferencePool elsewhere = made_pool("e", "vllm");
  elsewhere.ns = "elsewhere";
  parts.see<Pools>(elsewhere);
  parts.marked();
  api::GatePart gate;
  gate.name = gate.uid = std::string(api::kGateName);
  parts.see<GatePolicies>(gate);
  EXPECT_THAT(parts.marked(), UnorderedElementsAre("a", "b", "e"));
  parts.see<GatePolicies>(gate);
  EXPECT_THAT(parts.marked(), IsEmpty());
}

}  // namespace
}  // namespace poolwarden::control
