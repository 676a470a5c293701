// Who goes first, and what is said of it.
#include "pool/victims.h"

#include "world.h"

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
};

Made made(const char* name) {
  return {ready_pod(name, "10.0.0.1"), {}, false, true, false};
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
      {"the younger", created(with_load("z", 1), 20), created(with_load("a", 1), 10), "youngest"},
      {"by name", with_load("a", 1), with_load("z", 1), "by name"},
  };
  for (const auto& row : rows) {
    const auto candidate = [](const Made& one) {
      return Candidate{&one.pod, one.serves, one.emptied, one.asked ? &one.load : nullptr};
    };
    for (const bool swapped : {false, true}) {
      std::vector<Candidate> both{candidate(row.goes), candidate(row.stays)};
      if (swapped) std::swap(both[0], both[1]);
      rank(both);
      EXPECT_EQ(both[0].pod, &row.goes.pod) << row.situation;
      EXPECT_THAT(explain(both), HasSubstr(row.why)) << row.situation;
    }
  }
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
