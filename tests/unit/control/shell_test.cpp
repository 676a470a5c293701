#include "control/shell.h"

#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::control {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

const kube::TimePoint kDecided{1000s};

// Keeps what it is asked to send, and answers nothing.
class NotingTransport final : public kube::Transport {
 public:
  void send(kube::HttpRequest request, Callback) override { sent.push_back(std::move(request)); }
  std::unique_ptr<kube::StreamHandle> stream(kube::HttpRequest, std::chrono::milliseconds,
                                             std::shared_ptr<kube::StreamHandler>) override {
    return nullptr;
  }
  std::vector<kube::HttpRequest> sent;
};

class ShellCalls : public ::testing::Test {
 protected:
  std::chrono::milliseconds deadline_of(std::optional<kube::TimePoint> expires) {
    Effects effects;
    effects.sends.push_back({1, kube::get(kube::kPods, "default", "p"), Expect::kText, expires});
    effects.sends.back().call.deadline = 10s;
    shell_.perform(effects);
    return transport_.sent.back().deadline;
  }

  NotingTransport transport_;
  kube::TimePoint now_ = kDecided;
  Shell shell_{transport_, "", [this] { return now_; }, [](Input) {},
               [](engine::LoadRequest, const auto&) {}};
};

TEST_F(ShellCalls, StepTookLong_CallHasWhatIsLeftOfItsTime) {
  std::vector<std::chrono::milliseconds> deadlines;
  for (const kube::Duration took : {0ms, 20ms, 999ms, 1001ms, 9500ms, 10'000ms, 30'000ms}) {
    now_ = kDecided + took;
    deadlines.push_back(deadline_of(kDecided + 10s));
  }
  EXPECT_THAT(deadlines, ElementsAre(10s, 9s, 9s, 8s, 0s, 0s, 0s));
}

TEST_F(ShellCalls, CallOfTheLease_HasItsOwnDeadline) {
  now_ = kDecided + 30s;
  EXPECT_EQ(deadline_of(std::nullopt), 10s);
}

TEST_F(ShellCalls, CallThatExpiresLater_KeepsItsDeadline) {
  EXPECT_EQ(deadline_of(kDecided + 1h), 10s);
}

}  // namespace
}  // namespace poolwarden::control
