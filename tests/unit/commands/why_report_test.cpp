// From facts to a verdict: every way for a pod to stand to its pool's list.
#include "commands/why_report.h"

#include "examples.h"

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::commands {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

api::EndpointSet list_of(std::string_view uid, api::EndpointState state = api::EndpointState::kReady) {
  api::EndpointSet out;
  out.ns = "default";
  out.pool = "vllm";
  out.revision = 7;
  if (uid.empty()) return out;
  api::Endpoint endpoint;
  endpoint.pod = "vllm-a";
  endpoint.uid = uid;
  endpoint.state = state;
  out.endpoints.push_back(endpoint);
  return out;
}

// A serving pod, with nothing wrong and everything readable.
WhyFacts serving() {
  WhyFacts out;
  out.ns = "default";
  out.pod_name = "vllm-a";
  out.pod = ready_pod();
  out.pools.push_back({.pool = healthy_pool(), .list = {.value = list_of("uid-vllm-a"), .problem = {}}});
  out.set.value = SetView{.kind = "ReplicaSet", .name = "vllm-5d9c", .replicas = 2, .status_replicas = 2};
  NodeView node;
  node.name = "n1";
  node.ready = api::Tristate::kTrue;
  out.node.value = node;
  out.budgets.value.emplace();
  out.gate.value = GateView{.stands = true, .difference = {}};
  out.events.value.emplace();
  return out;
}

// From the pod as the API server would send it now.
WhyReport why_of(WhyFacts facts) {
  if (facts.pod) facts.pod = reread(*facts.pod);
  return why(facts, kNow);
}

void begin_drain(WhyFacts& facts) {
  begin_drain(*facts.pod);
  facts.pools[0].list.value = list_of("uid-vllm-a", api::EndpointState::kDraining);
  facts.pools[0].pool.endpoints[0] = draining("vllm-a");
  facts.set.value->replicas = 1;
}

void withdraw(WhyFacts& facts, const char* reason) {
  facts.pools[0].pool.endpoints[0].state = "withdrawn";
  facts.pools[0].pool.endpoints[0].reason = reason;
}

struct Row {
  const char* situation;
  std::function<void(WhyFacts&)> change;
  Verdict verdict;
  const char* reason;
  const char* words;
};
void PrintTo(const Row& row, std::ostream* out) {
  *out << row.situation;
}

class Verdicts : public testing::TestWithParam<Row> {};
TEST_P(Verdicts, AreReached) {
  WhyFacts facts = serving();
  GetParam().change(facts);
  const WhyReport report = why_of(facts);
  ASSERT_EQ(report.verdicts.size(), 1U);
  EXPECT_EQ(report.verdicts[0].verdict, GetParam().verdict) << to_string(report.verdicts[0].verdict);
  EXPECT_EQ(report.verdicts[0].reason, GetParam().reason);
  EXPECT_THAT(report.verdicts[0].words, HasSubstr(GetParam().words));
}
INSTANTIATE_TEST_SUITE_P(
    Pods, Verdicts,
    testing::Values(
        Row{"it serves", [](WhyFacts&) {}, Verdict::kListed, "", "is on the list and gets requests"},
        Row{"it serves, and the list has not followed",
            [](WhyFacts& f) { f.pod->conditions = {condition("Ready", "False", "x")}; }, Verdict::kListed,
            "NotReady", "and the list has not followed"},
        Row{"its drain was asked for and not begun",
            [](WhyFacts& f) { annotate(*f.pod, api::kDrainRequestAnnotation, "requested"); },
            Verdict::kListed, "", "the operator has not begun it"},
        Row{"it serves, and the operator says what it waits for",
            [](WhyFacts& f) { f.pools[0].pool.endpoints[0].message = "it goes in its turn"; },
            Verdict::kListed, "", "is on the list and gets requests; it goes in its turn"},
        Row{"it drains", begin_drain, Verdict::kDraining, "ScaleDown",
            "it is draining for 12 s, 3 in flight, at most 288 s more (ScaleDown)"},
        Row{"it drains, and the status has no word of it",
            [](WhyFacts& f) {
              begin_drain(f);
              f.pools[0].pool.endpoints.clear();
              annotate(*f.pod, api::kDrainReasonAnnotation, "Rollout");
              annotate(*f.pod, api::kDrainStartedAnnotation, "2026-11-22T11:59:00Z");
            },
            Verdict::kDraining, "Rollout", "draining for 60 s, in flight not known (Rollout)"},
        Row{"its label says draining, and the list is behind", [](WhyFacts& f) { label(*f.pod, "draining"); },
            Verdict::kDraining, "", "gets no new requests"},
        Row{"it is drained and its ReplicaSet wants fewer",
            [](WhyFacts& f) {
              drain(*f.pod);
              f.pools[0].list.value = list_of("");
              f.set.value->replicas = 1;
            },
            Verdict::kDrained, "", "ReplicaSet vllm-5d9c is about to delete it"},
        Row{"it is drained, and its entry on the list is still there",
            [](WhyFacts& f) {
              begin_drain(f);
              drain(*f.pod);
            },
            Verdict::kDrained, "", "is off the list: it is drained"},
        Row{"it is drained because a person asked",
            [](WhyFacts& f) {
              drain(*f.pod);
              annotate(*f.pod, api::kDrainRequestAnnotation, "requested");
              annotate(*f.pod, api::kDrainReasonAnnotation, "Requested");
              f.pools[0].list.value = list_of("");
            },
            Verdict::kDrained, "Requested", "stays so until it is deleted"},
        Row{"it terminates",
            [](WhyFacts& f) {
              f.pod->ends = ahead(20);
              f.pools[0].list.value = list_of("");
            },
            Verdict::kTerminating, "Terminating", "is off the list: it is being deleted; it has 20 s left"},
        Row{"it terminates and is listed", [](WhyFacts& f) { f.pod->ends = ahead(20); },
            Verdict::kTerminating, "Terminating", "is still on the list, which has not followed"},
        Row{"it is not ready",
            [](WhyFacts& f) {
              f.pod = not_ready_pod();
              f.pools[0].list.value = list_of("");
            },
            Verdict::kWithdrawn, "NotReady", "is off the list: it is not ready"},
        Row{"it is not ready, and may still answer",
            [](WhyFacts& f) {
              f.pod = not_ready_pod();
              begin_drain(*f.pod);
              label(*f.pod, "finishing");
              f.pools[0].list.value = list_of("");
            },
            Verdict::kWithdrawn, "NotReady", "It may still answer what it has: it is finishing for 12 s"},
        Row{"it is not ready, and stays as too few are",
            [](WhyFacts& f) {
              f.pod = not_ready_pod();
              label(*f.pod, "true");
              f.pools[0].list.value->endpoints[0].unready = true;
            },
            Verdict::kListed, "", "it stays as too few are ready (condition Degraded, PanicThreshold)"},
        Row{"its node is gone",
            [](WhyFacts& f) {
              f.node.value.reset();
              f.pools[0].list.value = list_of("");
            },
            Verdict::kWithdrawn, "NodeGone", "its node n1 is gone"},
        Row{"its node is tainted, for one of the usual",
            [](WhyFacts& f) {
              f.node.value->taints = {"example.com/mine", "node.kubernetes.io/out-of-service"};
              f.pools[0].list.value = list_of("");
            },
            Verdict::kWithdrawn, "NodeTaint", "its node n1 is tainted node.kubernetes.io/out-of-service"},
        Row{"its node is tainted, for one that the operator's flags name",
            [](WhyFacts& f) {
              f.node.value->taints = {"example.com/mine", "other"};
              f.pools[0].list.value = list_of("");
              withdraw(f, "NodeTaint");
            },
            Verdict::kWithdrawn, "NodeTaint",
            "has a taint for which the operator withdraws pods: example.com/mine, other"},
        Row{"its node was tainted, and is not any more",
            [](WhyFacts& f) {
              f.pools[0].list.value = list_of("");
              withdraw(f, "NodeTaint");
            },
            Verdict::kNotYet, "NodeTaint", "was withdrawn (NodeTaint) and is not back"},
        Row{"its node is not ready",
            [](WhyFacts& f) {
              f.node.value->ready = api::Tristate::kUnknown;
              f.pools[0].list.value = list_of("");
            },
            Verdict::kWithdrawn, "NodeNotReady", "its node n1 is not ready"},
        Row{"its node is not ready, and may not be read",
            [](WhyFacts& f) {
              f.node = {.value = {}, .problem = "needs verb get on nodes"};
              f.pools[0].list.value = list_of("");
              withdraw(f, "NodeNotReady");
            },
            Verdict::kWithdrawn, "NodeNotReady",
            "for its node n1 (NodeNotReady), which cannot be read from here"},
        Row{"its node is not ready, and the list has not followed",
            [](WhyFacts& f) { f.node.value->ready = api::Tristate::kFalse; }, Verdict::kListed,
            "NodeNotReady", "but its node n1 is not ready, and the list has not followed"},
        Row{"its node is not heard of, nor are many others",
            [](WhyFacts& f) {
              f.node.value->ready = api::Tristate::kUnknown;
              f.pools[0].pool.conditions[2] = condition("Degraded", "True", "NodesUnseen", "2 of 2 nodes");
            },
            Verdict::kListed, "", "its node n1 is not ready, but so are many nodes at once, so it stays"},
        Row{"its kubelet says that it is not ready, and many nodes are not heard of",
            [](WhyFacts& f) {
              f.pod->conditions = {condition("Ready", "False", "x"), condition("ContainersReady", "False")};
              f.pools[0].pool.conditions[2] = condition("Degraded", "True", "NodesUnseen", "2 of 2 nodes");
            },
            Verdict::kListed, "NotReady", "and the list has not followed"},
        Row{"a namesake before it is on the list",
            [](WhyFacts& f) { f.pools[0].list.value = list_of("older"); }, Verdict::kNotYet, "",
            "not on the list yet"},
        Row{"it is fit and the operator has not come",
            [](WhyFacts& f) { f.pools[0].list.value = list_of(""); }, Verdict::kNotYet, "",
            "not on the list yet"},
        Row{"it is fit and was withdrawn a moment ago",
            [](WhyFacts& f) {
              f.pools[0].list.value = list_of("");
              withdraw(f, "NotReady");
            },
            Verdict::kNotYet, "NotReady", "was withdrawn (NotReady) and is not back"},
        Row{"the list cannot be written",
            [](WhyFacts& f) {
              f.pools[0].list.value = list_of("");
              f.pools[0].pool.conditions[4] =
                  condition("EndpointsPublished", "False", "Forbidden", "grant create");
            },
            Verdict::kNotYet, "Forbidden", "not on the list: grant create"},
        Row{"there is no list",
            [](WhyFacts& f) {
              f.pools[0].list = {};
              label(*f.pod, "false");
            },
            Verdict::kNotYet, "", "there is no list: ConfigMap vllm-endpoints does not exist"},
        Row{"the list may not be read, its label says it serves",
            [](WhyFacts& f) { f.pools[0].list = {.value = {}, .problem = "needs verb get on configmaps"}; },
            Verdict::kListed, "", "so its label says; the list itself cannot be read: needs verb get"},
        Row{"the list may not be read, and it is not labelled",
            [](WhyFacts& f) {
              f.pools[0].list = {.value = {}, .problem = "needs verb get on configmaps"};
              label(*f.pod, "");
            },
            Verdict::kNotYet, "", "cannot be told: needs verb get"},
        Row{"it is in no pool",
            [](WhyFacts& f) {
              f.pools.clear();
              f.no_pool.words = "its labels match none";
            },
            Verdict::kNoPool, "", "is in no pool, and so on no list: its labels match none"},
        Row{"it is a worker",
            [](WhyFacts& f) {
              f.pools.clear();
              f.pod->labels["leaderworkerset.sigs.k8s.io/worker-index"] = "1";
              f.pod->annotations["leaderworkerset.sigs.k8s.io/leader-name"] = "llm-0";
            },
            Verdict::kNoPool, "",
            "is a worker of a group, and so on no list: clients reach its leader llm-0"},
        Row{"its group is not whole",
            [](WhyFacts& f) {
              f.pools[0].list.value = list_of("");
              withdraw(f, "GroupNotReady");
              f.pools[0].pool.endpoints[0].message = "its worker llm-0-1: it is being deleted";
            },
            Verdict::kWithdrawn, "GroupNotReady", "is off the list: its worker llm-0-1: it is being deleted"},
        Row{"it is of a preview",
            [](WhyFacts& f) {
              f.pools[0].list.value = list_of("");
              withdraw(f, "Preview");
              f.pools[0].pool.endpoints[0].message = "its template is not the one that is active";
            },
            Verdict::kWithdrawn, "Preview", "is off the list: its template is not the one that is active"},
        Row{"whether it is in a pool cannot be told",
            [](WhyFacts& f) {
              f.pools.clear();
              f.no_pool = {.certain = false, .words = "what pool vllm selects cannot be told"};
            },
            Verdict::kUnknown, "", "may be in a pool or not: what pool vllm selects"},
        Row{"it is gone and still named", [](WhyFacts& f) { f.pod.reset(); }, Verdict::kGone, "Deleted",
            "does not exist any more, but the list"}));

TEST(Why, TwoPoolsAreTwoVerdicts) {
  WhyFacts facts = serving();
  facts.pools.push_back(facts.pools[0]);
  facts.pools[1].pool.name = "other";
  facts.pools[1].list.value = list_of("");
  const WhyReport report = why_of(facts);
  ASSERT_EQ(report.verdicts.size(), 2U);
  EXPECT_EQ(report.verdicts[1].pool, "other");
  EXPECT_EQ(report.verdicts[1].verdict, Verdict::kNotYet);
  EXPECT_THAT(why_text(report, kNow, Paint::kOff).str(), HasSubstr("Overlap"));
}

BudgetView budget(const char* name, int allowed, api::LabelMap labels) {
  BudgetView out;
  out.name = name;
  out.disruptions_allowed = allowed;
  out.selector.match_labels = std::move(labels);
  return out;
}

TEST(Why, WhatHoldsAServingPod) {
  WhyFacts facts = serving();
  *facts.budgets.value = {budget("vllm-serving", 0, {{"app", "vllm"}}), budget("roomy", 1, {{"app", "vllm"}}),
                          budget("others", 0, {{"app", "x"}})};
  const WhyReport report = why_of(facts);
  EXPECT_THAT(report.holds,
              ElementsAre(HasSubstr("the drain gate: its controller may not delete it while it is labelled "
                                    "poolwarden.io/serving=true"),
                          HasSubstr("PodDisruptionBudget vllm-serving")));
  EXPECT_THAT(report.let_go, ElementsAre("drain it, then delete it: poolwarden delete vllm-a -n default",
                                         HasSubstr("kubectl -n default delete pod vllm-a")));
}

TEST(Why, BudgetOfTheWholeNamespace_HoldsThePod) {
  WhyFacts facts = serving();
  const json object = {{"metadata", {{"name", "everything"}}},
                       {"spec", {{"selector", json::object()}, {"minAvailable", "100%"}}},
                       {"status", {{"disruptionsAllowed", 0}}}};
  json of_nobody = object;
  of_nobody["metadata"]["name"] = "nobody";
  of_nobody["spec"].erase("selector");
  *facts.budgets.value = {read_budget(object), read_budget(of_nobody)};
  EXPECT_THAT(why_of(facts).holds,
              ElementsAre(HasSubstr("the drain gate"), HasSubstr("PodDisruptionBudget everything")));
}

TEST(Why, NothingHoldsAPodThatIsNotGated) {
  WhyFacts facts = serving();
  facts.gate.value = GateView{};
  EXPECT_THAT(why_of(facts).holds, IsEmpty());
  facts = serving();
  drain(*facts.pod);
  EXPECT_THAT(why_of(facts).holds, IsEmpty());
  EXPECT_THAT(why_of(facts).let_go, IsEmpty());
}

TEST(Why, AnEditedGateMayHoldOrNot) {
  WhyFacts facts = serving();
  facts.gate.value->difference = "the binding does not deny";
  EXPECT_THAT(
      why_of(facts).holds,
      ElementsAre("the drain gate, perhaps: it was edited (the binding does not deny); kubectl apply -k "
                  "manifests/gate puts it back"));
}

TEST(Why, OneThatMayStillAnswer_IsHeldAndWaitedFor) {
  WhyFacts facts = serving();
  facts.pod = not_ready_pod();
  begin_drain(*facts.pod);
  label(*facts.pod, "finishing");
  facts.pools[0].list.value = list_of("");
  const WhyReport report = why_of(facts);
  EXPECT_THAT(report.holds, ElementsAre(HasSubstr("labelled poolwarden.io/serving=finishing")));
  EXPECT_THAT(report.let_go, Contains(HasSubstr("wait: it is let go as soon as it is idle")));
}

TEST(Why, ADrainIsWaitedFor) {
  WhyFacts facts = serving();
  begin_drain(facts);
  EXPECT_THAT(why_of(facts).let_go, Contains(HasSubstr("wait: it is let go as soon as it is idle")));
}

TEST(Why, NoOperatorToLetItGo) {
  WhyFacts facts = serving();
  LeaseView lease;
  lease.ns = "poolwarden-system";
  lease.name = "poolwarden";
  lease.holder = "x";
  lease.renewed = ago(3600);
  lease.duration_seconds = 15;
  facts.lease.value = lease;
  EXPECT_THAT(
      why_of(facts).let_go,
      Contains(AllOf(HasSubstr("kubectl delete validatingadmissionpolicybinding poolwarden-drain-gate"),
                     HasSubstr("kubectl delete pdb -A -l app.kubernetes.io/managed-by=poolwarden"))));
  facts.pools[0].list.value = list_of("");
  EXPECT_THAT(why_text(why_of(facts), kNow, Paint::kOff).str(),
              HasSubstr("Operator     no operator seems to run"));
}

TEST(Why, NoOperatorAndNoGateToTakeAway) {
  WhyFacts facts = serving();
  facts.gate.value = GateView{};
  *facts.budgets.value = {budget("vllm-serving", 0, {{"app", "vllm"}})};
  facts.lease.value.emplace();
  EXPECT_THAT(why_of(facts).let_go, Contains(HasSubstr("no operator seems to run")));
  EXPECT_THAT(why_of(facts).let_go, Not(Contains(HasSubstr("validatingadmissionpolicybinding"))));
}

TEST(Why, WhatHoldsATerminatingPod) {
  WhyFacts facts = serving();
  facts.pod->ends = ahead(20);
  facts.pod->finalizers = {"example.com/hold"};
  EXPECT_THAT(why_of(facts).holds, ElementsAre(HasSubstr("20 s to finish, until 2026-11-22T12:00:20Z"),
                                               "finalizers: example.com/hold"));
  facts.pod->ends = ago(20);
  facts.pod->finalizers.clear();
  EXPECT_THAT(why_of(facts).holds, ElementsAre(HasSubstr("nothing but the kubelet of node n1")));
}

TEST(Why, WhatCannotBeReadIsSaid) {
  WhyFacts facts = serving();
  facts.node = {.value = {}, .problem = "needs verb get on nodes"};
  facts.budgets = {.value = {}, .problem = "needs verb list on poddisruptionbudgets.policy"};
  facts.gate = {.value = {}, .problem = "needs verb get on the binding"};
  facts.events = {.value = {}, .problem = "needs verb list on events"};
  facts.set = {.value = {}, .problem = "needs verb get on replicasets"};
  const WhyReport report = why_of(facts);
  EXPECT_EQ(report.verdicts[0].verdict, Verdict::kListed);
  EXPECT_EQ(report.unread.size(), 5U);
  EXPECT_THAT(report.holds, IsEmpty());
  EXPECT_THAT(why_text(report, kNow, Paint::kOff).str(),
              HasSubstr("Could not be read\n  needs verb get on replicasets\n"));
}

TEST(WhyText, AsDocumented) {
  WhyFacts facts = serving();
  begin_drain(facts);
  facts.program = "kubectl poolwarden";
  annotate(*facts.pod, api::kDrainRequestAnnotation, "requested");
  facts.node.value->unschedulable = true;
  EventView event;
  event.reason = "DrainStarted";
  event.note = "3 in flight";
  event.when = ago(12);
  facts.events.value = std::vector<EventView>{event};
  EXPECT_EQ(
      why_text(why_of(facts), kNow, Paint::kOff).str(),
      "Pod default/vllm-a of pool vllm gets no new requests: it is draining for 12 s, 3 in flight, at "
      "most 288 "
      "s more (ScaleDown).\n"
      "  -> take it back with: kubectl poolwarden drain vllm-a -n default --undo\n"
      "\n"
      "Pool         vllm: 2 of 2 pods serving; list in ConfigMap vllm-endpoints, revision 7\n"
      "Pod          Running, ready, poolwarden.io/serving=draining, poolwarden.io/drain=requested\n"
      "ReplicaSet   vllm-5d9c wants 1 of the 2 pods it has: 1 too many\n"
      "Node         n1, cordoned\n"
      "\n"
      "What holds its deletion\n"
      "  the drain gate: its controller may not delete it while it is labelled "
      "poolwarden.io/serving=draining\n"
      "\n"
      "To let it go\n"
      "  wait: it is let go as soon as it is idle, and at the latest when the pool's "
      "spec.drain.timeoutSeconds "
      "are over\n"
      "  at once, with what it is doing left to its grace period: kubectl -n default delete pod vllm-a\n"
      "\n"
      "Events\n"
      "     12s  DrainStarted  3 in flight\n");
  EXPECT_THAT(why_text(why_of(facts), kNow, Paint::kOn).str(), HasSubstr("\x1b[33m"));
}

TEST(WhyJson, HasTheDocumentedFields) {
  const json out = why_json(why_of(serving()));
  EXPECT_EQ(out["apiVersion"], "commands.poolwarden.io/v1alpha1");
  EXPECT_EQ(out["kind"], "PodReport");
  EXPECT_EQ(out["namespace"], "default");
  EXPECT_EQ(out["pod"], "vllm-a");
  EXPECT_EQ(out["verdicts"], json({{{"pool", "vllm"},
                                    {"verdict", "Listed"},
                                    {"reason", ""},
                                    {"text", "is on the list and gets requests"},
                                    {"fix", ""}}}));
  for (const char* key : {"facts", "holds", "letGo", "events", "unread"})
    EXPECT_TRUE(out[key].is_array()) << key;
  WhyFacts none = serving();
  none.pools.clear();
  EXPECT_TRUE(why_json(why_of(none))["verdicts"][0]["pool"].is_null());
}

TEST(Why, EventsAreBounded) {
  WhyFacts facts = serving();
  facts.events.value->resize(50);
  EXPECT_EQ(why_of(facts).events.size(), 10U);
}

}  // namespace
}  // namespace poolwarden::commands
