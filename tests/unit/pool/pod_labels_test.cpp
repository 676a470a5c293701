#include "pool/pod_labels.h"

#include "api/names.h"
#include "world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

constexpr const char* kKeep = "(not written)";
constexpr const char* kRemove = "(removed)";

std::string written(const Plan& plan, const std::string& pod) {
  for (const auto& write : plan.pod_labels) {
    if (write.name == pod) return write.serving.value_or(kRemove);
  }
  return kKeep;
}

TEST(PodLabels, NameThePodTheyMean) {
  World world;
  const Plan plan = world.decide();
  EXPECT_EQ(written(plan, "vllm-a"), "true");
  EXPECT_EQ(plan.pod_labels.at(0).uid, "vllm-a-uid");
  EXPECT_EQ(plan.pod_labels.at(0).resource_version, "1");
}

struct LabelRow {
  const char* situation;
  std::optional<std::string> before;
  std::function<void(api::Pod&)> change;
  bool others_too;
  const char* wanted;
};

TEST(PodLabels, AreWrittenOncePerChange) {
  const auto nothing = [](api::Pod&) {};
  const auto not_ready = [](api::Pod& p) { p.ready = api::Tristate::kFalse; };
  const auto terminating = [](api::Pod& p) { p.deletion_timestamp.emplace(); };
  const auto relabelled = [](api::Pod& p) { p = with_labels(p, {{"app", "other"}}); };
  const auto relabelled_and_going = [](api::Pod& p) {
    p = with_labels(p, {{"app", "other"}});
    p.deletion_timestamp.emplace();
  };
  const LabelRow rows[] = {
      {"became ready", std::nullopt, nothing, false, "true"},
      {"is ready still", "true", nothing, false, kKeep},
      {"is ready again", "false", nothing, false, "true"},
      {"someone wrote a state of drains", "draining", nothing, false, "true"},
      {"someone wrote nonsense", "maybe", nothing, false, "true"},
      {"has not been ready yet", std::nullopt, not_ready, false, kKeep},
      {"stopped being ready", "true", not_ready, false, "finishing"},
      {"finishes", "finishing", nothing, false, "true"},
      {"is not ready still", "false", not_ready, false, kKeep},
      {"terminates: never written", "true", terminating, false, kKeep},
      {"terminates before its first label", std::nullopt, terminating, false, kKeep},
      {"failed", "true", [](api::Pod& p) { p.phase = api::PodPhase::kFailed; }, false, "false"},
      {"no longer matches", "true", relabelled, false, kRemove},
      {"no longer matches, never had one", std::nullopt, relabelled, false, kKeep},
      {"no longer matches and terminates", "true", relabelled_and_going, false, kKeep},
      {"no longer matches, but another pool selects it", "true", relabelled, true, kKeep},
      {"became ready, and another pool selects it too", std::nullopt, nothing, true, "true"},
      {"stopped being ready, and another pool selects it too", "true", not_ready, true, "finishing"},
  };
  for (const LabelRow& row : rows) {
    World world = settled();
    api::Pod& pod = world.pod("vllm-a");
    pod.serving = row.before;
    row.change(pod);
    if (row.others_too) world.pods_of_others = {pod.uid};
    const Plan plan = world.decide();
    EXPECT_EQ(written(plan, "vllm-a"), row.wanted) << row.situation;
    EXPECT_EQ(written(plan, "vllm-b"), kKeep) << row.situation;
    world.apply(plan);
    EXPECT_TRUE(world.decide().pod_labels.empty()) << row.situation << ": a second time";
  }
}

// The label rests on facts of the pod alone, so two pools that both select it never fight over it.
TEST(PodLabels, TwoPoolsAgree) {
  World one = settled();
  World two = one;
  two.pool.name = "other";
  two.pool.uid = "other-uid";
  two.pool.publish = {.config_map_name = "other-endpoints", .service_name = "other", .create_service = true};
  two.config_map.reset();
  two.service.reset();
  for (const auto ready : {api::Tristate::kFalse, api::Tristate::kTrue, api::Tristate::kUnknown}) {
    one.pod("vllm-a").ready = ready;
    one.settle();
    two.pods = one.pods;
    EXPECT_TRUE(two.decide().pod_labels.empty());
  }
}

}  // namespace
}  // namespace poolwarden::pool
