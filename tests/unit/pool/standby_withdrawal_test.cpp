#include "pool/standby_withdrawal.h"

#include "api/names.h"
#include "world.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

// What a standby sees of a world in which vllm-a and vllm-b are on the list.
struct Standby {
  Standby() { world.config_map->pods_version = "100"; }

  World world = settled();
  bool pods_behind = false;

  std::map<std::string, std::string> listed = {{"vllm-a-uid", "vllm-a"}, {"vllm-b-uid", "vllm-b"}};

  std::vector<UnfitEndpoint> unfit() const {
    StandbyView seen;
    seen.pool = &world.pool;
    seen.config_map = world.config_map ? &*world.config_map : nullptr;
    seen.pods_behind = pods_behind;
    seen.listed = &listed;
    seen.pod = [this](std::string_view name) -> const api::Pod* {
      for (const api::Pod& pod : world.pods) {
        if (pod.name == name) return &pod;
      }
      return nullptr;
    };
    if (world.nodes_readable) {
      seen.node = [this](const api::Pod& pod) -> const api::Node* {
        const auto found = world.nodes.find(*pod.node);
        return found == world.nodes.end() ? nullptr : &found->second;
      };
    }
    return unfit_in_standby(seen);
  }
  api::Pod& pod() { return world.pod("vllm-a"); }
};

struct ConvictionRow {
  const char* situation;
  std::function<void(Standby&)> happens;
  Withdrawal reason;  // of vllm-a; kNone: it stays
};

const ConvictionRow kConvictions[] = {
    {"nothing", [](Standby&) {}, Withdrawal::kNone},
    {"deleted", [](Standby& s) { s.world.pods.erase(s.world.pods.begin()); }, Withdrawal::kDeleted},
    {"recreated", [](Standby& s) { s.pod().uid = "another"; }, Withdrawal::kDeleted},
    {"terminating", [](Standby& s) { s.pod().deletion_timestamp = at_second(1).wall; },
     Withdrawal::kTerminating},
    {"failed", [](Standby& s) { s.pod().phase = api::PodPhase::kFailed; }, Withdrawal::kFailed},
    {"evicted",
     [](Standby& s) {
       s.pod().phase = api::PodPhase::kFailed;
       s.pod().status_reason = "Evicted";
     },
     Withdrawal::kEvicted},
    {"ended", [](Standby& s) { s.pod().phase = api::PodPhase::kSucceeded; }, Withdrawal::kSucceeded},
    {"about to be disrupted", [](Standby& s) { s.pod().disruption_target = "EvictionByEvictionAPI"; },
     Withdrawal::kDisruptionTarget},
    {"not ready", [](Standby& s) { s.pod().ready = s.pod().containers_ready = api::Tristate::kFalse; },
     Withdrawal::kNotReady},
    {"its gate is closed", [](Standby& s) { s.pod().unmet_gate = "example.com/lb"; },
     Withdrawal::kReadinessGate},
    {"without an address", [](Standby& s) { s.pod().ip.clear(); }, Withdrawal::kNoAddress},
    {"without the condition", [](Standby& s) { s.pod().ready = api::Tristate::kAbsent; },
     Withdrawal::kNoReadyCondition},
    // Not seeing is no reason.
    {"its readiness is unknown", [](Standby& s) { s.pod().ready = api::Tristate::kUnknown; },
     Withdrawal::kNone},
    {"not ready in the node controller's words, and the node is not told of yet",
     [](Standby& s) { s.pod().ready = api::Tristate::kFalse; }, Withdrawal::kNone},
    {"not ready on a node that is not",
     [](Standby& s) {
       s.pod().ready = s.pod().containers_ready = api::Tristate::kFalse;
       s.world.nodes.begin()->second.ready = api::Tristate::kUnknown;
     },
     Withdrawal::kNone},
    {"not ready, and nodes cannot be read",
     [](Standby& s) {
       s.pod().ready = s.pod().containers_ready = api::Tristate::kFalse;
       s.world.nodes_readable = false;
     },
     Withdrawal::kNotReady},
    {"terminating on a node that is not ready",
     [](Standby& s) {
       s.pod().deletion_timestamp = at_second(1).wall;
       s.world.nodes.begin()->second.ready = api::Tristate::kFalse;
     },
     Withdrawal::kTerminating},
    // What nodes, selectors and drains lead to is the leader's to say.
    {"its node is not ready", [](Standby& s) { s.world.nodes.begin()->second.ready = api::Tristate::kFalse; },
     Withdrawal::kNone},
    {"its node is gone", [](Standby& s) { s.world.nodes.clear(); }, Withdrawal::kNone},
    {"its node is out of service", [](Standby& s) { s.world.nodes.begin()->second.withdraw_taint = "x"; },
     Withdrawal::kNone},
    {"relabelled",
     [](Standby& s) {
       s.pod() = with_labels(s.pod(), {{"app", "other"}});
     },
     Withdrawal::kNone},
    {"drains", [](Standby& s) { s.pod().serving = std::string(api::serving::kDraining); }, Withdrawal::kNone},
};

