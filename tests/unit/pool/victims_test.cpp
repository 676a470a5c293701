// Who goes first, and what is said of it.
#include "pool/victims.h"

#include "world.h"

#include <map>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

using testing::HasSubstr;

struct Made {
  api::Pod pod;
  PodLoad load;
  bool asked = false;
  bool serves = true;
  bool emptied = false;
  std::int32_t neighbours = 0;
};

Candidate candidate(const Made& one) {
  return {&one.pod, one.serves, one.emptied, one.asked ? &one.load : nullptr, one.neighbours};
}

template <class Pods>
std::vector<Candidate> candidates(const Pods& pods) {
  std::vector<Candidate> out;
  for (const Made& pod : pods) out.push_back(candidate(pod));
  return out;
}

Made made(const char* name) {
  return {ready_pod(name, "10.0.0.1"), {}, false, true, false, 0};
}

Made with_load(const char* name, double in_flight, std::optional<double> cache = {}) {
  Made out = made(name);
  out.asked = true;
  out.load.load = Load{in_flight, cache};
  return out;
}

Made standing_still(const char* name, double in_flight,
                    std::chrono::seconds still = std::chrono::seconds(2)) {
  Made out = with_load(name, in_flight);
  out.load.still = still;
  return out;
}

Made beside(Made one, const char* node, std::int32_t neighbours) {
  one.pod.node = std::make_shared<const std::string>(node);
  one.neighbours = neighbours;
  return one;
}

Made with_cost(Made one, const char* cost) {
  one.pod.annotations = std::make_shared<const api::DrainAnnotations>(api::DrainAnnotations{
      .started = {}, .reason = {}, .request = {}, .saved_cost = {}, .deletion_cost = cost});
  return one;
}

Made created(Made one, int second) {
  one.pod.created = api::Timestamp{std::chrono::seconds{second}};
  return one;
}

TEST(Victims, AreThoseThatCostLeast) {
  Made not_serving = with_load("z", 9);
  not_serving.serves = false;
  Made emptied = with_load("z", 1, 0.5);
  emptied.emptied = true;
  Made never_asked = made("a");
  struct {
    const char* situation;
    Made goes, stays;
    const char* why;
  } const rows[] = {
      {"it serves nobody", not_serving, with_load("a", 0), "was not serving"},
      {"a lower cost", with_cost(with_load("z", 9), "-5"), with_load("a", 0), "lowest deletion cost, -5"},
      {"a higher cost stays", with_load("z", 9), with_cost(with_load("a", 0), "5"),
       "lowest deletion cost, 0"},
      {"a cost that is none", with_load("a", 0), with_cost(with_load("z", 1), "+5"),
       "fewest requests in flight"},
      {"fewer requests", with_load("z", 1, 0.9), with_load("a", 2, 0.1), "1 (the others: 2)"},
      {"unknown is the busiest", with_load("z", 99), never_asked, "99 (the others: unknown)"},
      {"it stands still", standing_still("z", 106), with_load("a", 2),
       "its engine stands still, so what it counts as in flight is taken for none, 106 that do not move (the "
       "others: 2)"},
      {"idle goes before it", with_load("z", 0, 0.9), standing_still("a", 106),
       "it had nothing in flight, and others only stand still, 0 (the others: 106 that do not move)"},
      {"two that stand still", with_cost(standing_still("z", 106), "-1"), standing_still("a", 5),
       "lowest deletion cost"},
      {"a moment is not still", with_load("a", 2), standing_still("z", 106, std::chrono::seconds(1)),
       "2 (the others: 106)"},
      {"a colder cache", with_load("z", 1, 0.1), with_load("a", 1, 0.2), "10 % (the others: 20 %)"},
      {"an unknown cache is the warmest", with_load("z", 1, 0.9), with_load("a", 1), "coldest"},
      {"its node is emptied", emptied, with_load("a", 1, 0.5), "node is being emptied"},
      {"its node is emptier", beside(with_load("z", 1), "n2", 1), beside(with_load("a", 1), "n1", 2),
       "fewer other pods of pools, 1, stay on node n2"},
      {"a busier one whose node is emptier stays", beside(with_load("a", 1), "n1", 1),
       beside(with_load("z", 2), "n2", 0), "fewest requests in flight"},
      {"the younger", created(with_load("z", 1), 20), created(with_load("a", 1), 10), "youngest"},
      {"by name", with_load("a", 1), with_load("z", 1), "by name"},
  };
  for (const auto& row : rows) {
    for (const bool swapped : {false, true}) {
      std::vector<Candidate> both{candidate(row.goes), candidate(row.stays)};
      if (swapped) std::swap(both[0], both[1]);
      rank(both, api::Prefer::kIdle);
      EXPECT_EQ(both[0].pod, &row.goes.pod) << row.situation;
      EXPECT_THAT(explain(both, api::Prefer::kIdle), HasSubstr(row.why)) << row.situation;
    }
  }
}

