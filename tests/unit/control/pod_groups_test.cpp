// The groups of LeaderWorkerSets, from the caches to what decisions are shown.
#include "parts.h"

#include <tuple>

#include <gmock/gmock.h>

namespace poolwarden::control {
namespace {

TEST(PodGroups, AreThoseOfTheLeaders) {
  Parts parts;
  api::InferencePool pool = made_pool("a", "vllm");
  pool.scale_target = api::ScaleTargetRef{"leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", "llm"};
  parts.list<Pools>({pool});
  std::vector<api::Pod> pods;
  for (const auto& [name, group, index] :
       {std::tuple{"llm-0", "0", "0"}, {"llm-0-1", "0", "1"}, {"llm-1-1", "1", "1"}}) {
    pods.push_back(labelled(made_pod(name, "vllm"), "member"));
    pods.back().labels =
        std::make_shared<const api::Labels>(api::LabelMap{{"app", *index == '0' ? "vllm" : "worker"},
                                                          {std::string(api::kGroupSetLabel), "llm"},
                                                          {std::string(api::kGroupIndexLabel), group},
                                                          {std::string(api::kWorkerIndexLabel), index}});
  }
  parts.list<Pods>(pods);
  parts.list_the_rest();
  const pool::Snapshot seen = parts.snapshots.build(parts.record("a"), *parts.pool("a"), false, parts.now);
  ASSERT_EQ(seen.pods.size(), 1U);
  ASSERT_EQ(seen.groups.size(), 1U);
  ASSERT_EQ(seen.groups.at("llm-0-uid").size(), 1U);
  EXPECT_EQ(seen.groups.at("llm-0-uid")[0]->name, "llm-0-1");
  const auto is_held_member = [&parts](const char* name) {
    return parts.snapshots.is_held_member(*parts.feeds.store<Pods>().find("default", name));
  };
  EXPECT_TRUE(is_held_member("llm-0-1"));
  EXPECT_FALSE(is_held_member("llm-1-1")) << "its leader is of no pool, and so nobody's is its label";
}

}  // namespace
}  // namespace poolwarden::control
