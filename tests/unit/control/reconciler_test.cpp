#include "control/reconciler.h"

#include "parts.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace poolwarden::control {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Pool "a" lists pods "p" and "q", which are ready; everything is read.
struct Reconciled : Parts {
  explicit Reconciled(const api::InferencePool& pool = made_pool("a", "vllm")) {
    list<Pools>({pool});
    list<ConfigMaps>({made_list(pool, {"p", "q"})});
    list<Pods>({made_pod("p", "vllm"), made_pod("q", "vllm")});
    list<Nodes>({made_node("node-1")});
    list_the_rest();
  }
  bool withdraw() { return reconciler.withdraw(record("a"), *pool("a"), now, out); }
  std::optional<pool::Plan> pass() { return reconciler.pass(record("a"), *pool("a"), now, out); }
  void write_rest(pool::Plan plan) { reconciler.write_rest(record("a"), *pool("a"), plan, now, out); }
  void lose_readiness(const std::string& pod) { see<Pods>(unready(made_pod(pod, "vllm"))); }
  nlohmann::json body() const { return nlohmann::json::parse(out.sends.back().call.body); }
  // What the newest write of the list says.
  nlohmann::json document() const {
    return nlohmann::json::parse(body().at("data").at("endpoints.json").get<std::string>());
  }
  std::vector<std::string> listed_pods() const {
    std::vector<std::string> names;
    for (const auto& endpoint : nlohmann::json(document().at("endpoints")))
      names.push_back(endpoint.at("pod"));
    return names;
  }
  std::vector<std::string> sent_since() {
    std::vector<std::string> calls = sent();
    out.sends.clear();
    return calls;
  }
};

api::PodLabelWrite label_of(const std::string& pod, const std::string& serving, bool drain = false) {
  api::PodLabelWrite label{.name = pod, .uid = pod + "-uid", .resource_version = "1", .serving = serving};
  if (drain) label.annotations.emplace(std::string(api::kDrainStartedAnnotation), "2023-11-14T22:00:00Z");
  return label;
}

api::ServiceWrite service_of(bool only_count) {
  api::ServiceWrite service;
  service.only_count = only_count;
  service.resource_version = "1";
  service.labels = {{std::string(api::kReadyEndpointsLabel), "2"}};
  return service;
}

// All that a plan can want besides the list.
pool::Plan full_plan() {
  pool::Plan plan;
  plan.scale_target =
      api::ScaleWrite{.from = 2, .to = 3, .agreed = 3, .target_uid = "t", .resource_version = "1"};
  plan.service = service_of(false);
  plan.budget = api::BudgetWrite{.create = true, .name = "a-drain", .resource_version = {}, .selector = {}};
  plan.pod_labels = {label_of("p", "true"), label_of("q", "draining", true)};
  plan.status.emplace();
  plan.status->observed_generation = 1;
  return plan;
}

TEST(ReconcilerReplicas, WhatIsLent_WaitsForTheStatusUnderWay) {
  Reconciled parts;
  pool::Plan status;
  status.status.emplace();
  status.status->observed_generation = 1;
  parts.write_rest(status);
  ASSERT_THAT(parts.sent_since(), ElementsAre("merge-patch inferencepools a/status"));
  pool::Plan plan;
  plan.scale_target =
      api::ScaleWrite{.from = 2, .to = 3, .agreed = 2, .target_uid = "t", .resource_version = "1"};
  parts.write_rest(plan);
  EXPECT_THAT(parts.sent_since(), IsEmpty());
  plan.scale_target->agreed = 3;
  parts.write_rest(plan);
  EXPECT_EQ(parts.sent_since().size(), 1U) << "what somebody wants waits for nothing";
}

TEST(ReconcilerWithdraw, ListedPodIsUnfit_SendsTheListWithoutIt) {
  Reconciled parts;
  parts.lose_readiness("p");
  ASSERT_TRUE(parts.withdraw());
  EXPECT_THAT(parts.sent(), ElementsAre("update configmaps a-endpoints")) << "and nothing else";
  EXPECT_THAT(parts.listed_pods(), ElementsAre("q"));
  EXPECT_EQ(parts.document().at("revision"), 6);
  EXPECT_FALSE(parts.record("a").list.withdrawal_due());
  EXPECT_FALSE(parts.withdraw()) << "it is under way";
}

