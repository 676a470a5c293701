// When so many nodes are not heard of that it says nothing of them.
#include "pool/node_sight.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr NodeSight::TimePoint kFirstLook{std::chrono::seconds(1000)};

std::string node(int number) {
  return "n" + std::to_string(number);
}

struct Sight : NodeSight {
  // Nodes n1, n2, ... with pods of the pool, of which the first so many are not heard of.
  void nodes(int all, int unheard, const std::string& pool = "ns/a", int from = 1) {
    for (int i = from; i < from + all; ++i) set(node(i), {{pool}, i < from + unheard});
  }
  bool is_blind_for(const std::string& pool = "ns/a") const { return unseen(pool).has_value(); }
};

TEST(NodeSight, BlindnessTakesTwoNodesAndMoreThanAThird) {
  const struct {
    int nodes;
    int unheard;
    bool blind;
  } rows[] = {
      {0, 0, false}, {1, 0, false},    {1, 1, false},   {2, 1, false},    {2, 2, true}, {3, 1, false},
      {3, 2, true},  {5, 1, false},    {5, 2, true},    {6, 2, false},    {6, 3, true}, {9, 3, false},
      {9, 4, true},  {100, 33, false}, {100, 34, true}, {100, 100, true},
  };
  for (const auto& row : rows) {
    Sight sight;
    sight.nodes(row.nodes, row.unheard);
    const NodeSight::Change change = sight.look(kFirstLook);
    EXPECT_EQ(sight.is_blind_for(), row.blind) << row.unheard << " of " << row.nodes;
    EXPECT_EQ(sight.is_blind_for("ns/another"), row.blind) << "it is so for all pools";
    EXPECT_EQ(change.all, row.blind);
    EXPECT_FALSE(sight.next_deadline()) << "nothing ends by itself";
  }
}

TEST(NodeSight, AllNodesOfOnePool_AreBlindnessForThatPool) {
  Sight sight;
  sight.nodes(10, 0, "ns/large");
  sight.nodes(2, 2, "ns/small", 20);
  sight.nodes(1, 1, "ns/alone", 30);
  const NodeSight::Change change = sight.look(kFirstLook);
  EXPECT_FALSE(change.all);
  EXPECT_THAT(change.pools, ElementsAre("ns/small"));
  EXPECT_TRUE(sight.is_blind_for("ns/small"));
  EXPECT_FALSE(sight.is_blind_for("ns/large"));
  EXPECT_FALSE(sight.is_blind_for("ns/alone")) << "one node alone is one that died";
  EXPECT_TRUE(sight.is_blind());
}

TEST(NodeSight, OneNodeOfAPoolIsHeardOf_IsNoBlindness) {
  Sight sight;
  sight.nodes(20, 0, "ns/large");
  sight.nodes(4, 3, "ns/a", 30);
  sight.look(kFirstLook);
  EXPECT_FALSE(sight.is_blind_for());
}

TEST(NodeSight, NodesWithoutPodsOfPools_DoNotCount) {
  Sight sight;
  sight.nodes(4, 1);
  for (int i = 10; i < 100; ++i) sight.set(node(i), {{}, true});
  sight.look(kFirstLook);
  EXPECT_FALSE(sight.is_blind());
  for (int i = 10; i < 100; ++i) sight.set(node(i), {{}, false});
  sight.nodes(4, 2);
  sight.look(kFirstLook);
  EXPECT_TRUE(sight.is_blind_for());
}

TEST(NodeSight, WhereMostNodesOfTheClusterAreUnheardOf_OneNodeOfAPoolIsEnough) {
  const struct {
    std::size_t nodes;
    std::size_t unheard;
    bool blind;
  } rows[] = {{0, 0, false}, {0, 2, true},  {1, 1, false},    {2, 1, false},  {2, 2, true},
              {3, 2, true},  {4, 2, false}, {100, 50, false}, {100, 51, true}};
  for (const auto& row : rows) {
    Sight sight;
    sight.nodes(1, 1);
    sight.set_all(row.nodes, row.unheard);
    EXPECT_THAT(sight.look(kFirstLook).pools, row.blind ? testing::SizeIs(1) : testing::SizeIs(0));
    EXPECT_EQ(sight.is_blind_for(), row.blind) << row.unheard << " of " << row.nodes;
  }
}