TEST(Victims, WhereNodesAreToBeEmptied_TheNodeComesBeforeWhatIsInFlight) {
  Made emptied = beside(with_load("z", 9), "n3", 5);
  emptied.emptied = true;
  const struct {
    const char* situation;
    Made goes, stays;
    const char* why;
  } rows[] = {
      {"alone on its node", beside(with_load("z", 9), "n2", 0), beside(with_load("a", 0), "n1", 1),
       "no other pod of a pool stays on node n2"},
      {"fewer others", beside(with_load("z", 9), "n2", 1), beside(with_load("a", 0), "n1", 2),
       "fewer other pods of pools, 1, stay on node n2"},
      {"a node that is emptied anyway", emptied, beside(with_load("a", 0), "n1", 0), "node is being emptied"},
      {"as many others", beside(with_load("z", 1), "n2", 1), beside(with_load("a", 2), "n1", 1),
       "1 (the others: 2)"},
      {"a lower cost", with_cost(beside(with_load("z", 9), "n2", 3), "-5"),
       beside(with_load("a", 0), "n1", 0), "lowest deletion cost"},
  };
  for (const auto& row : rows) {
    std::vector<Candidate> both{candidate(row.stays), candidate(row.goes)};
    rank(both, api::Prefer::kEmptyNode);
    EXPECT_EQ(both[0].pod, &row.goes.pod) << row.situation;
    EXPECT_THAT(explain(both, api::Prefer::kEmptyNode), HasSubstr(row.why)) << row.situation;
  }
}

// What is said of the load is said of those whose nodes are alike.
TEST(Victims, WhereNodesAreToBeEmptied_WhyIsSaidOfThoseOnNodesAlike) {
  const Made pods[] = {beside(with_load("a", 5), "n1", 1), beside(with_load("b", 6), "n2", 1),
                       beside(with_load("c", 0), "n3", 3)};
  std::vector<Candidate> ranked = candidates(pods);
  rank(ranked, api::Prefer::kEmptyNode);
  EXPECT_EQ(
      explain(ranked, api::Prefer::kEmptyNode),
      "of those whose nodes have as few other pods of pools, it had the fewest requests in flight, 5 (the "
      "others: 6)");
}

// However they are taken: the next is the one that would come first if all were sorted anew.
TEST(Victims, TakenOneByOne_AreInOrderEachTime) {
  for (unsigned seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    std::vector<Made> pods;
    std::map<std::string, std::int32_t> per_node;
    for (int i = 0; i < 40; ++i) {
      const std::string node = random() % 9 == 0 ? "" : fmt::format("n{}", random() % 7);
      if (!node.empty()) ++per_node[node];
      pods.push_back(beside(with_load(fmt::format("p{:02}", i).c_str(), static_cast<double>(random() % 3)),
                            node.c_str(), 0));
    }
    for (Made& pod : pods) {
      if (!pod.pod.node->empty()) pod.neighbours = per_node[*pod.pod.node] - 1;
    }
    for (const api::Prefer prefer : {api::Prefer::kIdle, api::Prefer::kEmptyNode}) {
      std::vector<Candidate> left = candidates(pods);
      rank(left, prefer);
      while (!left.empty()) {
        std::vector<Candidate> anew = left;
        rank(anew, prefer);
        ASSERT_EQ(anew.front().pod, left.front().pod);
        take_first(left, prefer);
      }
    }
  }
}

TEST(Victims, OneThatGoesAnyway_IsNoNeighbour) {
  const Made going = beside(with_load("g", 1), "n2", 1);
  const Made pods[] = {beside(with_load("a", 1), "n1", 1), beside(with_load("b", 9), "n2", 1)};
  std::vector<Candidate> ranked = candidates(pods);
  leaves(ranked, going.pod);
  rank(ranked, api::Prefer::kEmptyNode);
  EXPECT_EQ(ranked[0].pod->name, "b");
}

// Two nodes of two: both pods of one node go, and not one of each.
TEST(Victims, WhoseNodeIsBegun_GoesNext) {
  const Made pods[] = {beside(with_load("a", 1), "n1", 1), beside(with_load("b", 2), "n2", 1),
                       beside(with_load("c", 3), "n1", 1), beside(with_load("d", 4), "n2", 1)};
  std::vector<Candidate> ranked = candidates(pods);
  rank(ranked, api::Prefer::kEmptyNode);
  std::vector<std::string> order;
  while (!ranked.empty()) {
    order.push_back(ranked.front().pod->name);
    take_first(ranked, api::Prefer::kEmptyNode);
  }
  EXPECT_THAT(order, testing::ElementsAre("a", "c", "b", "d"));
}

// As Kubernetes reads it: pkg/apis/core/helper, GetDeletionCostFromPodAnnotations.
TEST(Victims, DeletionCostIsReadAsKubernetesDoes) {
  const std::pair<const char*, std::int32_t> rows[] = {
      {"0", 0},
      {"5", 5},
      {"-5", -5},
      {"2147483647", 2147483647},
      {"-2147483648", -2147483647 - 1},
      {"+5", 0},
      {"05", 0},
      {"2147483648", 0},
      {"", 0},
      {"five", 0},
      {"5.0", 0},
      {" 5", 0},
      {"-05", -5},
  };
  for (const auto& [text, cost] : rows)
    EXPECT_EQ(deletion_cost(with_cost(made("a"), text).pod), cost) << text;
}

}  // namespace
}  // namespace poolwarden::pool