struct Sliced : Reconciled {
  Sliced() {
    api::EndpointSlice slice;
    slice.ns = "default";
    slice.name = "a-poolwarden-ipv4-1";
    slice.uid = "slice-uid";
    slice.service = slice.pool = "a";
    slice.manager = api::kOurSliceManager;
    slice.skips_mirror = true;
    for (const char* pod : {"p", "q"}) {
      const api::Pod listed = made_pod(pod, "vllm");
      slice.endpoints.push_back({.address = listed.ip,
                                 .pod = pod,
                                 .uid = listed.uid,
                                 .node = *listed.node,
                                 .zone = {},
                                 .ready = true,
                                 .serving = true});
    }
    see<EndpointSlices>(slice);
    marked();
  }
  nlohmann::json first_condition(std::size_t n) const {
    return nlohmann::json::parse(out.sends.at(n).call.body).at("endpoints").at(0).at("conditions");
  }
};

TEST(ReconcilerWithdraw, SlicesOfOursGoWithTheList) {
  Sliced parts;
  parts.lose_readiness("p");
  ASSERT_TRUE(parts.withdraw());
  EXPECT_THAT(parts.sent(),
              ElementsAre("update endpointslices a-poolwarden-ipv4-1", "update configmaps a-endpoints"));
  EXPECT_EQ(parts.first_condition(0).at("ready"), false);
  EXPECT_EQ(parts.out.sends[0].call.lane, kube::CallLane::kUrgent);
}

TEST(ReconcilerWithdraw, SlicesWaitForNoList) {
  Sliced parts;
  parts.lose_readiness("q");
  ASSERT_TRUE(parts.withdraw());
  auto slice = *parts.feeds.store<EndpointSlices>().find("default", "a-poolwarden-ipv4-1");
  slice.resource_version = parts.next_version();
  slice.endpoints[1].ready = slice.endpoints[1].serving = false;
  parts.answer(0, Answer(slice));
  parts.sent_since();
  parts.lose_readiness("p");
  EXPECT_FALSE(parts.withdraw()) << "the list is still under way";
  EXPECT_THAT(parts.sent(), ElementsAre("update endpointslices a-poolwarden-ipv4-1"));
}

// As after two writes that crossed: no shard may keep it.
TEST(ReconcilerWithdraw, PodIsOnTwoShards_LeavesBoth) {
  const api::InferencePool pool = made_pool("a", "vllm");
  Parts parts;
  parts.list<Pools>({pool});
  parts.list<ConfigMaps>({made_list(pool, {"p", "q"}, 5, 1, 2), made_list(pool, {"p"}, 6, 2)});
  parts.list<Pods>({made_pod("p", "vllm"), made_pod("q", "vllm")});
  parts.list<Nodes>({made_node("node-1")});
  parts.list_the_rest();
  parts.see<Pods>(unready(made_pod("p", "vllm")));
  ASSERT_TRUE(parts.reconciler.withdraw(parts.record("a"), *parts.pool("a"), parts.now, parts.out));
  EXPECT_THAT(parts.sent(), ElementsAre("update configmaps a-endpoints", "update configmaps a-endpoints-2"));
}

TEST(ReconcilerWithdraw, NobodyIsUnfit_NeedsAPass) {
  Reconciled parts;
  EXPECT_FALSE(parts.withdraw());
  EXPECT_THAT(parts.sent(), IsEmpty());
}

TEST(ReconcilerWithdraw, ListIsBeingWritten_WaitsForTheAnswer) {
  Reconciled parts;
  parts.lose_readiness("p");
  ASSERT_TRUE(parts.withdraw());
  parts.lose_readiness("q");
  EXPECT_FALSE(parts.withdraw());
  EXPECT_TRUE(parts.record("a").list.withdrawal_due()) << "still to be done";
  EXPECT_THAT(parts.sent(), ElementsAre("update configmaps a-endpoints"));
}

TEST(ReconcilerWithdraw, ListWasEdited_NeedsAPass) {
  Reconciled parts;
  api::ConfigMap edited = made_list(made_pool("a", "vllm"), {"p", "q"});
  edited.endpoints_text += "10.0.0.9:8000\n";
  parts.see<ConfigMaps>(edited);
  parts.lose_readiness("p");
  EXPECT_FALSE(parts.withdraw());
  EXPECT_THAT(parts.sent(), IsEmpty());
  ASSERT_TRUE(parts.pass());
  EXPECT_THAT(parts.listed_pods(), ElementsAre("q")) << "the pass puts both right";
}

