#include "kube/bounded_queue.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::kube {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

TimePoint in(Duration time) {
  return std::chrono::steady_clock::now() + time;
}
const TimePoint kLongAgo{};

TEST(BoundedQueue, GivesOutEverythingInOrder) {
  BoundedQueue<int> queue(10);
  EXPECT_TRUE(queue.push(1));
  EXPECT_TRUE(queue.push(2));
  std::vector<int> out = {0};
  EXPECT_TRUE(queue.try_pop_all(out));
  EXPECT_THAT(out, ElementsAre(0, 1, 2));
  EXPECT_FALSE(queue.try_pop_all(out));
  EXPECT_EQ(queue.size(), 0U);
}

TEST(BoundedQueue, TakesMoveOnlyItems) {
  BoundedQueue<std::unique_ptr<int>> queue(1);
  EXPECT_TRUE(queue.push(std::make_unique<int>(7)));
  std::vector<std::unique_ptr<int>> out;
  ASSERT_TRUE(queue.try_pop_all(out));
  EXPECT_EQ(*out[0], 7);
}

TEST(BoundedQueue, WaitSaysWhyItReturned) {
  BoundedQueue<int> queue(2);
  EXPECT_EQ(queue.wait_until(kLongAgo), WaitResult::kTimeout);
  EXPECT_EQ(queue.wait_until(TimePoint::min()), WaitResult::kTimeout)
      << "a loop with work to do does not sleep";
  ASSERT_TRUE(queue.push(1));
  EXPECT_EQ(queue.wait_until(kLongAgo), WaitResult::kItems);
  queue.close();
  EXPECT_EQ(queue.wait_until(in(1h)), WaitResult::kItems) << "what is in can still be taken out";
  std::vector<int> out;
  ASSERT_TRUE(queue.try_pop_all(out));
  EXPECT_EQ(queue.wait_until(in(1h)), WaitResult::kClosed);
  EXPECT_FALSE(queue.push(2));
  EXPECT_EQ(queue.size(), 0U);
}

TEST(BoundedQueue, AProducerWaitsForSpace) {
  BoundedQueue<int> queue(1);
  ASSERT_TRUE(queue.push(1));
  std::thread producer([&] { EXPECT_TRUE(queue.push(2)); });
  std::vector<int> out;
  while (out.size() < 2) {
    queue.wait_until(in(1h));
    queue.try_pop_all(out);
    ASSERT_LE(queue.size(), 1U);
  }
  producer.join();
  EXPECT_THAT(out, ElementsAre(1, 2));
}

TEST(BoundedQueue, Closed_WakesProducersAndConsumer) {
  BoundedQueue<int> full(1);
  ASSERT_TRUE(full.push(0));
  std::atomic<int> refused = 0;
  std::vector<std::thread> producers;
  for (int i = 0; i < 4; ++i) {
    producers.emplace_back([&] { refused += full.push(1) ? 0 : 1; });
  }
  full.close();
  for (std::thread& producer : producers) {
    producer.join();
  }
  EXPECT_EQ(refused, 4);

  BoundedQueue<int> empty(1);
  std::thread consumer([&] { EXPECT_EQ(empty.wait_until(in(1h)), WaitResult::kClosed); });
  empty.close();
  consumer.join();
}

// Four producers, one consumer, and a close in the middle of it, many times: nothing is lost that was
// taken, nothing of one producer changes its order, nobody hangs.
TEST(BoundedQueue, ShutdownUnderLoadLosesNothingAndHangsNobody) {
  for (int round = 0; round < 200; ++round) {
    BoundedQueue<std::pair<int, int>> queue(3);
    std::atomic<int> accepted = 0;
    std::vector<std::thread> producers;
    for (int id = 0; id < 4; ++id) {
      producers.emplace_back([&queue, &accepted, id] {
        for (int n = 0; queue.push({id, n}); ++n) {
          ++accepted;
        }
      });
    }
    std::vector<std::pair<int, int>> out;
    while (out.size() < 50) {
      ASSERT_EQ(queue.wait_until(in(1h)), WaitResult::kItems);
      queue.try_pop_all(out);
    }
    queue.close();
    for (std::thread& producer : producers) {
      producer.join();
    }
    queue.try_pop_all(out);
    EXPECT_EQ(queue.wait_until(in(1h)), WaitResult::kClosed);
    EXPECT_EQ(out.size(), static_cast<std::size_t>(accepted));
    std::vector<int> next(4, 0);
    for (const auto& [id, n] : out) {
      ASSERT_EQ(n, next[static_cast<std::size_t>(id)]++);
    }
  }
}

}  // namespace
}  // namespace poolwarden::kube
