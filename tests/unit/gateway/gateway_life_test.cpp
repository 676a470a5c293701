// The core against a HAProxy that works, finishes, dies and restarts while lists change: many lives, each
// from a seed. Safety is asserted at each step, agreement at the end.
#include "gateway/gateway_core.h"
#include "haproxy_model.h"
#include "support/seeds.h"

#include <random>
#include <set>

#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

using namespace std::chrono_literals;

class Life {
 public:
  explicit Life(unsigned seed) : random_(seed) {}

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      now_ += std::chrono::milliseconds(pick(200));
      live();
      if (pick(10) == 0) publish();
      feed(core_.step(input::Tick{}, now_));
      ASSERT_EQ(haproxy_.foreign_touched, 0);
      ASSERT_EQ(haproxy_.readdressed_in_use, 0);
      ASSERT_EQ(haproxy_.parked_while_busy, 0);
    }
    up_ = true;
    for (int i = 0; i < 100; ++i) {
      now_ += 100ms;
      for (ObservedServer& server : haproxy_.servers) {
        if (server.admin != AdminState::kReady) server.busy = 0;
      }
      feed(core_.step(input::Tick{}, now_));
    }
    agree();
  }

 private:
  unsigned pick(unsigned below) { return static_cast<unsigned>(random_()) % below; }

  // Clients come to ready servers and finish anywhere; HAProxy fails and restarts.
  void live() {
    for (ObservedServer& server : haproxy_.servers) {
      if (server.admin == AdminState::kReady && pick(3) == 0) ++server.busy;
      if (server.busy > 0 && pick(4) == 0) --server.busy;
    }
    if (pick(20) == 0) up_ = !up_;
    if (pick(40) == 0) haproxy_.restart();
  }

  void publish() {
    listed_.clear();
    std::vector<api::Endpoint> endpoints;
    for (unsigned ip = 1; ip <= 7; ++ip) {
      if (pick(3) == 0) continue;
      const std::string address = "10.0.0." + std::to_string(ip);
      const auto state = pick(4) == 0 ? api::EndpointState::kDraining : api::EndpointState::kReady;
      if (state == api::EndpointState::kReady) listed_.insert(address + ":8000");
      endpoints.push_back(endpoint("p" + std::to_string(random_()), address, {8000}, state));
    }
    feed(core_.step(input::ListSeen{list_of(++revision_, endpoints), now_}, now_));
  }

  void feed(std::vector<CoreEffect> effects) {
    int rounds = 0;
    while (!effects.empty()) {
      ASSERT_LT(++rounds, 100) << "the core spins";
      std::vector<CoreEffect> next;
      for (const CoreEffect& effect : effects) {
        const auto answer = carry_out(effect);
        if (!answer) continue;
        auto more = core_.step(*answer, now_);
        next.insert(next.end(), more.begin(), more.end());
      }
      effects = std::move(next);
    }
  }

  std::optional<CoreInput> carry_out(const CoreEffect& effect) {
    if (const auto* observe = std::get_if<effect::Observe>(&effect)) {
      if (!up_) return input::Failed{observe->attempt, {kube::ErrorClass::kRetry, 0, "", "down", {}}};
      return input::Observed{observe->attempt, observed(haproxy_.snapshot())};
    }
    const auto* apply = std::get_if<effect::Apply>(&effect);
    if (apply == nullptr) return std::nullopt;
    std::vector<std::optional<std::string>> refusals;
    for (const Command& command : apply->commands) {
      if (pick(50) == 0) return input::Failed{apply->attempt, {kube::ErrorClass::kRetry, 0, "", "cut", {}}};
      refusals.push_back(refusal_of(command, haproxy_.carry_out(command.text)));
    }
    return input::Answered{apply->attempt, std::move(refusals)};
  }

  void agree() {
    std::set<std::string> ready;
    for (const ObservedServer& server : haproxy_.servers) {
      if (server.name == "spare" || server.name == "pod-x") continue;
      if (server.admin == AdminState::kReady) {
        EXPECT_TRUE(ready.insert(server.address->to_string()).second);
      }
      EXPECT_NE(server.admin, AdminState::kDrain) << server.name << " is idle and was not parked";
    }
    if (revision_ > 0) {
      EXPECT_EQ(ready, listed_);
    }
    EXPECT_EQ(core_.serving(), revision_ > 0);
  }

  std::mt19937 random_;
  GatewayCore core_{{"HAProxy", 500ms}};
  HaproxyModel haproxy_{8};
  kube::TimePoint now_{1h};
  bool up_ = true;
  std::int64_t revision_ = 0;
  std::set<std::string> listed_;
};

TEST(GatewayLife, AlwaysAgreesInTheEnd) {
  for (unsigned seed = 1; seed <= test::seeds(300); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Life(seed).run(300);
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace poolwarden::gateway
