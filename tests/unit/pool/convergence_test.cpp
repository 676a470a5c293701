// For any snapshot: plans carried out lead, in at most four passes, to one with nothing left to do, and then
// time alone, a restart and a second look change nothing.
#include "api/names.h"
#include "support/seeds.h"
#include "world.h"

#include <random>

#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

class Dice {
 public:
  explicit Dice(std::uint32_t seed) : engine_(seed) {}
  int below(int bound) { return static_cast<int>(engine_() % static_cast<std::uint32_t>(bound)); }
  template <class T, std::size_t kCount>
  T one_of(const T (&values)[kCount]) {
    return values[engine_() % kCount];
  }
  bool once_in(int bound) { return below(bound) == 0; }

 private:
  std::mt19937 engine_;
};

api::Pod random_pod(Dice& dice, int number) {
  api::Pod pod = ready_pod("pod-" + std::to_string(number), "10.0.0." + std::to_string(number));
  using api::Tristate;
  if (dice.once_in(4)) pod.ready = dice.one_of({Tristate::kAbsent, Tristate::kFalse, Tristate::kUnknown});
  if (dice.once_in(6)) pod.deletion_timestamp.emplace();
  if (dice.once_in(8)) pod.phase = dice.one_of({api::PodPhase::kFailed, api::PodPhase::kSucceeded});
  if (dice.once_in(8)) pod.unmet_gate = "gate";
  if (dice.once_in(8)) pod.ip.clear();
  if (dice.once_in(8)) pod.disruption_target = "x";
  if (dice.once_in(8)) pod.node = std::make_shared<const std::string>(dice.once_in(2) ? "" : "gone");
  if (dice.once_in(6)) pod = with_labels(pod, {{"app", "other"}});
  if (dice.once_in(2)) pod.serving = dice.one_of({"true", "false", "draining", "x"});
  return pod;
}

void shake(World& world, Dice& dice) {
  if (dice.once_in(3)) world.pool.replicas = dice.below(4);
  if (dice.once_in(3)) world.target->replicas = dice.below(4);
  if (dice.once_in(3)) world.target->status_replicas = dice.below(4);
  if (dice.once_in(4)) world.agreed = api::Agreement{dice.below(4), "target-uid"};
  if (dice.once_in(4)) world.agreed.reset();
  if (world.target && dice.once_in(8)) world.target->uid = "recreated-" + std::to_string(dice.below(4));
  if (dice.once_in(8))
    world.pool.selector = api::LabelSelector{{{"app", dice.once_in(2) ? "vllm" : "other"}}, {}};
  if (dice.once_in(10)) world.target.reset();
  if (dice.once_in(10)) world.target_visibility = Visibility::kUnknown;
  if (dice.once_in(10)) world.nodes_readable = !world.nodes_readable;
  if (dice.once_in(10)) world.can_see = !world.can_see;
  if (dice.once_in(10)) world.pool.target_ports = {{.number = dice.below(3) * 1000, .name = ""}};
  if (dice.once_in(12)) world.pool.publish.create_service = !world.pool.publish.create_service;
  if (dice.once_in(12)) world.pool.deleting = true;
  if (dice.once_in(6)) world.pool.status = {};
  if (dice.once_in(6)) world.config_map.reset();
  if (dice.once_in(6)) world.service.reset();
  if (world.config_map && dice.once_in(5)) world.config_map->endpoints_json += "x";
  if (world.config_map && dice.once_in(8)) world.config_map->endpoints_text.clear();
  if (world.config_map && dice.once_in(8)) world.config_map->labels.clear();
  if (world.config_map && dice.once_in(12)) world.config_map->owners.clear();
  if (world.service && dice.once_in(6)) world.service->selector["x"] = "y";
  if (world.service && dice.once_in(6)) world.service->ports.clear();
  if (world.service && dice.once_in(8)) world.service->owners.clear();
  if (world.service && dice.once_in(8)) world.service->labels.clear();
  if (dice.once_in(8)) world.scale_error = dice.once_in(2) ? "no" : "";
  if (dice.once_in(8)) world.labels_error = dice.once_in(2) ? "no" : "";
  world.overlapping_pools = dice.once_in(8) ? std::vector<std::string>{"other"} : std::vector<std::string>{};
  world.pods.clear();
  world.pods_of_others.clear();
  const int pods = dice.below(6);
  for (int i = 0; i < pods; ++i) {
    world.pods.push_back(random_pod(dice, i));
    if (dice.once_in(6)) world.pods_of_others.insert(world.pods.back().uid);
  }
}

TEST(Decide, ConvergesFromAnySnapshotAndThenRests) {
  constexpr int kMaxPasses = 4;
  for (std::uint32_t seed = 1; seed <= test::seeds(800); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Dice dice{seed};
    World world;
    for (int round = 0; round < 4 && world.target && !world.pool.deleting; ++round) {
      shake(world, dice);
      const int passes = world.settle(round * 100, kMaxPasses + 1);
      ASSERT_LE(passes, kMaxPasses);
      ASSERT_FALSE(HasFailure());
      ASSERT_TRUE(world.decide(round * 100 + 99).empty()) << "time alone is no reason to write";
      World restarted = world;
      restarted.agreed.reset();
      restarted.last_revision = 0;
      restarted.once_published.clear();
      ASSERT_TRUE(restarted.decide(round * 100 + 99).empty()) << "nor is a restart";
    }
  }
}

TEST(Decide, ThatTakesTheWholeTimeOfAFreshPool) {
  World world;
  EXPECT_EQ(world.settle(), 2) << "the list, the labels and the adopted count, then status";
}

}  // namespace
}  // namespace poolwarden::pool
