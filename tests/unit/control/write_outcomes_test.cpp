#include "control/write_outcomes.h"

#include "parts.h"

#include <gmock/gmock.h>

namespace poolwarden::control {
namespace {

using namespace std::chrono_literals;
using kube::ErrorClass;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

kube::Error conflicting() {
  return made_error(ErrorClass::kConflict, 409, "Conflict", "it has changed");
}
kube::Error forbidden() {
  return made_error(ErrorClass::kForbidden, 403, "Forbidden", "may not");
}
kube::Error passing() {
  return made_error(ErrorClass::kRetry, 503, "Unavailable", "not now");
}

// Pool "a" lists pods "p" and "q"; everything is read.
struct Answered : Parts {
  Answered() {
    list<Pools>({made_pool("a", "vllm")});
    list<ConfigMaps>({made_list(made_pool("a", "vllm"), {"p", "q"})});
    list<Pods>({made_pod("p", "vllm"), made_pod("q", "vllm")});
    list<Nodes>({made_node("node-1")});
    list_the_rest();
    record("a").list.stop_watches();
  }
  WrittenObject object(Written kind, const std::string& name) const { return {kind, {"default", name}}; }
  // Sends it for pool "a"; which of what was sent it is.
  std::size_t send(Purpose purpose, WrittenObject written) {
    WriteRequest request;
    request.purpose = std::move(purpose);
    request.lane = WriteLane::kDrain;
    request.object = std::move(written);
    request.pool = {{"default", "a"}, "a-uid"};
    request.call = kube::merge_patch(kube::kPods, "default", request.object.key.name, "{}");
    EXPECT_TRUE(writes.send(std::move(request), now.mono, out).sent());
    return out.sends.size() - 1;
  }
  // A write of the list by which "p" leaves it, seen to be unready half a second before.
  std::size_t send_list(bool for_leader = false, pool::Withdrawal reason = pool::Withdrawal::kNotReady) {
    PublishWrite write{.what = {}, .began = {now.mono - 500ms}, .for_leader = for_leader};
    const api::ConfigMap without = made_list(made_pool("a", "vllm"), {"q"}, 6);
    write.what.write.set = *api::parse_endpoint_set(without.endpoints_json, nullptr);
    write.what.changes = {{.pod = "p", .uid = "p-uid", .ip = "10.0.0.1", .reason = reason, .detail = "why"}};
    return send(std::move(write), object(Written::kConfigMap, "a-endpoints"));
  }
  std::size_t send_label(const std::string& pod = "p", std::optional<pool::DrainNote> note = {}) {
    return send(PodLabelWrite{{.name = pod, .uid = pod + "-uid", .resource_version = {}, .serving = "true"},
                              std::move(note)},
                object(Written::kPod, pod));
  }
  template <class Object>
  Answer next(Object object) {
    object.resource_version = next_version();
    return object;
  }
  Answer list_answer() { return next(made_list(made_pool("a", "vllm"), {"q"}, 6)); }
};

TEST(WriteOutcomes, ListIsWritten_IsRememberedAndLookedAtAgain) {
  Answered parts;
  parts.answer(parts.send_list(), parts.list_answer());
  EXPECT_FALSE(parts.record("a").list.lists("p-uid"));
  EXPECT_TRUE(parts.record("a").list.lists("q-uid"));
  EXPECT_EQ(parts.record("a").list.last_revision(), 6);
  EXPECT_EQ(parts.feeds.store<ConfigMaps>().find({"default", "a-endpoints"})->revision, "6");
  EXPECT_THAT(parts.marked(), ElementsAre("a"));
  EXPECT_EQ(parts.metrics.retries, 0);
}

TEST(WriteOutcomes, ListIsWritten_WithdrawalIsToldAndMeasured) {
  Answered parts;
  const std::size_t sent = parts.send_list();
  parts.pass_time(100ms);
  parts.answer(sent, parts.list_answer());
  EXPECT_THAT(parts.metrics.withdrawals, ElementsAre(600ms));
  EXPECT_THAT(parts.logged(), ElementsAre("withdrew pod"));
  const std::string note = "p left the list of endpoints: NotReady, why (600.0 ms after the event)";
  EXPECT_THAT(parts.told(), ElementsAre("InferencePool a: " + note, "Pod p: " + note));
}

TEST(WriteOutcomes, ListConflictAmongShards_StopwatchRunsOn) {
  Answered parts;
  const std::size_t sent = parts.send_list();
  const kube::TimePoint began = parts.now.mono - 500ms;
  parts.record("a").list.saw_event("p-uid", began);
  parts.record("a").list.stop_watches();  // as the other's answer does
  parts.refuse(sent, conflicting());
  EXPECT_THAT(parts.record("a").list.began(
                  {{.pod = "p", .uid = "p-uid", .ip = {}, .reason = {}, .detail = {}}}, parts.now.mono),
              ElementsAre(began));
}

TEST(WriteOutcomes, DrainingPodLeavesTheList_ItsLabelTells) {
  Answered parts;
  parts.answer(parts.send_list(false, pool::Withdrawal::kDraining), parts.list_answer());
  EXPECT_EQ(parts.metrics.withdrawals.size(), 1U);
  EXPECT_THAT(parts.told(), IsEmpty());
}

TEST(WriteOutcomes, PodIsReadmitted_IsToldAndNotMeasured) {
  Answered parts;
  PublishWrite write{.what = {}, .began = {parts.now.mono, parts.now.mono}};
  write.what.changes = {{.pod = "r", .uid = "r-uid", .ip = {}, .reason = {}, .detail = {}, .again = true},
                        {.pod = "s", .uid = "s-uid", .ip = {}, .reason = {}, .detail = {}, .again = false}};
  parts.answer(parts.send(std::move(write), parts.object(Written::kConfigMap, "a-endpoints")),
               parts.list_answer());
  EXPECT_THAT(parts.metrics.withdrawals, IsEmpty());
  EXPECT_THAT(parts.logged(), ElementsAre("readmitted pod", "admitted pod"));
  EXPECT_THAT(parts.told(), ElementsAre("InferencePool a: r is ready again and back in the list",
                                        "Pod r: r is ready again and back in the list"));
}

TEST(WriteOutcomes, EventsDuringTheWrite_KeepTheirTime) {
  Answered parts;
  parts.see<Pods>(unready(made_pod("p", "vllm")));
  const std::size_t sent = parts.send_list();
  parts.pass_time(10ms);
  parts.see<Pods>(unready(made_pod("q", "vllm")));
  const kube::TimePoint seen = parts.now.mono;
  parts.pass_time(10ms);
  parts.answer(sent, parts.list_answer());
  EXPECT_EQ(parts.record("a").list.first_event(kube::TimePoint::max()), seen);
}

TEST(WriteOutcomes, StandbyListIsWritten_IsCountedAndTellsNoEvent) {
  Answered parts;
  parts.answer(parts.send_list(/*for_leader=*/true), parts.list_answer());
  EXPECT_EQ(parts.metrics.standby_withdrawals, 1);
  EXPECT_THAT(parts.logged(), ElementsAre("withdrew pod in place of the leader"));
  EXPECT_THAT(parts.told(), IsEmpty()) << "whoever leads tells of what it finds";
}

TEST(WriteOutcomes, StandbyListIsRefused_NothingIsRemembered) {
  Answered parts;
  parts.refuse(parts.send_list(/*for_leader=*/true), forbidden());
  EXPECT_THAT(parts.record("a").errors.config_maps, IsEmpty());
  EXPECT_THAT(parts.told(), IsEmpty());
  EXPECT_THAT(parts.marked(), ElementsAre("a"));
}

// Whose answers come all the time would otherwise go before all others, all the time.
TEST(WriteOutcomes, AnswerToAWrite_PoolGoesBeforeNobody) {
  Answered parts;
  parts.answer(parts.send_list(), parts.list_answer());
  EXPECT_EQ(parts.queue.size(kube::Lane::kNormal), 1U);
  EXPECT_EQ(parts.queue.size(kube::Lane::kUrgent), 0U);
  parts.marked();
  parts.refuse(parts.send_label(), forbidden());
  EXPECT_EQ(parts.queue.size(kube::Lane::kNormal), 1U);
  EXPECT_EQ(parts.queue.size(kube::Lane::kUrgent), 0U);
}

TEST(WriteOutcomes, EndpointsStillListedAreUnfit_PoolIsUrgent) {
  Answered parts;
  parts.refuse(parts.send_list(), conflicting());
  EXPECT_EQ(parts.queue.size(kube::Lane::kUrgent), 1U) << "the withdrawal was not written";
  parts.marked();
  parts.pass_time(2s);
  const std::size_t sent = parts.send_list();
  parts.see<Pods>(unready(made_pod("q", "vllm")));
  parts.marked();
  parts.answer(sent, parts.list_answer());
  EXPECT_EQ(parts.queue.size(kube::Lane::kUrgent), 1U) << "another pod became unfit meanwhile";
}

TEST(WriteOutcomes, Conflict_IsLookedAtAgainWithoutAWord) {
  Answered parts;
  for (const kube::Error& error :
       {conflicting(), made_error(ErrorClass::kNotFound, 404, "NotFound", "not there")}) {
    parts.refuse(parts.send_label(), error);
    EXPECT_THAT(parts.marked(), ElementsAre("a"));
    parts.pass_time(2s);
  }
  EXPECT_EQ(parts.metrics.retries, 2);
  EXPECT_THAT(parts.logged(), IsEmpty());
  EXPECT_THAT(parts.record("a").errors.labels, IsEmpty());
}

TEST(WriteOutcomes, ListIsForbidden_IsRememberedUntilItSucceeds) {
  Answered parts;
  parts.refuse(parts.send_list(), forbidden());
  const auto& error = parts.record("a").errors.config_maps["a-endpoints"];
  EXPECT_EQ(error.text, "may not");
  EXPECT_EQ(error.reason, "Forbidden");
  EXPECT_THAT(parts.logged(), ElementsAre("a write failed"));
  EXPECT_THAT(parts.told(),
              ElementsAre("InferencePool a: the last list of endpoints stays published: may not"));
  parts.pass_time(2s);
  parts.answer(parts.send_list(), parts.list_answer());
  EXPECT_THAT(parts.record("a").errors.config_maps, IsEmpty());
}

TEST(WriteOutcomes, PassingFailure_IsReportedAtTheThird) {
  Answered parts;
  for (int failures = 1; failures <= 3; ++failures) {
    parts.refuse(parts.send({ServiceWrite{}}, parts.object(Written::kService, "a")), passing());
    EXPECT_EQ(parts.record("a").errors.service, failures < 3 ? "" : "not now");
    EXPECT_EQ(parts.logged().size(), failures < 3 ? 0U : 1U);
    EXPECT_THAT(parts.marked(), ElementsAre("a"));
    parts.pass_time(30s);
  }
}

TEST(WriteOutcomes, RefusalOfAQuota_ComesWithAdvice) {
  Answered parts;
  parts.refuse(parts.send({BudgetWrite{}}, parts.object(Written::kBudget, "a-drain")),
               made_error(ErrorClass::kForbidden, 403, "Forbidden", "exceeded quota: few"));
  EXPECT_EQ(parts.record("a").errors.budget,
            "exceeded quota: few; raise that ResourceQuota, or delete what else it counts");
}

TEST(WriteOutcomes, WeAreStopping_IsNoFailure) {
  Answered parts;
  parts.refuse(parts.send_list(), made_error(ErrorClass::kShutdown, 0, "", "cancelled"));
  EXPECT_EQ(parts.metrics.retries, 0);
  EXPECT_THAT(parts.logged(), IsEmpty());
  EXPECT_THAT(parts.record("a").errors.config_maps, IsEmpty());
}

TEST(WriteOutcomes, LabelIsRefused_IsOfItsPodAlone) {
  Answered parts;
  parts.refuse(parts.send_label("p"), forbidden());
  parts.refuse(parts.send_label("q"), forbidden());
  EXPECT_EQ(parts.record("a").errors.labels.size(), 2U);
  parts.marked();
  parts.pass_time(2s);
  parts.answer(parts.send_label("p"), parts.next(labelled(made_pod("p", "vllm"), "true")));
  EXPECT_EQ(parts.record("a").errors.labels.size(), 1U);
  EXPECT_TRUE(parts.record("a").errors.labels.contains("q-uid"));
  EXPECT_THAT(parts.marked(), ElementsAre("a")) << "status told of it";
}

TEST(WriteOutcomes, NamesakeOfThePoolIsThere_AnswerIsNotForIt) {
  Answered parts;
  const std::size_t list = parts.send_list();
  const std::size_t label = parts.send_label();
  parts.lose<Pools>("a");
  api::InferencePool namesake = made_pool("a", "vllm");
  namesake.uid = "another-uid";
  parts.see<Pools>(namesake);
  parts.marked();
  parts.answer(list, parts.list_answer());
  parts.refuse(label, forbidden());
  EXPECT_THAT(parts.marked(), IsEmpty());
  EXPECT_THAT(parts.metrics.withdrawals, IsEmpty());
  EXPECT_THAT(parts.told(), IsEmpty());
  EXPECT_THAT(parts.record("a").errors.labels, IsEmpty());
  EXPECT_EQ(parts.record("a").list.last_revision(), 0) << "the ConfigMap is the former pool's";
}

TEST(WriteOutcomes, MembershipLabelIsWritten_LeadsToNothing) {
  Answered parts;
  parts.answer(parts.send_label(), parts.next(labelled(made_pod("p", "vllm"), "true")));
  EXPECT_EQ(parts.feeds.store<Pods>().find({"default", "p"})->serving, "true");
  EXPECT_THAT(parts.marked(), IsEmpty());
}

TEST(WriteOutcomes, PodChangedDuringItsLabelWrite_IsLookedAt) {
  Answered parts;
  const std::size_t sent = parts.send_label();
  const Answer answer = parts.next(labelled(made_pod("p", "vllm"), "true"));
  parts.see<Pods>(std::get<api::Pod>(answer));
  parts.see<Pods>(drain_requested(labelled(made_pod("p", "vllm"), "true")));
  EXPECT_THAT(parts.marked(), IsEmpty());
  parts.answer(sent, answer);
  EXPECT_THAT(parts.marked(), ElementsAre("a"));
}

TEST(WriteOutcomes, DrainStep_IsToldAndTheNextOneFollows) {
  Answered parts;
  const pool::DrainNote note{
      .step = pool::DrainResult::kCompleted, .event = {"DrainCompleted", false, "p is idle"}, .took = 7s};
  parts.answer(parts.send_label("p", note), parts.next(labelled(made_pod("p", "vllm"), "drained")));
  EXPECT_THAT(parts.metrics.drains, ElementsAre("completed"));
  EXPECT_THAT(parts.told(), ElementsAre("InferencePool a: p is idle", "Pod p: p is idle"));
  EXPECT_THAT(parts.marked(), ElementsAre("a"));
}

TEST(WriteOutcomes, DrainStarted_IsNotCountedAsEnded) {
  Answered parts;
  const pool::DrainNote note{
      .step = pool::DrainResult::kStarted, .event = {"DrainStarted", false, "p drains"}, .took = 0s};
  parts.answer(parts.send_label("p", note), parts.next(labelled(made_pod("p", "vllm"), "draining")));
  EXPECT_THAT(parts.metrics.drains, IsEmpty());
}

TEST(WriteOutcomes, ServiceIsWritten_LeadsToNothingUnlessItChanged) {
  Answered parts;
  api::Service service;
  service.ns = "default";
  service.name = "a";
  service.uid = "service-uid";
  std::size_t sent = parts.send({ServiceWrite{}}, parts.object(Written::kService, "a"));
  Answer answer = parts.next(service);
  parts.see<Services>(std::get<api::Service>(answer));
  parts.answer(sent, answer);
  EXPECT_THAT(parts.marked(), IsEmpty()) << "its own change";

  sent = parts.send({ServiceWrite{}}, parts.object(Written::kService, "a"));
  answer = parts.next(service);
  parts.see<Services>(std::get<api::Service>(answer));
  service.labels = {{"edited", "by-hand"}};
  parts.see<Services>(service);
  parts.answer(sent, answer);
  EXPECT_THAT(parts.marked(), ElementsAre("a")) << "someone has changed it since";
}

TEST(WriteOutcomes, FiguresInStatusAreWritten_LeadToNothing) {
  Answered parts;
  api::InferencePool stored = *parts.pool("a");
  stored.status.replicas = 3;
  parts.answer(parts.send(StatusWrite{stored.status, {}}, parts.object(Written::kPool, "a")),
               parts.next(stored));
  EXPECT_THAT(parts.marked(), IsEmpty());
  EXPECT_EQ(parts.pool("a")->status.replicas, 3);
  stored.status.observed_generation = 1;
  parts.pass_time(1s);
  parts.answer(parts.send(StatusWrite{stored.status, {}}, parts.object(Written::kPool, "a")),
               parts.next(stored));
  EXPECT_THAT(parts.marked(), ElementsAre("a")) << "that is news";
}

TEST(WriteOutcomes, FieldsOfStatusAreDropped_IsSaidOnce) {
  Answered parts;
  api::PoolStatus wanted;
  wanted.surge_replicas = 2;
  for (const bool first : {true, false}) {
    parts.answer(parts.send(StatusWrite{wanted, {}}, parts.object(Written::kPool, "a")),
                 parts.next(*parts.pool("a")));
    EXPECT_THAT(parts.record("a").status.dropped_fields, ElementsAre("surgeReplicas"));
    EXPECT_EQ(parts.marked().size(), first ? 1U : 0U);
    EXPECT_EQ(parts.logged().size(), 1U);
    parts.pass_time(10s);
  }
}

TEST(WriteOutcomes, PoolTurnsDegraded_IsToldOncePerReason) {
  Answered parts;
  api::PoolStatus before;
  for (const char* reason : {"NoPods", "NoPods", "Forbidden"}) {
    api::InferencePool stored = *parts.pool("a");
    stored.status.conditions = {{.type = "Degraded", .status = "True", .reason = reason, .message = "why"}};
    parts.answer(parts.send(StatusWrite{stored.status, before}, parts.object(Written::kPool, "a")),
                 parts.next(stored));
    before = stored.status;
    parts.pass_time(10s);
  }
  EXPECT_THAT(parts.told(), ElementsAre("InferencePool a: NoPods: why", "InferencePool a: Forbidden: why"));
}

// Pool a of Deployment vllm, which has two replicas.
void add_pool_of_target(Answered& parts) {
  api::InferencePool pool = made_pool("a", "vllm");
  pool.scale_target = api::ScaleTargetRef{"apps/v1", "Deployment", "vllm"};
  parts.see<Pools>(pool);
  api::Deployment target;
  target.ns = "default";
  target.name = "vllm";
  target.uid = "target-uid";
  target.replicas = 2;
  parts.see<Deployments>(target);
}

TEST(WriteOutcomes, TargetIsScaled_IsKnownAtOnce) {
  Answered parts;
  add_pool_of_target(parts);
  parts.record("a").replicas_in_flight = true;
  const std::size_t sent = parts.send(
      ScaleTargetWrite{{.from = 2, .to = 4, .agreed = 3, .target_uid = "target-uid", .resource_version = {}},
                       pool::EventNote{"ScaledTarget", false, "2 to 4"}},
      parts.object(Written::kTarget, "vllm"));
  parts.answer(sent, Answer(fmt::format(R"({{"metadata":{{"uid":"target-uid","resourceVersion":"{}"}}}})",
                                        parts.next_version())));
  EXPECT_EQ(parts.feeds.store<Deployments>().find({"default", "vllm"})->replicas, 4);
  EXPECT_EQ(parts.record("a").agreed, (api::Agreement{3, "target-uid"}));
  EXPECT_FALSE(parts.record("a").replicas_in_flight);
  EXPECT_THAT(parts.told(), ElementsAre("InferencePool a: 2 to 4"));
  EXPECT_THAT(parts.marked(), ElementsAre("a"));
}

TEST(WriteOutcomes, StatefulSetIsScaled_IsKnownAtOnce) {
  Answered parts;
  api::InferencePool pool = made_pool("a", "vllm");
  pool.scale_target = api::ScaleTargetRef{"apps/v1", "StatefulSet", "vllm"};
  parts.see<Pools>(pool);
  api::StatefulSet target;
  target.ns = "default";
  target.name = "vllm";
  target.uid = "target-uid";
  target.replicas = 2;
  target.update_revision = "vllm-1";
  parts.see<StatefulSets>(target);
  const std::size_t sent = parts.send(
      ScaleTargetWrite{{.from = 2, .to = 4, .agreed = 4, .target_uid = "target-uid", .resource_version = {}},
                       {}},
      parts.object(Written::kStatefulTarget, "vllm"));
  parts.answer(sent, Answer(fmt::format(R"({{"metadata":{{"uid":"target-uid","resourceVersion":"{}"}}}})",
                                        parts.next_version())));
  const auto known = parts.feeds.store<StatefulSets>().find({"default", "vllm"});
  EXPECT_EQ(known->replicas, 4);
  EXPECT_EQ(known->update_revision, "vllm-1");
}

template <class Kind>
void expect_scaled(const api::ScaleTargetRef& ref, Written written_as) {
  Answered parts;
  api::InferencePool pool = made_pool("a", "vllm");
  pool.scale_target = ref;
  parts.see<Pools>(pool);
  typename Kind::Object target;
  target.ns = "default";
  target.name = "vllm";
  target.uid = "target-uid";
  target.replicas = 2;
  parts.list<Kind>({target});
  ASSERT_NE(parts.feeds.target_of(pool), nullptr);
  EXPECT_EQ(written(api::target_kind(pool)), written_as);
  const std::size_t sent = parts.send(
      ScaleTargetWrite{{.from = 2, .to = 4, .agreed = 4, .target_uid = "target-uid", .resource_version = {}},
                       {}},
      parts.object(written_as, "vllm"));
  parts.answer(sent, Answer(fmt::format(R"({{"metadata":{{"uid":"target-uid","resourceVersion":"{}"}}}})",
                                        parts.next_version())));
  EXPECT_EQ(parts.feeds.target_of(pool)->replicas, 4) << ref.kind;
}

TEST(WriteOutcomes, ATargetOfAnotherProjectIsScaled_IsKnownAtOnce) {
  expect_scaled<LeaderWorkerSets>({"leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", "vllm"},
                                  Written::kGroupTarget);
  expect_scaled<Rollouts>({"argoproj.io/v1alpha1", "Rollout", "vllm"}, Written::kRolloutTarget);
}

TEST(WriteOutcomes, ScaleAnswerIsOfANamesake_TargetStaysAsItIs) {
  Answered parts;
  add_pool_of_target(parts);
  const char* kAnswers[] = {R"({"metadata":{"uid":"another","resourceVersion":"99999"}})", "no JSON", "[]"};
  for (const char* answer : kAnswers) {
    parts.answer(
        parts.send(
            ScaleTargetWrite{{.from = 2, .to = 4, .agreed = 4, .target_uid = {}, .resource_version = {}}, {}},
            parts.object(Written::kTarget, "vllm")),
        Answer(std::string(answer)));
    EXPECT_EQ(parts.feeds.store<Deployments>().find({"default", "vllm"})->replicas, 2) << answer;
  }
}

TEST(WriteOutcomes, ReplicasAreAdopted_PoolIsKnownAtOnce) {
  Answered parts;
  parts.record("a").replicas_in_flight = true;
  const std::size_t sent =
      parts.send(AdoptReplicasWrite{{.from = 2, .to = 3, .target_uid = "target-uid"}, {}},
                 parts.object(Written::kPool, "a"));
  api::InferencePool adopted = *parts.pool("a");
  adopted.replicas = 3;
  adopted.generation = 2;
  parts.answer(sent, parts.next(adopted));
  EXPECT_EQ(parts.pool("a")->replicas, 3);
  EXPECT_EQ(parts.record("a").agreed, (api::Agreement{3, "target-uid"}));
  EXPECT_FALSE(parts.record("a").replicas_in_flight);
  EXPECT_THAT(parts.marked(), ElementsAre("a"));
}

TEST(WriteOutcomes, ReplicasAreRefused_AreNotUnderWayAnyMore) {
  Answered parts;
  parts.record("a").replicas_in_flight = true;
  parts.refuse(parts.send(AdoptReplicasWrite{{.from = 2, .to = 3, .target_uid = {}}, {}},
                          parts.object(Written::kPool, "a")),
               conflicting());
  EXPECT_FALSE(parts.record("a").replicas_in_flight);
}

TEST(WriteOutcomes, NameOfTheListIsTaken_ItsHolderIsLookedUp) {
  Answered parts;
  parts.lose<ConfigMaps>("a-endpoints");
  parts.refuse(parts.send_list(), made_error(ErrorClass::kConflict, 409, "AlreadyExists", "there"));
  EXPECT_EQ(parts.sent().back(), "get configmaps a-endpoints");
  EXPECT_TRUE(parts.writes.in_flight(parts.object(Written::kConfigMap, "a-endpoints")));
  parts.marked();
  api::ConfigMap foreign;
  foreign.ns = "default";
  foreign.name = "a-endpoints";
  foreign.uid = "foreign";
  parts.answer(parts.out.sends.size() - 1, parts.next(foreign));
  const PoolRecord::Unlabelled& unlabelled = parts.record("a").unlabelled["a-endpoints"];
  EXPECT_EQ(unlabelled.config_map.uid, "foreign");
  EXPECT_EQ(unlabelled.until, parts.now.mono + 1min);
  EXPECT_FALSE(parts.writes.in_flight(parts.object(Written::kConfigMap, "a-endpoints")));
  EXPECT_THAT(parts.marked(), ElementsAre("a"));
}

TEST(WriteOutcomes, Kinds_AreNamedAsTheMetricsHaveThem) {
  const auto kind = [](Purpose purpose, Written written) {
    return WriteOutcomes::kind_of({std::move(purpose), {written, {}}, {}});
  };
  EXPECT_EQ(kind(EventWrite{}, Written::kConfigMap), "Event");
  EXPECT_EQ(kind(PublishWrite{}, Written::kConfigMap), "ConfigMap");
  EXPECT_EQ(kind(ScaleTargetWrite{}, Written::kTarget), "Scale");
}

}  // namespace
}  // namespace poolwarden::control