TEST(NodeSight, WhereMostNodesOfTheClusterAreUnheardOf_APoolWithANodeThatIsHeardOfSees) {
  Sight sight;
  sight.nodes(4, 1, "ns/a");
  sight.nodes(1, 1, "ns/alone", 10);
  sight.nodes(5, 0, "ns/large", 20);
  sight.look(kFirstLook);
  EXPECT_FALSE(sight.is_blind());
  sight.set_all(20, 16);
  EXPECT_THAT(sight.look(kFirstLook + 1s).pools, ElementsAre("ns/alone"));
  EXPECT_FALSE(sight.is_blind_for("ns/a")) << "one of its four nodes died, whatever became of others";
  sight.set_all(20, 1);
  EXPECT_THAT(sight.look(kFirstLook + 2s).pools, IsEmpty());
  ASSERT_EQ(sight.next_deadline(), kFirstLook + 2s + NodeSight::kReturn);
  EXPECT_THAT(sight.look(*sight.next_deadline()).pools, ElementsAre("ns/alone"));
  EXPECT_FALSE(sight.is_blind());
}

TEST(NodeSight, TellsHowManyAreUnheardOf) {
  Sight sight;
  sight.nodes(3, 2);
  sight.look(kFirstLook);
  const auto unseen = sight.unseen("ns/a");
  ASSERT_TRUE(unseen);
  EXPECT_EQ(unseen->unheard, 2);
  EXPECT_EQ(unseen->nodes, 3);
  EXPECT_TRUE(unseen->of_all_pools);
  EXPECT_FALSE(unseen->ends);

  sight.nodes(20, 0, "ns/large", 40);
  sight.nodes(2, 2, "ns/small", 20);
  sight.nodes(3, 0);
  sight.look(kFirstLook);
  sight.look(kFirstLook + NodeSight::kReturn);
  const auto of_pool = sight.unseen("ns/small");
  ASSERT_TRUE(of_pool);
  EXPECT_EQ(of_pool->nodes, 2);
  EXPECT_FALSE(of_pool->of_all_pools);
}

TEST(NodeSight, LastsUntilOthersHadTheTimeToReturn) {
  Sight sight;
  sight.nodes(4, 4);
  sight.look(kFirstLook);
  sight.nodes(4, 1);
  EXPECT_FALSE(sight.look(kFirstLook + 10min).all);
  EXPECT_TRUE(sight.is_blind_for()) << "the last of many, not the first of few";
  EXPECT_TRUE(sight.unseen("ns/a")->ends);
  ASSERT_EQ(sight.next_deadline(), kFirstLook + 10min + NodeSight::kReturn);
  EXPECT_FALSE(sight.look(*sight.next_deadline() - 1ms).all);
  EXPECT_TRUE(sight.is_blind_for());
  const NodeSight::Change change = sight.look(*sight.next_deadline());
  EXPECT_TRUE(change.all);
  EXPECT_FALSE(sight.is_blind());
  EXPECT_FALSE(sight.next_deadline());
}

TEST(NodeSight, ManyAreUnheardOfAgain_ItsEndIsOff) {
  Sight sight;
  sight.nodes(4, 4);
  sight.look(kFirstLook);
  sight.nodes(4, 1);
  sight.look(kFirstLook + 1s);
  sight.nodes(4, 2);
  EXPECT_FALSE(sight.look(kFirstLook + 30s).all);
  EXPECT_FALSE(sight.look(kFirstLook + 1h).all);
  EXPECT_FALSE(sight.next_deadline())
      << "that of the pool alone has ended, as not all of its nodes are unheard of";
  EXPECT_TRUE(sight.is_blind_for());
}

TEST(NodeSight, OfOnePool_EndsAsThatOfAll) {
  Sight sight;
  sight.nodes(10, 0, "ns/large", 20);
  sight.nodes(2, 2);
  sight.look(kFirstLook);
  sight.nodes(2, 1);
  sight.look(kFirstLook + 1s);
  EXPECT_TRUE(sight.is_blind_for());
  ASSERT_EQ(sight.next_deadline(), kFirstLook + 1s + NodeSight::kReturn);
  EXPECT_THAT(sight.look(*sight.next_deadline()).pools, ElementsAre("ns/a"));
  EXPECT_FALSE(sight.is_blind());
}

TEST(NodeSight, CountedAnew_BeginsAndEndsNothing) {
  Sight sight;
  sight.nodes(4, 4);
  sight.look(kFirstLook);
  sight.forget_nodes();
  sight.nodes(4, 4);
  const NodeSight::Change change = sight.look(kFirstLook + 1h);
  EXPECT_FALSE(change.all);
  EXPECT_THAT(change.pools, IsEmpty());
  EXPECT_TRUE(sight.is_blind_for());
  EXPECT_FALSE(sight.next_deadline());
}

TEST(NodeSight, PodsLeaveANode_ItCountsNoMore) {
  Sight sight;
  sight.nodes(4, 2);
  sight.look(kFirstLook);
  ASSERT_TRUE(sight.is_blind_for());
  sight.set("n1", {{}, true});
  sight.look(kFirstLook);
  EXPECT_TRUE(sight.unseen("ns/a")->ends);
  EXPECT_EQ(sight.unseen("ns/a")->nodes, 3);
}

}  // namespace
}  // namespace poolwarden::pool
