// Nodes that carry pods of pools, counted from the caches.
#include "control/node_survey.h"

#include "parts.h"

#include <gmock/gmock.h>

namespace poolwarden::control {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

api::Pod on(const std::string& node, api::Pod pod) {
  pod.node = std::make_shared<const std::string>(node);
  return pod;
}

api::Node unheard(const std::string& name) {
  api::Node node = made_node(name);
  node.ready = api::Tristate::kUnknown;
  return node;
}

// In the node controller's words.
api::Pod marked(api::Pod pod) {
  pod.ready = api::Tristate::kFalse;
  return pod;
}

// Pool "a" selects app=vllm and lists p1, p2 and p3, each on a node of its own. On n4 and n5 is no pod of a
// pool.
struct Surveyed : Parts {
  Surveyed() {
    list<Pools>({made_pool("a", "vllm"), made_pool("b", "other")});
    list<ConfigMaps>({made_list(made_pool("a", "vllm"), {"p1", "p2", "p3"})});
    list<Pods>({pod(1), pod(2), pod(3), on("n4", made_pod("stranger", "none"))});
    list<Nodes>({made_node("n1"), made_node("n2"), made_node("n3"), made_node("n4"), made_node("n5")});
    list_the_rest();
    look();
  }
  static api::Pod pod(int number) {
    const std::string text = std::to_string(number);
    return on("n" + text, labelled(made_pod("p" + text, "vllm"), "true"));
  }
  // The step's end: the pools that are marked by it.
  std::vector<std::string> look() {
    marked();
    router.look_at_nodes(now);
    return marked();
  }
  std::optional<pool::UnseenNodes> unseen() { return router.unseen_nodes(record("a")); }
};

TEST(NodeSurvey, EveryNodeIsHeardOf_NothingIsUnseen) {
  Surveyed parts;
  EXPECT_THAT(parts.look(), IsEmpty());
  EXPECT_FALSE(parts.unseen());
  EXPECT_FALSE(parts.router.next_deadline());
}

TEST(NodeSurvey, NodesAreUnheardOfOneAfterTheOther) {
  Surveyed parts;
  parts.see<Nodes>(unheard("n1"));
  EXPECT_THAT(parts.look(), IsEmpty());
  EXPECT_FALSE(parts.unseen()) << "one node alone";
  parts.see<Nodes>(unheard("n2"));
  EXPECT_THAT(parts.look(), ElementsAre("a", "b"));
  ASSERT_TRUE(parts.unseen());
  EXPECT_EQ(parts.unseen()->unheard, 2);
  EXPECT_EQ(parts.unseen()->nodes, 3);
}

TEST(NodeSurvey, ThePodsAreToldFirst) {
  Surveyed parts;
  parts.see<Pods>(marked(Surveyed::pod(1)));
  parts.look();
  EXPECT_FALSE(parts.unseen());
  parts.see<Pods>(marked(Surveyed::pod(2)));
  parts.look();
  EXPECT_TRUE(parts.unseen());
  parts.see<Nodes>(unheard("n1"));
  parts.see<Nodes>(unheard("n2"));
  parts.look();
  EXPECT_EQ(parts.unseen()->unheard, 2);
}

TEST(NodeSurvey, WhatKubeletsSayThemselves_IsNoSign) {
  Surveyed parts;
  for (int i = 1; i <= 3; ++i) parts.see<Pods>(unready(Surveyed::pod(i)));
  parts.look();
  EXPECT_FALSE(parts.unseen());
  for (const char* name : {"n1", "n2", "n3"}) {
    api::Node node = made_node(name);
    node.ready = api::Tristate::kFalse;
    parts.see<Nodes>(node);
  }
  for (int i = 1; i <= 3; ++i) parts.see<Pods>(marked(Surveyed::pod(i)));
  parts.look();
  EXPECT_FALSE(parts.unseen()) << "the node controller marks their pods, too";
}

TEST(NodeSurvey, NodesWithoutPodsOfPools_DoNotCount) {
  Surveyed parts;
  parts.see<Nodes>(unheard("n4"));
  parts.see<Nodes>(unheard("n1"));
  parts.see<Pods>(marked(on("n4", made_pod("stranger", "none"))));
  parts.look();
  EXPECT_FALSE(parts.unseen());
  // A pool comes that has the pod of n4.
  parts.see<Pools>(made_pool("c", "none"));
  parts.look();
  ASSERT_TRUE(parts.unseen());
  EXPECT_EQ(parts.unseen()->nodes, 4);
}

// Pool "c" has its one pod on n4.
TEST(NodeSurvey, WhereMostNodesAreUnheardOf_APoolOnOneOfThemIsBlind) {
  Surveyed parts;
  parts.see<Pools>(made_pool("c", "none"));
  parts.see<Nodes>(unheard("n4"));
  parts.see<Nodes>(unheard("n5"));
  parts.look();
  EXPECT_FALSE(parts.router.unseen_nodes(parts.record("c"))) << "two of five";
  parts.see<Nodes>(made_node("n6"));
  parts.lose<Nodes>("n2");
  parts.lose<Nodes>("n3");
  EXPECT_THAT(parts.look(), IsEmpty()) << "two of four";
  parts.lose<Nodes>("n6");
  EXPECT_THAT(parts.look(), ElementsAre("c"));
  EXPECT_TRUE(parts.router.unseen_nodes(parts.record("c")));
  EXPECT_FALSE(parts.unseen()) << "its own node is heard of";
}

TEST(NodeSurvey, PodsThatComeAndGo_AreCounted) {
  Surveyed parts;
  parts.see<Nodes>(unheard("n1"));
  parts.see<Nodes>(unheard("n2"));
  parts.look();
  for (int i = 6; i <= 9; ++i)
    parts.see<Pods>(on("n" + std::to_string(i), made_pod(fmt::format("p{}", i), "vllm")));
  parts.look();
  ASSERT_TRUE(parts.unseen());
  EXPECT_EQ(parts.unseen()->nodes, 7);
  EXPECT_TRUE(parts.unseen()->ends) << "two of seven are few";
  for (int i = 6; i <= 9; ++i) parts.lose<Pods>(fmt::format("p{}", i));
  parts.look();
  EXPECT_EQ(parts.unseen()->nodes, 3);
  EXPECT_FALSE(parts.unseen()->ends);
  api::Pod ending = Surveyed::pod(3);
  ending.deletion_timestamp = parts.now.wall;
  parts.see<Pods>(ending);
  parts.look();
  EXPECT_EQ(parts.unseen()->nodes, 2) << "one that ends is carried no more";
}

TEST(NodeSurvey, AllAreHeardOfAgain_ItEndsAfterAWhile) {
  Surveyed parts;
  for (int i = 1; i <= 3; ++i) parts.see<Nodes>(unheard("n" + std::to_string(i)));
  for (int i = 1; i <= 3; ++i) parts.see<Pods>(marked(Surveyed::pod(i)));
  parts.look();
  for (int i = 1; i <= 3; ++i) parts.see<Nodes>(made_node("n" + std::to_string(i)));
  parts.look();
  EXPECT_FALSE(parts.unseen()->ends) << "their kubelets have yet to put right what was said of the pods";
  for (int i = 1; i <= 3; ++i) parts.see<Pods>(Surveyed::pod(i));
  parts.look();
  EXPECT_EQ(parts.unseen()->unheard, 0);
  ASSERT_TRUE(parts.router.next_deadline());
  parts.pass_time(61s);
  EXPECT_THAT(parts.look(), ElementsAre("a", "b"));
  EXPECT_FALSE(parts.unseen());
  EXPECT_FALSE(parts.router.next_deadline());
  // And the next time it is found again.
  parts.see<Nodes>(unheard("n1"));
  parts.see<Nodes>(unheard("n3"));
  parts.look();
  EXPECT_TRUE(parts.unseen());
}

TEST(NodeSurvey, APoolComesOrGoes_BlindnessStays) {
  Surveyed parts;
  for (int i = 1; i <= 3; ++i) parts.see<Nodes>(unheard("n" + std::to_string(i)));
  parts.look();
  parts.see<Pools>(made_pool("c", "none"));
  EXPECT_THAT(parts.look(), IsEmpty());
  parts.lose<Pools>("c");
  EXPECT_THAT(parts.look(), IsEmpty());
  EXPECT_TRUE(parts.unseen());
}

TEST(NodeSurvey, BeforeAllIsRead_NothingIsCounted) {
  Parts parts;
  parts.list<Pools>({made_pool("a", "vllm")});
  parts.list<Pods>({Surveyed::pod(1), Surveyed::pod(2)});
  parts.list<Nodes>({unheard("n1"), unheard("n2")});
  parts.router.look_at_nodes(parts.now);
  EXPECT_FALSE(parts.router.unseen_nodes(parts.record("a")));
  parts.list_the_rest();
  parts.router.look_at_nodes(parts.now);
  EXPECT_TRUE(parts.router.unseen_nodes(parts.record("a")));
}

// The short way: what was noted of the first nodes before it was known that there are many.
TEST(NodeSurvey, NodesOfOneStep_TakeNobodyOffTheList) {
  Surveyed parts;
  for (int i = 1; i <= 3; ++i) parts.see<Nodes>(unheard("n" + std::to_string(i)));
  EXPECT_TRUE(parts.record("a").list.withdrawal_due());
  parts.router.look_at_nodes(parts.now);
  EXPECT_FALSE(parts.reconciler.withdraw(parts.record("a"), *parts.pool("a"), parts.now, parts.out));
  EXPECT_FALSE(parts.record("a").list.withdrawal_due());
  EXPECT_THAT(parts.sent(), IsEmpty());
}

TEST(NodeSurvey, OneThatIsSeenToGo_IsTakenOffTheListAllTheSame) {
  Surveyed parts;
  for (int i = 1; i <= 3; ++i) parts.see<Nodes>(unheard("n" + std::to_string(i)));
  api::Pod ending = Surveyed::pod(2);
  ending.deletion_timestamp = parts.now.wall;
  parts.see<Pods>(ending);
  parts.router.look_at_nodes(parts.now);
  EXPECT_TRUE(parts.reconciler.withdraw(parts.record("a"), *parts.pool("a"), parts.now, parts.out));
  ASSERT_THAT(parts.sent(), ElementsAre("update configmaps a-endpoints"));
  EXPECT_NE(parts.out.sends[0].call.body.find("p1-uid"), std::string::npos);
  EXPECT_EQ(parts.out.sends[0].call.body.find("p2-uid"), std::string::npos);
}

}  // namespace
}  // namespace poolwarden::control
