#include "kube/connection_lanes.h"

#include <array>
#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::kube {
namespace {

using testing::ElementsAre;

constexpr std::array kEveryLane{CallLane::kLease, CallLane::kUrgent, CallLane::kAwaited, CallLane::kRest};
constexpr ReservedConnections kSome{1, 4, 3, 0};

struct LaneCall {
  int number = 0;
};

// Calls by number, as a test names them.
class LaneBench {
 public:
  explicit LaneBench(std::size_t connections, const ReservedConnections& reserved = {})
      : lanes_(connections, reserved) {}

  bool begin(int number, CallLane lane) {
    calls_[number] = std::make_shared<LaneCall>(LaneCall{number});
    return lanes_.begin(calls_[number], lane);
  }
  // So many calls of the lane; how many have a connection.
  int begin_many(int count, CallLane lane) {
    int started = 0;
    for (int i = 0; i < count; ++i) started += begin(next_++, lane) ? 1 : 0;
    return started;
  }
  std::optional<int> end(int number) {
    const auto next = lanes_.end(calls_[number].get());
    return next ? std::optional(next->number) : std::nullopt;
  }

 private:
  ConnectionLanes<LaneCall> lanes_;
  std::map<int, std::shared_ptr<LaneCall>> calls_;
  int next_ = 1000;
};

TEST(ConnectionLanes, NothingReserved_AllLanesShareAll) {
  for (const CallLane lane : kEveryLane) EXPECT_EQ(LaneBench(3).begin_many(5, lane), 3);
}

TEST(ConnectionLanes, Reserved_AreKeptFromTheLanesBelow) {
  std::vector<int> most;
  for (const CallLane lane : kEveryLane) most.push_back(LaneBench(16, kSome).begin_many(100, lane));
  EXPECT_THAT(most, ElementsAre(16, 15, 11, 8));
}

TEST(ConnectionLanes, LanesBelowAreFull_EachHasItsOwnAllTheSame) {
  LaneBench bench(16, kSome);
  EXPECT_EQ(bench.begin_many(100, CallLane::kRest), 8);
  EXPECT_EQ(bench.begin_many(100, CallLane::kAwaited), 3);
  EXPECT_EQ(bench.begin_many(100, CallLane::kUrgent), 4);
  EXPECT_EQ(bench.begin_many(100, CallLane::kLease), 1);
}

TEST(ConnectionLanes, FewerThanReserved_EachLaneHasOne) {
  for (const std::size_t connections : {0U, 1U, 2U}) {
    for (const CallLane lane : kEveryLane) {
      EXPECT_GE(LaneBench(connections, kSome).begin_many(5, lane), 1) << connections;
    }
  }
}

TEST(ConnectionLanes, OneIsFree_TheMostUrgentCallHasIt) {
  LaneBench bench(1);
  ASSERT_TRUE(bench.begin(1, CallLane::kRest));
  EXPECT_FALSE(bench.begin(2, CallLane::kRest));
  EXPECT_FALSE(bench.begin(3, CallLane::kRest));
  EXPECT_FALSE(bench.begin(4, CallLane::kUrgent));
  EXPECT_FALSE(bench.begin(5, CallLane::kLease));
  EXPECT_EQ(bench.end(1), 5);
  EXPECT_EQ(bench.end(5), 4);
  EXPECT_EQ(bench.end(4), 2);
  EXPECT_EQ(bench.end(2), 3);
  EXPECT_EQ(bench.end(3), std::nullopt);
}

TEST(ConnectionLanes, OneIsFree_ItIsNotForWhomItIsReservedFrom) {
  LaneBench bench(3, {0, 2, 0, 0});
  ASSERT_TRUE(bench.begin(1, CallLane::kRest));
  ASSERT_TRUE(bench.begin(2, CallLane::kUrgent));
  EXPECT_FALSE(bench.begin(3, CallLane::kRest));
  EXPECT_EQ(bench.end(2), std::nullopt) << "two are for urgent calls only";
  EXPECT_EQ(bench.end(1), 3);
}

TEST(ConnectionLanes, CallThatWaits_MayEndBeforeItsTurn) {
  LaneBench bench(1);
  ASSERT_TRUE(bench.begin(1, CallLane::kRest));
  EXPECT_FALSE(bench.begin(2, CallLane::kRest));
  EXPECT_FALSE(bench.begin(3, CallLane::kRest));
  EXPECT_EQ(bench.end(2), std::nullopt) << "it had no connection to give away";
  EXPECT_EQ(bench.end(1), 3);
  EXPECT_EQ(bench.end(3), std::nullopt);
  EXPECT_EQ(bench.end(3), std::nullopt) << "a second end changes nothing";
  EXPECT_TRUE(bench.begin(4, CallLane::kRest));
}

// The same said another way: whom the limits admit, counted anew each time.
class LaneModel {
 public:
  bool may_start(std::size_t lane) const {
    constexpr std::array<std::size_t, kCallLanes> kMost{16, 15, 11, 8};
    for (std::size_t i = 0; i <= lane; ++i) {
      std::size_t held = 0;
      for (const auto& [number, of] : running) held += of >= i ? 1U : 0U;
      if (held >= kMost[i]) return false;
    }
    return true;
  }
  std::optional<int> next() const {
    for (std::size_t lane = 0; lane < kCallLanes; ++lane) {
      if (!waiting[lane].empty() && may_start(lane)) return waiting[lane].front();
    }
    return std::nullopt;
  }

  std::map<int, std::size_t> running;
  std::array<std::deque<int>, kCallLanes> waiting;
};

TEST(ConnectionLanes, AnySequence_NobodyWaitsWhoMayStart) {
  std::mt19937 random(7);
  for (int round = 0; round < 20; ++round) {
    LaneBench bench(16, kSome);
    LaneModel model;
    std::vector<int> live;
    for (int number = 0; number < 400; ++number) {
      const std::size_t lane = random() % kCallLanes;
      const bool expected = model.may_start(lane);
      ASSERT_EQ(bench.begin(number, kEveryLane[lane]), expected);
      live.push_back(number);
      if (expected) {
        model.running.emplace(number, lane);
      } else {
        model.waiting[lane].push_back(number);
      }
      for (std::size_t ends = random() % 3; ends > 0 && !live.empty(); --ends) {
        const std::size_t which = random() % live.size();
        const int over = live[which];
        live.erase(live.begin() + static_cast<std::ptrdiff_t>(which));
        const bool had_one = model.running.erase(over) > 0;
        for (auto& waiting : model.waiting) std::erase(waiting, over);
        const auto next = had_one ? model.next() : std::nullopt;
        ASSERT_EQ(bench.end(over), next);
        if (!next) continue;
        for (std::size_t of = 0; of < kCallLanes; ++of) {
          if (std::erase(model.waiting[of], *next) > 0) model.running.emplace(*next, of);
        }
        ASSERT_EQ(model.next(), std::nullopt) << "one connection is one call";
      }
    }
  }
}

}  // namespace
}  // namespace poolwarden::kube