TEST(ReconcilerWithdraw, ListIsNotThere_NeedsAPass) {
  Reconciled parts;
  parts.lose_readiness("p");
  parts.lose<ConfigMaps>("a-endpoints");
  EXPECT_FALSE(parts.withdraw());
  EXPECT_THAT(parts.sent(), IsEmpty());
}

TEST(ReconcilerWithdraw, PoolIsBeingDeleted_NeedsAPass) {
  Reconciled parts;
  parts.lose_readiness("p");
  api::InferencePool going = made_pool("a", "vllm");
  going.deleting = true;
  parts.see<Pools>(going);
  EXPECT_FALSE(parts.withdraw());
}

// Its watch is silent, or tells now what happened before it led: that the pod was unready, and no longer is.
TEST(ReconcilerWithdraw, OurPodsAreOlder_OnlyWhatIsFinalIsBelieved) {
  Reconciled parts;
  parts.see<ConfigMaps>(of_newer_pods(made_list(made_pool("a", "vllm"), {"p", "q"})));
  parts.lose_readiness("p");
  EXPECT_FALSE(parts.withdraw());
  api::Pod going = made_pod("p", "vllm");
  going.deletion_timestamp.emplace();
  parts.see<Pods>(going);
  ASSERT_TRUE(parts.withdraw());
  EXPECT_EQ(parts.body().at("metadata").at("annotations").at(std::string(api::kPodsVersionAnnotation)),
            "100000");
}

// No reader takes such a revision, and ours stays below it.
TEST(ReconcilerWithdraw, RevisionWasEditedTooHigh_IsPassedOver) {
  for (const std::int64_t edited : {std::int64_t{1} << 60, std::numeric_limits<std::int64_t>::max()}) {
    Reconciled parts;
    parts.see<ConfigMaps>(made_list(made_pool("a", "vllm"), {"p", "q"}, edited));
    parts.see<ConfigMaps>(made_list(made_pool("a", "vllm"), {"p", "q"}, 7));
    parts.lose_readiness("p");
    ASSERT_TRUE(parts.withdraw());
    EXPECT_EQ(parts.document().at("revision"), 8);
  }
}

TEST(ReconcilerWithdraw, RevisionInStatusIsTooHigh_IsPassedOver) {
  api::InferencePool pool = made_pool("a", "vllm");
  pool.status.endpoints_revision = std::numeric_limits<std::int64_t>::max();
  Reconciled parts(pool);
  parts.lose_readiness("p");
  ASSERT_TRUE(parts.withdraw());
  EXPECT_EQ(parts.document().at("revision"), 6);
}

TEST(ReconcilerWithdraw, Stopwatch_BeganWithTheFirstEvent) {
  Reconciled parts;
  parts.lose_readiness("p");
  parts.pass_time(40ms);
  ASSERT_TRUE(parts.withdraw());
  const auto answered = parts.writes.answered({parts.out.sends.back().id, Answer()}, parts.now.mono);
  ASSERT_TRUE(answered);
  const auto& write = std::get<PublishWrite>(answered->call.purpose);
  EXPECT_THAT(write.began, ElementsAre(parts.now.mono - 40ms));
  EXPECT_FALSE(write.for_leader);
}

TEST(ReconcilerPass, ListIsDue_IsSentFirst) {
  Reconciled parts;
  parts.see<Pods>(made_pod("r", "vllm"));
  const auto plan = parts.pass();
  ASSERT_TRUE(plan);
  EXPECT_THAT(parts.sent(), ElementsAre("update configmaps a-endpoints"));
  EXPECT_THAT(parts.listed_pods(), ElementsAre("p", "q", "r"));
  parts.write_rest(*plan);
  EXPECT_THAT(parts.sent(), ElementsAre("update configmaps a-endpoints")) << "the rest waits for its answer";
}

