// The gateway feed between an API server in memory and the real vllm-router, sglang-router and smg.
#include "gateway/worker_router.h"

#include "feed.h"
#include "router_process.h"

#include <algorithm>
#include <deque>
#include <future>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class Latencies {
 public:
  void add(Clock::duration latency) {
    milliseconds_.push_back(std::max(0.0, std::chrono::duration<double, std::milli>(latency).count()));
    std::sort(milliseconds_.begin(), milliseconds_.end());
  }
  std::size_t count() const { return milliseconds_.size(); }
  double percentile(std::size_t percent) const { return milliseconds_.at((count() - 1) * percent / 100); }
  std::string text() const {
    return fmt::format("p50 {:.1f} ms, p99 {:.1f} ms, at most {:.1f} ms", percentile(50), percentile(99),
                       milliseconds_.back());
  }

 private:
  std::vector<double> milliseconds_;  // sorted
};

api::Endpoint endpoint_of(const Engine& engine) {
  return endpoint_at(engine.name(), engine.ip(), Engine::kPort);
}

class RouterFeed : public Feed {
 public:
  RouterFeed(HttpTarget router, WorkerDialect dialect)
      : gateway_(std::move(router), dialect, ForeignWorkers::kRemove) {
    start(gateway_, std::string(to_string(dialect)));
  }
  ~RouterFeed() { stop(); }

 private:
  WorkerRouter gateway_;
};

class RealRouter : public testing::TestWithParam<WorkerDialect> {
 protected:
  void SetUp() override {
    if (const auto why = router_.missing()) GTEST_SKIP() << *why;
    router_.start();
  }
  bool takes(const Engine& engine) {
    return eventually([&] { return router_.has(engine.ip()); }, 1ms);
  }
  bool loses(const Engine& engine) {
    return eventually([&] { return !router_.has(engine.ip()); }, 1ms);
  }
  // Who answers that many requests.
  std::set<std::string> answering(int requests) {
    std::set<std::string> out;
    for (int i = 0; i < requests; ++i) out.insert(complete(router_.target()).text);
    return out;
  }

