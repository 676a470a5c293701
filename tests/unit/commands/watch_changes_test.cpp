#include "commands/watch_changes.h"

#include "examples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::commands {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct Row {
  const char* situation;
  std::function<void(PoolView&)> change;
  std::vector<std::string> lines;
};
void PrintTo(const Row& row, std::ostream* out) {
  *out << row.situation;
}

class Changes : public testing::TestWithParam<Row> {};
TEST_P(Changes, AreOneLineEach) {
  const PoolView before = healthy_pool();
  PoolView after = before;
  GetParam().change(after);
  EXPECT_EQ(changes(&before, &after, kNow), GetParam().lines);
}
INSTANTIATE_TEST_SUITE_P(
    Situations, Changes,
    testing::Values(
        Row{"nothing", [](PoolView&) {}, {}},
        Row{"only what nobody reads", [](PoolView& p) { p.revision = 8; }, {}},
        Row{"scaled", [](PoolView& p) { p.wanted = 1; }, {"default/vllm: 1 wanted (was 2)"}},
        Row{"left to its target",
            [](PoolView& p) { p.wanted.reset(); },
            {"default/vllm: no number wanted (was 2)"}},
        Row{"a drain begins",
            [](PoolView& p) {
              p.serving = 1;
              p.draining = 1;
              p.endpoints[0] = draining("vllm-a");
            },
            {"default/vllm: 1 serving (was 2), 1 draining (was 0)",
             "default/vllm: pod vllm-a draining for 12 s, 3 in flight, at most 288 s more (ScaleDown)"}},
        Row{"a ready pod is named no more",
            [](PoolView& p) { p.endpoints.pop_back(); },
            {"default/vllm: pod vllm-b off the list"}},
        Row{"a pod is new",
            [](PoolView& p) { p.endpoints.push_back(endpoint("vllm-c", "ready")); },
            {"default/vllm: pod vllm-c ready"}},
        Row{"a pod is not ready",
            [](PoolView& p) {
              p.endpoints[0].state = "withdrawn";
              p.endpoints[0].reason = "NotReady";
            },
            {"default/vllm: pod vllm-a withdrawn (NotReady)"}},
        Row{"something is wrong",
            [](PoolView& p) { p.conditions[0] = condition("Available", "False", "NoPods", "m"); },
            {"default/vllm: Available=False NoPods: m"}}));

TEST(Changes, OfAWithdrawnPodThatIsGone) {
  PoolView before = healthy_pool();
  before.endpoints[0].state = "withdrawn";
  PoolView after = before;
  after.endpoints.erase(after.endpoints.begin());
  EXPECT_THAT(changes(&before, &after, kNow), ElementsAre("default/vllm: pod vllm-a gone"));
}

TEST(Changes, OfLoadAlone) {
  PoolView before = healthy_pool();
  before.endpoints = {draining("vllm-a")};
  PoolView after = before;
  after.endpoints[0].in_flight = 1;
  EXPECT_THAT(
      changes(&before, &after, kNow),
      ElementsAre("default/vllm: pod vllm-a draining for 12 s, 1 in flight, at most 288 s more (ScaleDown)"));
}

TEST(Changes, RecoveryIsReported) {
  PoolView before = healthy_pool();
  before.conditions[0] = condition("Available", "False", "NoPods", "m");
  const PoolView after = healthy_pool();
  EXPECT_THAT(changes(&before, &after, kNow), ElementsAre("default/vllm: Available: well again"));
}

TEST(Changes, ComingAndGoing) {
  const PoolView pool = healthy_pool();
  EXPECT_THAT(changes(nullptr, &pool, kNow),
              ElementsAre("default/vllm: 2 wanted, 2 pods, 2 ready, 2 serving, 0 draining",
                          "default/vllm: pod vllm-a ready", "default/vllm: pod vllm-b ready"));
  EXPECT_THAT(changes(&pool, nullptr, kNow), ElementsAre("default/vllm: deleted"));
  EXPECT_THAT(changes(nullptr, nullptr, kNow), IsEmpty());
}

}  // namespace
}  // namespace poolwarden::commands
