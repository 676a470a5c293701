// spec.publish.panicThresholdPercent: who stays on the list while too few are ready.
#include "api/names.h"
#include "world.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Panic : public testing::Test {
 protected:
  Panic() { world.pool.publish.panic_threshold = 50; }

  // Its server does not answer, as its own kubelet says.
  void misses_its_probe(const std::string& pod) {
    world.pod(pod).ready = world.pod(pod).containers_ready = api::Tristate::kFalse;
  }
  // "vllm-a", or "vllm-a unready" as it is marked.
  std::vector<std::string> listed() const {
    std::vector<std::string> out;
    const auto set = api::parse_endpoint_set(world.config_map->endpoints_json, nullptr);
    for (const api::Endpoint& endpoint : set->endpoints) {
      if (endpoint.state != api::EndpointState::kReady) continue;
      out.push_back(endpoint.pod + (endpoint.unready ? " unready" : ""));
    }
    return out;
  }

  World world = settled();
};

TEST_F(Panic, EnoughAreReady_TheOtherLeaves) {
  misses_its_probe("vllm-a");
  world.settle(1);
  EXPECT_THAT(listed(), ElementsAre("vllm-b")) << "one of two is not fewer than half";
  EXPECT_EQ(condition(world.pool.status, "Degraded").reason, "AsExpected");
}

TEST_F(Panic, TooFewAreReady_TheyStayAndAreMarked) {
  misses_its_probe("vllm-a");
  misses_its_probe("vllm-b");
  world.settle(1);
  EXPECT_THAT(listed(), ElementsAre("vllm-a unready", "vllm-b unready"));
  EXPECT_EQ(world.pod("vllm-a").serving, "true");
  EXPECT_EQ(condition(world.pool.status, "Degraded").reason, "PanicThreshold");
  EXPECT_EQ(world.settle(2), 0) << "and nothing more is to be written";
}

TEST_F(Panic, WithoutAThreshold_TheListIsEmpty) {
  world.pool.publish.panic_threshold = 0;
  misses_its_probe("vllm-a");
  misses_its_probe("vllm-b");
  world.settle(1);
  EXPECT_THAT(listed(), IsEmpty());
}

TEST_F(Panic, WhoDrainsIsNotReadyForThat) {
  world.pod("vllm-a").annotations = std::make_shared<const api::DrainAnnotations>(api::DrainAnnotations{
      .started = {}, .reason = {}, .request = "requested", .saved_cost = {}, .deletion_cost = {}});
  world.settle(1);
  ASSERT_EQ(world.pod("vllm-a").serving, "draining");
  misses_its_probe("vllm-b");
  world.settle(2);
  EXPECT_THAT(listed(), ElementsAre("vllm-b unready"));
  misses_its_probe("vllm-a");
  world.settle(3);
  EXPECT_THAT(listed(), ElementsAre("vllm-b unready")) << "nor does it come back for being unready";
}

TEST_F(Panic, OnADeadNodeNobodyStays) {
  misses_its_probe("vllm-a");
  misses_its_probe("vllm-b");
  world.settle(1);
  world.nodes["node-1"].ready = api::Tristate::kFalse;
  world.settle(2);
  EXPECT_THAT(listed(), IsEmpty());
}

TEST_F(Panic, ThePoolGoesOnHold_TheyStayAndAreHeld) {
  misses_its_probe("vllm-a");
  misses_its_probe("vllm-b");
  world.settle(1);
  world.target.reset();
  world.settle(2);
  EXPECT_THAT(listed(), ElementsAre("vllm-a unready", "vllm-b unready"));
  EXPECT_EQ(world.pod("vllm-a").serving, "true");
}

TEST_F(Panic, OneThatNeverWasAnEndpointDoesNotJoin) {
  world.pods.push_back(ready_pod("vllm-c", "10.0.0.3"));
  misses_its_probe("vllm-c");
  misses_its_probe("vllm-a");
  misses_its_probe("vllm-b");
  world.settle(1);
  EXPECT_THAT(listed(), ElementsAre("vllm-a unready", "vllm-b unready"));
}

}  // namespace
}  // namespace poolwarden::pool