TEST(ReconcilerPass, ListIsBeingWritten_WaitsASecondAtMost) {
  Reconciled parts;
  parts.see<Pods>(made_pod("r", "vllm"));
  ASSERT_TRUE(parts.pass());
  parts.marked();
  parts.pass_time(999ms);
  EXPECT_FALSE(parts.pass());
  EXPECT_EQ(parts.queue.next_deadline(), parts.now.mono + 1ms) << "and is looked at again";
  parts.pass_time(1ms);
  EXPECT_TRUE(parts.pass()) << "an answer that never comes holds up nothing";
}

TEST(ReconcilerPass, LargePool_IsPassedOverOnceInItsTime) {
  Parts parts;
  parts.list<Pools>({made_pool("a", "vllm")});
  std::vector<api::Pod> pods;
  for (int i = 0; i < 500; ++i) pods.push_back(unready(made_pod(fmt::format("p-{:03}", i), "vllm")));
  parts.list<Pods>(pods);
  parts.list_the_rest();
  PoolRecord& record = parts.record("a");
  EXPECT_EQ(parts.reconciler.cost(record), 500U);
  ASSERT_TRUE(parts.reconciler.pass(record, *parts.pool("a"), parts.now, parts.out));
  ASSERT_TRUE(parts.writes.answered({parts.out.sends.front().id, Answer()}, parts.now.mono));
  parts.pass_time(9ms);
  EXPECT_FALSE(parts.reconciler.pass(record, *parts.pool("a"), parts.now, parts.out));
  parts.pass_time(1ms);
  EXPECT_TRUE(parts.reconciler.pass(record, *parts.pool("a"), parts.now, parts.out)) << "20 us for each pod";
}

TEST(ReconcilerPass, NothingIsDue_StopwatchesStop) {
  Reconciled parts;
  parts.see<Pods>(labelled(made_pod("p", "vllm"), "true"));
  EXPECT_EQ(parts.record("a").list.first_event(kube::TimePoint::max()), parts.now.mono);
  ASSERT_TRUE(parts.pass());
  EXPECT_EQ(parts.record("a").list.first_event(kube::TimePoint::max()), kube::TimePoint::max());
}

TEST(ReconcilerPass, ListFromNewerPods_IsLeftForFiveMinutesAtMost) {
  Reconciled parts;
  parts.see<ConfigMaps>(of_newer_pods(made_list(made_pool("a", "vllm"), {"p"}, 6)));
  const auto plan = parts.pass();
  ASSERT_TRUE(plan);
  EXPECT_FALSE(plan->publish) << "q may be gone by then";
  EXPECT_THAT(parts.sent(), IsEmpty());
  EXPECT_EQ(parts.record("a").behind_since, parts.now.mono);
  parts.marked();
  EXPECT_EQ(parts.queue.next_deadline(), parts.now.mono + 1s);
  for (int minute = 1; minute <= 5; ++minute) {
    parts.pass_time(1min);
    parts.see<Pods>(made_pod("elsewhere", "other"));  // pods are heard of, and never get there
    ASSERT_TRUE(parts.pass());
    EXPECT_EQ(parts.sent().empty(), minute < 5) << minute;
  }
}

// Somebody wrote that version into it, or it is of another cluster. Its content is what it should be.
TEST(ReconcilerPass, ListOfAVersionThatNeverComes_IsWrittenAnew) {
  Reconciled parts;
  const api::ConfigMap newer = of_newer_pods(made_list(made_pool("a", "vllm"), {"p", "q"}, 6));
  parts.see<ConfigMaps>(newer);
  parts.pass();
  for (int minute = 1; minute <= 5; ++minute) {
    parts.pass_time(1min);
    parts.see<Pods>(made_pod("elsewhere", "other"));
    parts.pass();
  }
  ASSERT_THAT(parts.sent(), ElementsAre("update configmaps a-endpoints"));
  EXPECT_EQ(parts.out.sends[0].call.body.find("100000"), std::string::npos);
  EXPECT_NE(parts.out.sends[0].call.body.find(parts.feeds.pods_version()), std::string::npos);
  // It is written into it again: nobody waits for that version a second time.
  parts.see<ConfigMaps>(newer);
  parts.pass_time(2s);
  parts.pass();
  EXPECT_FALSE(parts.record("a").behind_since);
}