TEST(StandbyWithdrawal, NamesWhomThePodItselfConvicts) {
  for (const ConvictionRow& row : kConvictions) {
    SCOPED_TRACE(row.situation);
    Standby standby;
    row.happens(standby);
    const auto unfit = standby.unfit();
    ASSERT_EQ(unfit.size(), row.reason == Withdrawal::kNone ? 0U : 1U);
    if (unfit.empty()) continue;
    EXPECT_EQ(unfit[0].uid, "vllm-a-uid");
    EXPECT_EQ(unfit[0].reason, row.reason);
    EXPECT_FALSE(unfit[0].detail.empty());
  }
}

TEST(StandbyWithdrawal, NamesAllThatAreGone) {
  Standby standby;
  standby.world.pods.clear();
  EXPECT_EQ(standby.unfit().size(), 2U);
}

TEST(StandbyWithdrawal, LeavesWhoIsNotListedAsReady) {
  Standby standby;
  standby.listed.erase("vllm-a-uid");
  standby.pod().deletion_timestamp = at_second(1).wall;
  EXPECT_TRUE(standby.unfit().empty());
}

TEST(StandbyWithdrawal, NamesNobodyWhereTooLittleIsKnown) {
  const struct {
    const char* situation;
    std::function<void(Standby&)> happens;
  } rows[] = {
      {"pods older than the list's", [](Standby& s) { s.pods_behind = true; }},
      {"a list that does not say from which pods",
       [](Standby& s) { s.world.config_map->pods_version.clear(); }},
      {"no list", [](Standby& s) { s.world.config_map.reset(); }},
      {"a pool that is being deleted", [](Standby& s) { s.world.pool.deleting = true; }},
  };
  for (const auto& row : rows) {
    Standby standby;
    standby.pod().deletion_timestamp = at_second(1).wall;
    ASSERT_FALSE(standby.unfit().empty());
    row.happens(standby);
    EXPECT_TRUE(standby.unfit().empty()) << row.situation;
  }
}

// What the leader makes of a list that a standby wrote.
class LeaderAfterAStandby : public testing::Test {
 protected:
  LeaderAfterAStandby() {
    standby.pod().ready = standby.pod().containers_ready = api::Tristate::kFalse;
    leader = settled();
    auto set = *api::parse_endpoint_set(leader.config_map->endpoints_json, nullptr);
    EXPECT_EQ(withdraw(set, standby.unfit(), set.revision + 1).size(), 1U);
    leader.config_map->endpoints_json = api::to_canonical_json(set);
    leader.config_map->endpoints_text = api::to_text(set);
    leader.config_map->revision = std::to_string(set.revision);
    leader.config_map->pods_version = "120";
    leader.config_map->resource_version = "121";
  }
  Standby standby;
  World leader;
};

TEST_F(LeaderAfterAStandby, WhoKnowsAsMuchTakesItAsItsOwn) {
  leader.pods_version = "120";
  leader.pod("vllm-a").ready = leader.pod("vllm-a").containers_ready = api::Tristate::kFalse;
  const Plan plan = leader.decide();
  EXPECT_FALSE(plan.publish) << "nothing to put back, and nothing to tell of";
}

TEST_F(LeaderAfterAStandby, WhoKnowsLessPutsNobodyBack) {
  leader.pods_version = "110";  // and vllm-a is fit, by that
  leader.pods_behind = true;
  EXPECT_FALSE(leader.decide().publish);
}

TEST_F(LeaderAfterAStandby, WhoKnowsLessMayStillTakeAway) {
  leader.pods_version = "110";
  leader.pods_behind = true;
  leader.pod("vllm-b").deletion_timestamp = at_second(1).wall;
  const Plan plan = leader.decide();
  ASSERT_TRUE(plan.publish);
  EXPECT_TRUE(plan.publish->write.set.endpoints.empty());
  EXPECT_EQ(plan.publish->write.pods_version, "120") << "it stays the list of the newer ones";
  EXPECT_EQ(plan.publish->write.set.revision, 3) << "the standby's was 2";
}

TEST_F(LeaderAfterAStandby, APodThatIsWellAgainComesBack) {
  leader.pods_version = "130";
  leader.once_published.insert("vllm-a-uid");
  const Plan plan = leader.decide();
  ASSERT_TRUE(plan.publish);
  EXPECT_FALSE(plan.publish->undo);
  EXPECT_FALSE(plan.publish->event);
  EXPECT_EQ(plan.publish->write.set.revision, 3);
  ASSERT_EQ(plan.publish->changes.size(), 1U);
  EXPECT_TRUE(plan.publish->changes[0].again);
}

}  // namespace
}  // namespace poolwarden::pool
