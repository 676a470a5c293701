#include "control/sight.h"

#include "control/sight_board.h"
#include "parts.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

namespace poolwarden::control {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

api::InferencePool in(api::InferencePool pool, const std::string& ns) {
  pool.ns = ns;
  return pool;
}

class SightOfParts : public ::testing::Test {
 protected:
  Sight take(const SightLimits& limits = {}) {
    return take_sight(parts_.feeds, parts_.table, leadership_, parts_.now, limits);
  }
  static std::vector<std::string> names(const SeenPool& pool) {
    std::vector<std::string> out;
    for (const SeenPod& pod : pool.pods) out.push_back(pod.name);
    return out;
  }
  Parts parts_;
  Leadership leadership_{std::nullopt, kube::seeded_random(3), parts_.writes, parts_.metrics};
};

TEST_F(SightOfParts, APoolWithWhomItListsAndWhomItsStatusNames) {
  api::InferencePool pool = made_pool("a", "app-a");
  pool.status.endpoints = {{.pod = "gone", .ip = "", .state = "withdrawn", .reason = "NotReady"},
                           {.pod = "q", .ip = "", .state = "draining", .reason = "ScaleDown"}};
  pool.status.endpoints_omitted = 4;
  parts_.list<Pools>({pool});
  parts_.list<Pods>({made_pod("p", "app-a"), made_pod("q", "app-a")});
  parts_.list<ConfigMaps>({made_list(pool, {"p", "q", "left"})});
  const Sight sight = take();
  ASSERT_THAT(sight.pools, SizeIs(1));
  const SeenPool& seen = sight.pools[0];
  EXPECT_EQ(seen.listed, 3U);
  EXPECT_THAT(names(seen), ElementsAre("q", "gone", "left", "p")) << "what drains comes first";
  EXPECT_TRUE(seen.pods[0].listed) << "its list is yet to be written";
  EXPECT_EQ(seen.pods[1].pod, nullptr);
  EXPECT_EQ(seen.pods[2].pod, nullptr);
  ASSERT_NE(seen.pods[3].pod, nullptr);
  EXPECT_EQ(seen.pods[3].status, nullptr);
  EXPECT_EQ(seen.more_pods, 4U);
  EXPECT_TRUE(sight.leads);
  EXPECT_FALSE(sight.elects);
}

TEST_F(SightOfParts, AnotherPodOfTheNameIsNotTheListedOne) {
  const api::InferencePool pool = made_pool("a", "app-a");
  parts_.list<Pools>({pool});
  api::Pod other = made_pod("p", "app-a");
  other.uid = "another";
  parts_.list<Pods>({other});
  parts_.list<ConfigMaps>({made_list(pool, {"p"})});
  EXPECT_EQ(take().pools.at(0).pods.at(0).pod, nullptr);
}

TEST_F(SightOfParts, IsBounded_AndCountsWhatItLeavesOut) {
  std::vector<std::string> pods;
  std::vector<api::Pod> objects;
  for (int i = 0; i < 30; ++i) pods.push_back(fmt::format("p{:02}", i));
  api::InferencePool pool = made_pool("a", "app-a");
  for (int i = 0; i < 20; ++i) {
    pool.status.endpoints.push_back(
        {.pod = fmt::format("crashes-{}", i), .ip = "", .state = "withdrawn", .reason = "NotReady"});
    pool.status.endpoints.push_back(
        {.pod = fmt::format("drains-{}", i), .ip = "", .state = "draining", .reason = "ScaleDown"});
  }
  parts_.list<Pools>({pool, made_pool("b", "app-b")});
  parts_.list<Pods>({});
  parts_.list<ConfigMaps>({made_list(pool, pods)});
  const Sight sight = take({.pools = 200, .pods = 20, .least_pods = 1, .most_pods = 100});
  EXPECT_THAT(sight.pools[0].pods, SizeIs(20)) << "its share is 10 that drain, and 10 others";
  EXPECT_EQ(sight.pools[0].pods[9].status->state, "draining");
  EXPECT_EQ(sight.pools[0].pods[10].status->state, "withdrawn");
  EXPECT_EQ(sight.pools[0].more_pods, 50U);
}

TEST_F(SightOfParts, NoNamespaceTakesThePlacesOfOthers) {
  std::vector<api::InferencePool> pools;
  for (int i = 0; i < 100; ++i) pools.push_back(in(made_pool(fmt::format("pool-{:03}", i), "app"), "crowd"));
  pools.push_back(in(made_pool("first", "app"), "a"));
  pools.push_back(in(made_pool("next", "app"), "crowd-2"));
  pools.push_back(in(made_pool("last", "app"), "z"));
  parts_.list<Pools>(pools);
  const Sight sight = take({.pools = 10, .pools_of_namespace = 3});
  std::vector<std::string> shown;
  for (const SeenPool& seen : sight.pools) shown.push_back(seen.pool->ns + "/" + seen.pool->name);
  EXPECT_THAT(shown, ElementsAre("a/first", "crowd/pool-000", "crowd/pool-001", "crowd/pool-002",
                                 "crowd-2/next", "z/last"));
  EXPECT_EQ(sight.more_pools, 97U);
  EXPECT_THAT(take({.pools = 2}).pools, SizeIs(2));
}

TEST_F(SightOfParts, NothingIsThere) {
  EXPECT_THAT(take().pools, IsEmpty());
  EXPECT_EQ(take().more_pools, 0U);
}

constexpr kube::TimePoint kNoon{50'000s};

Sight taken_at(kube::TimePoint at) {
  Sight sight;
  sight.at.mono = at;
  return sight;
}

TEST(SightBoard, TheFirstSightIsDueAtOnce) {
  SightBoard board;
  EXPECT_TRUE(board.due(kNoon));
  EXPECT_EQ(board.look(kNoon), nullptr);
}

TEST(SightBoard, WhileNobodyLooks_TheNextIsDueAfterFiveSeconds) {
  SightBoard board;
  board.show(taken_at(kNoon));
  EXPECT_FALSE(board.due(kNoon + 4'999ms));
  EXPECT_TRUE(board.due(kNoon + 5s));
}

TEST(SightBoard, WhileSomebodyLooks_OnceASecondHoweverOften) {
  SightBoard board;
  board.show(taken_at(kNoon));
  int shown = 0;
  for (int i = 1; i <= 10'000; ++i) {
    const kube::TimePoint now = kNoon + i * 1ms;
    EXPECT_NE(board.look(now), nullptr);
    if (!board.due(now)) continue;
    ++shown;
    board.show(taken_at(now));
  }
  EXPECT_EQ(shown, 10);
}

TEST(SightBoard, WhoHasLookedAwayCostsNothing) {
  SightBoard board;
  board.show(taken_at(kNoon));
  board.look(kNoon);
  board.show(taken_at(kNoon + SightBoard::kAttention));
  EXPECT_EQ(board.next_due(), kNoon + SightBoard::kAttention + SightBoard::kUnwatched);
}

TEST(SightBoard, WhoHasASightKeepsIt) {
  SightBoard board;
  board.show(taken_at(kNoon));
  const auto sight = board.look(kNoon);
  board.show(taken_at(kNoon + 5s));
  EXPECT_EQ(sight->at.mono, kNoon);
  EXPECT_EQ(board.look(kNoon)->at.mono, kNoon + 5s);
}

}  // namespace
}  // namespace poolwarden::control