  RouterProcess router_{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Routers, RealRouter,
                         testing::Values(WorkerDialect::kVllmRouter, WorkerDialect::kSglangRouter,
                                         WorkerDialect::kSmg),
                         [](const auto& each) {
                           std::string name(to_string(each.param));
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(RealRouter, FollowsTheList) {
  Engine a("a");
  Engine b("b");
  RouterFeed feed(router_.target(), GetParam());
  feed.publish({endpoint_of(a), endpoint_of(b)});
  ASSERT_TRUE(takes(a)) << feed.logged();
  ASSERT_TRUE(takes(b)) << feed.logged();
  EXPECT_EQ(answering(10), (std::set<std::string>{"a", "b"}));
  feed.publish({endpoint_of(b)});
  ASSERT_TRUE(loses(a)) << feed.logged();
  EXPECT_EQ(answering(10), (std::set<std::string>{"b"}));
  // smg drains a removed worker for five seconds before it takes its address again.
  feed.publish({endpoint_of(a), endpoint_of(b)});
  ASSERT_TRUE(takes(a)) << feed.logged();
  EXPECT_EQ(answering(10), (std::set<std::string>{"a", "b"}));
  EXPECT_THAT(feed.logged(), testing::Not(HasSubstr("does not stay")));
}

TEST_P(RealRouter, AWithdrawalDoesNotCutAStream) {
  Engine a("a");
  Engine b("b");
  RouterFeed feed(router_.target(), GetParam());
  feed.publish({endpoint_of(a)});
  ASSERT_TRUE(takes(a)) << feed.logged();
  auto stream = std::async(std::launch::async, [this] { return complete(router_.target(), true); });
  ASSERT_TRUE(eventually([&] { return a.streams() == 1; }));
  feed.publish({endpoint_of(b)});
  ASSERT_TRUE(loses(a)) << feed.logged();
  ASSERT_TRUE(takes(b)) << feed.logged();
  // Longer than smg's drain: its worker is gone from the list, and the stream still goes on.
  ASSERT_TRUE(eventually([&] { return router_.workers().size() == 1; }));
  std::this_thread::sleep_for(500ms);
  EXPECT_EQ(answering(5), (std::set<std::string>{"b"}));
  EXPECT_EQ(stream.wait_for(0s), std::future_status::timeout);
  a.go_on();
  const Completion whole = stream.get();
  EXPECT_EQ(whole.status, 200);
  EXPECT_THAT(whole.text, HasSubstr("data: [DONE]"));
}

TEST_P(RealRouter, ARestartedRouterGetsItsWorkersBack) {
  Engine a("a");
  RouterFeed feed(router_.target(), GetParam());
  feed.publish({endpoint_of(a)});
  ASSERT_TRUE(takes(a)) << feed.logged();
  router_.kill();
  router_.start();
  ASSERT_TRUE(takes(a)) << feed.logged();
  EXPECT_EQ(answering(3), (std::set<std::string>{"a"}));
}

TEST_P(RealRouter, AWorkerThatDoesNotAnswerHoldsNothingUp) {
  Engine a("a");
  Engine b("b");
  RouterFeed feed(router_.target(), GetParam());
  const api::Endpoint dead = endpoint_at("dead", fresh_ip(), Engine::kPort);
  feed.publish({endpoint_of(a), endpoint_of(b), dead});
  ASSERT_TRUE(takes(a)) << feed.logged();
  ASSERT_TRUE(takes(b)) << feed.logged();
  const auto begin = Clock::now();
  feed.publish({endpoint_of(b), dead});
  ASSERT_TRUE(loses(a)) << feed.logged();
  EXPECT_LT(Clock::now() - begin, 4s);
  // The rest of the list is held, and a person is told of the one that is not.
  EXPECT_TRUE(feed.logs("has not taken some endpoints")) << feed.logged();
  EXPECT_THAT(feed.logged(), HasSubstr("has the list"));
}

TEST_P(RealRouter, AnEndpointThatLeavesWhileItIsAddedIsRemoved) {
  Engine slow("slow", 1s);
  Engine b("b");
  RouterFeed feed(router_.target(), GetParam());
  feed.publish({endpoint_of(slow), endpoint_of(b)});
  ASSERT_TRUE(takes(b)) << feed.logged();
  feed.publish({endpoint_of(b)});
  // It is listed for some milliseconds at most, once its check has ended, and never after.
  std::this_thread::sleep_for(2500ms);
  for (int i = 0; i < 100; ++i) {
    ASSERT_FALSE(router_.has(slow.ip())) << feed.logged();
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_EQ(answering(5), (std::set<std::string>{"b"}));
}

TEST_P(RealRouter, WorkersOfNobodyAreRemoved) {
  Engine stray("stray");
  WorkerRouter other(router_.target(), GetParam(), ForeignWorkers::kRemove);
  ASSERT_TRUE(other.carry_out({{CommandKind::kAdmit, {}, *make_address(stray.ip(), Engine::kPort), {}}}));
  ASSERT_TRUE(takes(stray));
  Engine a("a");
  RouterFeed feed(router_.target(), GetParam());
  feed.publish({endpoint_of(a)});
  ASSERT_TRUE(takes(a)) << feed.logged();
  ASSERT_TRUE(loses(stray)) << feed.logged();
}

TEST_P(RealRouter, FiftyChangesInARow) {
  std::deque<std::unique_ptr<Engine>> live;
  RouterFeed feed(router_.target(), GetParam());
  const auto publish = [&] {
    std::vector<api::Endpoint> list;
    for (const auto& engine : live) list.push_back(endpoint_of(*engine));
    feed.publish(std::move(list));
  };
  for (int i = 0; i < 3; ++i) live.push_back(std::make_unique<Engine>("e" + std::to_string(i)));
  publish();
  for (const auto& engine : live) ASSERT_TRUE(takes(*engine)) << feed.logged();

  std::atomic<bool> ends{false};
  std::atomic<int> asked{0};
  std::atomic<int> failed{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 2; ++i) {
    clients.emplace_back([&] {
      while (!ends) {
        if (complete(router_.target()).status != 200) ++failed;
        ++asked;
      }
    });
  }
  // From the list's change to the last request that the withdrawn engine gets, and to the router's own word.
  Latencies last_sent;
  Latencies said;
  std::deque<std::unique_ptr<Engine>> gone;
  std::vector<std::future<void>> endings;
  for (int i = 3; i < 53; ++i) {
    live.push_back(std::make_unique<Engine>("e" + std::to_string(i)));
    gone.push_back(std::move(live.front()));
    live.pop_front();
    const auto begin = Clock::now();
    publish();
    const bool lost = loses(*gone.back());
    said.add(Clock::now() - begin);
    if (!lost || !takes(*live.back())) {
      ADD_FAILURE() << feed.logged();
      break;
    }
    std::this_thread::sleep_for(30ms);
    last_sent.add(gone.back()->last_request() - begin);
    if (gone.size() <= 3) continue;
    // Its end takes as long as a connection that a router keeps: up to a second.
    endings.push_back(
        std::async(std::launch::async, [engine = std::move(gone.front())]() mutable { engine.reset(); }));
    gone.pop_front();
  }
  ends = true;
  for (std::thread& client : clients) client.join();
  ASSERT_EQ(said.count(), 50u);
  fmt::print("{}: last request {}; removed in its own words {}; {} requests, {} failed\n",
             to_string(GetParam()), last_sent.text(), said.text(), asked.load(), failed.load());
  RecordProperty("last_request", last_sent.text());
  RecordProperty("removed", said.text());
  EXPECT_GT(asked, 0);
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(router_.log().find("panicked"), std::string::npos);
}

}  // namespace
}  // namespace poolwarden::gateway
