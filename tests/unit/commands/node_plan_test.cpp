#include "commands/node_plan.h"

#include "examples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::commands {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

NodePod pod(const char* name, std::string_view serving) {
  NodePod out{.pod = ready_pod(name), .endpoint = {}};
  label(out.pod, serving);
  if (serving == "draining") begin_drain(out.pod);
  if (serving == "drained") drain(out.pod);
  return out;
}

struct Row {
  const char* situation;
  NodePod pod;
  bool evicted;
  const char* words;  // null: it is not waited for
  std::size_t draining = 0;
};
void PrintTo(const Row& row, std::ostream* out) {
  *out << row.situation;
}
template <class Change>
NodePod but(NodePod out, Change change) {
  change(out);
  return out;
}

class Plans : public testing::TestWithParam<Row> {};
TEST_P(Plans, EvictOnlyWhatIsDrained) {
  const Row& row = GetParam();
  const std::vector<NodePod> pods = {{reread(row.pod.pod), row.pod.endpoint}};
  const NodePlan plan = plan_node(pods, kNow);
  EXPECT_EQ(plan.evict.size(), row.evicted ? 1U : 0U);
  EXPECT_EQ(plan.draining, row.draining);
  ASSERT_EQ(plan.lines.size(), row.words == nullptr ? 0U : 1U);
  if (row.words != nullptr) {
    EXPECT_EQ(plan.lines[0].words, row.words);
  }
  EXPECT_EQ(plan.staying.empty(), row.words != nullptr);
}
INSTANTIATE_TEST_SUITE_P(
    Situations, Plans,
    testing::Values(
        Row{"serving", pod("a", "true"), false, "serving, not drained yet"},
        Row{"serving, and the operator says why",
            but(pod("a", "true"),
                [](auto& p) {
                  p.endpoint = endpoint("a", "ready");
                  p.endpoint->message = "it goes in its turn";
                }),
            false, "serving, not drained yet: it goes in its turn"},
        Row{"draining", but(pod("a", "draining"), [](auto& p) { p.endpoint = draining("a"); }), false,
            "draining for 12 s, 3 in flight, at most 288 s more", 1},
        Row{"draining, unlisted", pod("a", "draining"), false, "draining, in flight not known", 1},
        Row{"drained", pod("a", "drained"), true, "drained"},
        Row{"drained and being deleted", but(pod("a", "drained"), [](auto& p) { p.pod.ends = ahead(5); }),
            false, "terminating"},
        Row{"never ready", NodePod{not_ready_pod(), {}}, true, "on no list"},
        Row{"a DaemonSet's", but(pod("a", "drained"), [](auto& p) { p.pod.owners[0].kind = "DaemonSet"; }),
            false, nullptr},
        Row{"a static pod",
            but(pod("a", "true"), [](auto& p) { annotate(p.pod, "kubernetes.io/config.mirror", "x"); }),
            false, nullptr}));

TEST(NodePlan, SaysWhyAPodStays) {
  const std::vector<NodePod> pods = {
      but(pod("a", "true"), [](auto& p) { p.pod.owners[0].kind = "DaemonSet"; })};
  EXPECT_THAT(plan_node(pods, kNow).staying, ElementsAre("default/a: DaemonSet vllm-5d9c would put it back"));
  EXPECT_THAT(plan_node({}, kNow).lines, IsEmpty());
}

TEST(NodePlan, AWorkerGoesOnceItsLeaderHasDrained) {
  std::vector<NodePod> pods = {pod("llm-0-1", "member")};
  pods[0].pod = reread(pods[0].pod);
  pods[0].leader = reread(pod("llm-0", "draining").pod);
  NodePlan plan = plan_node(pods, kNow);
  EXPECT_THAT(plan.evict, IsEmpty());
  EXPECT_EQ(plan.draining, 1U);
  pods[0].leader = reread(pod("llm-0", "drained").pod);
  plan = plan_node(pods, kNow);
  EXPECT_THAT(plan.evict, ElementsAre(&pods[0]));
}

}  // namespace
}  // namespace poolwarden::commands