TEST(ReconcilerPass, ListOfAVersionThatNeverComes_WithdrawsWhatAPoolOnHoldHas) {
  api::InferencePool undecided = made_pool("a", "");
  undecided.scale_target = api::ScaleTargetRef{.api_version = "apps/v1", .kind = "Deployment", .name = "x"};
  Reconciled parts(undecided);
  parts.see<ConfigMaps>(of_newer_pods(made_list(undecided, {"p", "q"}, 6)));
  parts.pass();
  parts.pass_time(6min);
  parts.see<Pods>(made_pod("elsewhere", "other"));
  parts.pass();
  parts.pass_time(6min);
  parts.see<Pods>(made_pod("elsewhere", "other"));
  parts.pass();
  EXPECT_THAT(parts.sent(), IsEmpty());
  parts.lose_readiness("p");
  EXPECT_TRUE(parts.withdraw());
  EXPECT_EQ(parts.out.sends.at(0).call.body.find("100000"), std::string::npos);
}

TEST(ReconcilerPass, EveryPool_IsLookedAtAgainWithinTheResync) {
  Reconciled parts;
  const auto plan = parts.pass();
  ASSERT_TRUE(plan);
  parts.marked();
  ASSERT_TRUE(parts.queue.next_deadline());
  EXPECT_LE(*parts.queue.next_deadline(), parts.now.mono + 11min);
}

TEST(ReconcilerRest, ListIsSaid_ReplicasAndDrainsGoFirst) {
  Reconciled parts;
  parts.write_rest(full_plan());
  EXPECT_THAT(parts.sent(), ElementsAre("merge-patch deployments/scale", "merge-patch pods q",
                                        "merge-patch services a", "create poddisruptionbudgets",
                                        "merge-patch pods p", "merge-patch inferencepools a/status"));
  EXPECT_TRUE(parts.record("a").replicas_in_flight);
}

TEST(ReconcilerRest, ListIsBeingWritten_OnlyReplicasAndDrainsGo) {
  Reconciled parts;
  parts.lose_readiness("p");
  ASSERT_TRUE(parts.withdraw());
  parts.out.sends.clear();
  parts.write_rest(full_plan());
  EXPECT_THAT(parts.sent(), ElementsAre("merge-patch deployments/scale", "merge-patch pods q"));
}

TEST(ReconcilerRest, ReplicasAreAdopted_StatusWaitsForIt) {
  Reconciled parts;
  pool::Plan plan;
  plan.adopt_replicas = api::AdoptWrite{.from = 2, .to = 3, .target_uid = "t"};
  plan.status.emplace();
  plan.status->observed_generation = 1;
  parts.write_rest(plan);
  EXPECT_THAT(parts.sent(), ElementsAre("merge-patch inferencepools a"));
}

TEST(ReconcilerRest, OnlyTheCountOfAService_IsWrittenOnceAMinute) {
  Reconciled parts;
  pool::Plan plan;
  plan.service = service_of(true);
  parts.write_rest(plan);
  EXPECT_THAT(parts.sent(), ElementsAre("merge-patch services a"));
  ASSERT_TRUE(parts.writes.answered({parts.out.sends.back().id, Answer()}, parts.now.mono));
  parts.marked();
  parts.write_rest(plan);
  EXPECT_EQ(parts.sent().size(), 1U);
  EXPECT_EQ(parts.queue.next_deadline(), parts.now.mono + 1min);
  pool::Plan health;
  health.service = service_of(false);
  parts.write_rest(health);
  EXPECT_EQ(parts.sent().size(), 2U) << "its health does not wait";
}

TEST(ReconcilerRest, NoRoomForLabels_PoolIsWokenWhenThereIs) {
  Reconciled parts;
  pool::Plan plan;
  for (int i = 0; i < 40; ++i) plan.pod_labels.push_back(label_of(fmt::format("p-{:02}", i), "true"));
  parts.write_rest(plan);
  EXPECT_EQ(parts.sent().size(), WriteLimits{}.rest_in_flight);
  EXPECT_THAT(parts.writes.take_woken(parts.now.mono), IsEmpty());
  ASSERT_TRUE(parts.writes.answered({parts.out.sends.front().id, Answer()}, parts.now.mono));
  parts.pass_time(1s);
  EXPECT_THAT(parts.writes.take_woken(parts.now.mono), ElementsAre(kube::ObjectKey{"default", "a"}));
}

