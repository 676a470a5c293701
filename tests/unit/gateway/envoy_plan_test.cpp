// What Envoy's file is to hold, for what the list wants and what Envoy says.
#include "gateway/envoy_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

using api::EndpointState;
using testing::ElementsAre;
using testing::IsEmpty;

const ServerAddress kEnvoyA{"10.0.0.1", 8000};
const ServerAddress kEnvoyB{"10.0.0.2", 8000};

EnvoyHost envoy_host(const ServerAddress& address, EnvoyHealth health, std::int64_t busy = 0,
                     std::string zone = {}) {
  return {address, health, std::move(zone), busy};
}

std::vector<std::string> envoy_told(const std::vector<WantedServer>& wanted, const EnvoySnapshot& snapshot) {
  std::vector<std::string> out;
  for (const Command& command : make_envoy_plan(wanted, snapshot, "vllm").commands)
    out.push_back(command.text);
  return out;
}

TEST(EnvoyPlan, AgreesWithWhatIsSo) {
  const std::vector<EnvoyHost> both{envoy_host(kEnvoyA, EnvoyHealth::kHealthy),
                                    envoy_host(kEnvoyB, EnvoyHealth::kDraining, 1)};
  EXPECT_THAT(envoy_told({{kEnvoyA, "a"}}, {both, both}), IsEmpty());
  EXPECT_THAT(envoy_told({}, {}), IsEmpty());
}

TEST(EnvoyPlan, WithdrawalsAreFirst) {
  const std::vector<EnvoyHost> held{envoy_host(kEnvoyB, EnvoyHealth::kHealthy)};
  EXPECT_THAT(envoy_told({{kEnvoyA, "a"}}, {held, held}),
              ElementsAre("10.0.0.2:8000 DRAINING in vllm", "10.0.0.1:8000 HEALTHY in vllm"));
  EXPECT_THAT(envoy_told({{kEnvoyB, "b", EndpointState::kDraining}}, {held, held}),
              ElementsAre("10.0.0.2:8000 DRAINING in vllm"));
}

TEST(EnvoyPlan, ADrainedHostIsLeftOutOnceItIsIdleAndNotListed) {
  const auto draining = [](std::int64_t busy) {
    const std::vector<EnvoyHost> hosts{envoy_host(kEnvoyA, EnvoyHealth::kDraining, busy)};
    return EnvoySnapshot{hosts, hosts};
  };
  EXPECT_THAT(envoy_told({}, draining(2)), IsEmpty());
  EXPECT_THAT(envoy_told({}, draining(0)), ElementsAre("10.0.0.1:8000 left out of vllm"));
  EXPECT_THAT(envoy_told({{kEnvoyA, "a", EndpointState::kDraining}}, draining(0)), IsEmpty());
  EXPECT_THAT(envoy_told({{kEnvoyA, "a"}}, draining(2)), ElementsAre("10.0.0.1:8000 HEALTHY in vllm"));
}

TEST(EnvoyPlan, AFileThatIsAheadOfEnvoyIsTakenBack) {
  const std::vector<EnvoyHost> ahead{envoy_host(kEnvoyA, EnvoyHealth::kHealthy)};
  EXPECT_THAT(envoy_told({}, {ahead, {}}), ElementsAre("10.0.0.1:8000 DRAINING in vllm"))
      << "Envoy would send to it when it reads the file";
  EXPECT_THAT(envoy_told({{kEnvoyA, "a"}}, {ahead, {}}), ElementsAre("10.0.0.1:8000 HEALTHY in vllm"));
  EXPECT_THAT(envoy_told({{kEnvoyA, "a"}}, {{}, ahead}), ElementsAre("10.0.0.1:8000 HEALTHY in vllm"))
      << "a restarted Envoy would not know it";
}

TEST(EnvoyPlan, AHostThatSomeoneElseWroteIsPutRight) {
  const std::vector<EnvoyHost> other{envoy_host(kEnvoyA, EnvoyHealth::kOther)};
  EXPECT_THAT(envoy_told({{kEnvoyA, "a"}}, {other, other}), ElementsAre("10.0.0.1:8000 HEALTHY in vllm"));
  EXPECT_THAT(envoy_told({}, {other, other}), ElementsAre("10.0.0.1:8000 DRAINING in vllm"));
  const std::vector<EnvoyHost> elsewhere{envoy_host(kEnvoyA, EnvoyHealth::kHealthy, 0, "west")};
  EXPECT_THAT(envoy_told({{kEnvoyA, "a", EndpointState::kReady, "east"}}, {elsewhere, elsewhere}),
              ElementsAre("10.0.0.1:8000 HEALTHY in vllm"));
}

TEST(EnvoyPlan, OnceCarriedOutNothingIsLeftToSay) {
  const std::vector<EnvoyHost> before{envoy_host(kEnvoyB, EnvoyHealth::kHealthy, 3, "west")};
  const std::vector<WantedServer> wanted{
      {kEnvoyA, "a", EndpointState::kReady, std::string(300, 'z') + "\xff"}};
  const EnvoySnapshot snapshot{before, before};
  const Plan plan = make_envoy_plan(wanted, snapshot, "vllm");
  auto after = with_commands(agreed(snapshot), plan.commands);
  for (const Command& command : plan.commands) {
    EXPECT_FALSE(is_carried_out(command, before));
    EXPECT_TRUE(is_carried_out(command, after));
  }
  after.back().busy = 3;
  EXPECT_THAT(envoy_told(wanted, {after, after}), IsEmpty());
}

}  // namespace
}  // namespace poolwarden::gateway