TEST(ReconcilerRest, ObjectHasToWait_PoolComesBackThen) {
  Reconciled parts;
  pool::Plan plan;
  plan.service = service_of(false);
  parts.write_rest(plan);
  const kube::Error refusal = made_error(kube::ErrorClass::kForbidden, 403, "Forbidden", "not allowed");
  ASSERT_TRUE(parts.writes.answered({parts.out.sends.back().id, tl::unexpected(refusal)}, parts.now.mono));
  parts.write_rest(plan);
  EXPECT_EQ(parts.sent().size(), 1U);
  EXPECT_EQ(parts.queue.next_deadline(), parts.now.mono + 1s);
}

TEST(ReconcilerStatus, News_AreWrittenOnceASecond) {
  Reconciled parts;
  pool::Plan plan;
  plan.status.emplace();
  plan.status->observed_generation = 1;
  parts.write_rest(plan);
  EXPECT_THAT(parts.sent_since(), ElementsAre("merge-patch inferencepools a/status"));
  ASSERT_TRUE(parts.writes.answered({1, Answer()}, parts.now.mono));
  plan.status->observed_generation = 2;
  parts.write_rest(plan);
  EXPECT_THAT(parts.sent_since(), IsEmpty());
  EXPECT_EQ(parts.queue.next_deadline(), parts.now.mono + 1s);
  parts.pass_time(1s);
  parts.write_rest(plan);
  EXPECT_THAT(parts.sent_since(), ElementsAre("merge-patch inferencepools a/status"));
}

// The seconds in which status is written, while its count of replicas is another one in each.
std::vector<int> seconds_of_writes(api::PoolStatus status, int seconds) {
  Reconciled parts;
  pool::Plan plan;
  plan.status = std::move(status);
  std::vector<int> written_at;
  for (int second = 0; second < seconds; ++second) {
    plan.status->replicas = second + 1;
    parts.write_rest(plan);
    if (!parts.out.sends.empty()) {
      written_at.push_back(second);
      EXPECT_TRUE(parts.writes.answered({parts.out.sends.back().id, Answer()}, parts.now.mono));
      parts.out.sends.clear();
    }
    parts.pass_time(1s);
  }
  return written_at;
}

// Twice at once and then every ten seconds.
TEST(ReconcilerStatus, Counts_AreWrittenEveryTenSeconds) {
  EXPECT_THAT(seconds_of_writes({}, 25), ElementsAre(0, 1, 10, 20));
}

TEST(ReconcilerStatus, FiguresOfADrain_AreWrittenEveryThreeSeconds) {
  api::PoolStatus drains;
  drains.draining_replicas = 1;
  EXPECT_THAT(seconds_of_writes(drains, 9), ElementsAre(0, 1, 4, 7));
}

// The installed definition does not know all of it.
TEST(ReconcilerStatus, FieldsAreDropped_SameStatusWaits) {
  Reconciled parts;
  pool::Plan plan;
  plan.status.emplace();
  plan.status->surge_replicas = 1;
  StatusMemory& memory = parts.record("a").status;
  memory.dropped_fields = {"surgeReplicas"};
  memory.wanted = *plan.status;
  memory.stored = parts.pool("a")->status;
  memory.asked_at = parts.now.mono;
  parts.pass_time(1min);
  parts.write_rest(plan);
  EXPECT_THAT(parts.sent(), IsEmpty());
  parts.pass_time(8min);
  parts.write_rest(plan);
  EXPECT_THAT(parts.sent(), ElementsAre("merge-patch inferencepools a/status"));
}

TEST(ReconcilerRest, FailedWriteIsNotWantedAnyMore_ItsErrorGoes) {
  Reconciled parts;
  PoolRecord& record = parts.record("a");
  record.errors.service = record.errors.budget = record.errors.scale = "refused";
  record.errors.labels = {{"p-uid", "refused"}, {"q-uid", "refused"}};
  record.errors.config_maps["a-endpoints"].text = "refused";
  pool::Plan plan;
  plan.service = service_of(false);
  plan.pod_labels = {label_of("q", "true")};
  parts.write_rest(plan);
  EXPECT_EQ(record.errors.service, "refused") << "still wanted";
  EXPECT_EQ(record.errors.budget, "");
  EXPECT_EQ(record.errors.scale, "");
  EXPECT_EQ(record.errors.labels.size(), 1U);
  EXPECT_TRUE(record.errors.labels.contains("q-uid"));
  EXPECT_THAT(parts.marked(), ElementsAre("a")) << "its status says so still";
  parts.write_rest(plan);
  EXPECT_THAT(parts.marked(), IsEmpty());
}

TEST(ReconcilerOrphans, OurLabelOnAPodOfNoPool_IsTakenOff) {
  Reconciled parts;
  parts.see<Pods>(labelled(made_pod("orphan", "nobody"), "true"));
  parts.reconciler.release_orphans(parts.now, parts.out);
  EXPECT_THAT(parts.sent_since(), ElementsAre("merge-patch pods orphan"));
  parts.reconciler.release_orphans(parts.now, parts.out);
  EXPECT_THAT(parts.sent_since(), IsEmpty()) << "it is under way";
}

TEST(ReconcilerOrphans, PodThatMayBeOfAPool_KeepsItsLabel) {
  api::InferencePool unsure = made_pool("a", "");
  unsure.scale_target = api::ScaleTargetRef{"apps/v1", "Deployment", "vllm"};
  unsure.status.selector = "app=vllm";
  Reconciled parts(unsure);
  parts.see<Pods>(labelled(made_pod("r", "vllm"), "true"));
  parts.reconciler.release_orphans(parts.now, parts.out);
  EXPECT_THAT(parts.sent(), IsEmpty());
}

// They are in the lane of everybody's drains.
TEST(ReconcilerOrphans, ManyInOneNamespace_AFewAreWrittenAtATime) {
  Reconciled parts;
  constexpr int kOrphans = 300;
  for (int i = 0; i < kOrphans; ++i)
    parts.see<Pods>(labelled(made_pod(fmt::format("orphan-{:03}", i), "nobody"), "true"));
  api::Pod elsewhere = labelled(made_pod("orphan", "nobody"), "true");
  elsewhere.ns = "elsewhere";
  elsewhere.uid = "elsewhere-uid";
  parts.see<Pods>(elsewhere);
  for (int step = 0; step < 3; ++step) {
    parts.reconciler.release_orphans(parts.now, parts.out);
    parts.pass_time(1s);
  }
  EXPECT_EQ(parts.out.sends.size(), 9U) << "and the other namespace's beside them";
  EXPECT_EQ(parts.writes.orphans_in_flight("default"), 8U);
  EXPECT_EQ(parts.writes.orphans_in_flight("elsewhere"), 1U);
  std::set<std::string> written;
  for (std::size_t n = 0; n < parts.out.sends.size(); ++n) {
    const Send& send = parts.out.sends[n];
    EXPECT_TRUE(written.insert(send.call.ns + "/" + send.call.name).second) << send.call.name << " twice";
    api::Pod answer = made_pod(send.call.name, "nobody");
    answer.ns = send.call.ns;
    answer.uid = send.call.ns == "elsewhere" ? "elsewhere-uid" : answer.uid;
    answer.resource_version = parts.next_version();
    parts.answer(n, answer);
    parts.pass_time(10ms);
    parts.reconciler.release_orphans(parts.now, parts.out);
  }
  EXPECT_EQ(written.size(), kOrphans + 1U) << "each gets its turn";
}

TEST(ReconcilerOrphans, ManyThatMayBeOfAPool_AreNotLookedAtForEver) {
  api::InferencePool unsure = made_pool("a", "");
  unsure.scale_target = api::ScaleTargetRef{"apps/v1", "Deployment", "vllm"};
  unsure.status.selector = "app=vllm";
  Reconciled parts(unsure);
  for (int i = 0; i < 600; ++i)
    parts.see<Pods>(labelled(made_pod(fmt::format("r-{:03}", i), "vllm"), "true"));
  int looks = 0;
  for (; looks < 10; ++looks) {
    parts.reconciler.release_orphans(parts.now, parts.out);
    const auto due = parts.reconciler.next_deadline();
    if (!due) break;
    EXPECT_GT(*due, parts.now.mono) << "not at once";
    parts.now.mono = *due;
  }
  EXPECT_LE(looks, 3) << "256 at a time";
  EXPECT_THAT(parts.sent(), IsEmpty());
}

}  // namespace
}  // namespace poolwarden::control
