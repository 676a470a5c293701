// Worker APIs that are not as they should be: no router, or one that refuses.
#include "gateway/worker_router.h"
#include "test_process.h"

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

namespace poolwarden::gateway {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// Something else at --worker-api: the error says what and how to mend it, and the feed goes on asking.
class OtherServer : public testing::Test {
 protected:
  ~OtherServer() override {
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }
  void start() {
    ASSERT_TRUE(server_.bind_to_port(ip_, 30000));
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::sleep_for(1ms);
  }
  std::string error_of(const httplib::Server::Handler& handler) {
    server_.Get("/workers", handler);
    start();
    WorkerRouter router({ip_, 30000}, WorkerDialect::kSmg, ForeignWorkers::kRemove);
    const auto observed = router.observe();
    return observed ? "" : observed.error().message;
  }
  const std::string ip_ = fresh_ip();
  httplib::Server server_;
  std::thread thread_;
};

TEST_F(OtherServer, ThatRedirects) {
  const std::string error = error_of(
      [](const httplib::Request&, httplib::Response& out) { out.set_redirect("http://192.0.2.1/workers"); });
  EXPECT_THAT(error, HasSubstr("redirect"));
  EXPECT_THAT(error, HasSubstr("--worker-api"));
}
TEST_F(OtherServer, ThatWantsAKey) {
  EXPECT_THAT(error_of([](const httplib::Request&, httplib::Response& out) { out.status = 401; }),
              HasSubstr("--worker-api-key-file"));
}
TEST_F(OtherServer, ThatIsNoRouter) {
  EXPECT_THAT(error_of([](const httplib::Request&, httplib::Response& out) { out.status = 404; }),
              HasSubstr("--dialect"));
}
TEST_F(OtherServer, ThatListsHundredsOfThousands) {
  EXPECT_THAT(error_of([](const httplib::Request&, httplib::Response& out) {
                std::string body = R"({"workers":[)";
                for (int i = 0; i < 150'000; ++i) body += R"({"id":"0a","url":"u"},)";
                out.set_content(body + "{}]}", "application/json");
              }),
              HasSubstr("150001 workers"));
}
TEST_F(OtherServer, ThatSaysNothing) {
  EXPECT_THAT(error_of([](const httplib::Request&, httplib::Response&) { std::this_thread::sleep_for(3s); }),
              HasSubstr(ip_));
}

TEST_F(OtherServer, ThatRefusesARemoval) {
  server_.Delete("/workers/0a", [](const httplib::Request&, httplib::Response& out) { out.status = 403; });
  start();
  WorkerRouter router({ip_, 30000}, WorkerDialect::kSmg, ForeignWorkers::kRemove);
  const auto answers = router.carry_out({{CommandKind::kWithdraw, "0a", {}, "remove http://10.0.0.1:8000"},
                                         {CommandKind::kWithdraw, "0b", {}, "remove http://10.0.0.2:8000"}});
  ASSERT_TRUE(answers);
  ASSERT_EQ(answers->size(), 2u);
  EXPECT_THAT(answers->front().value_or(""), HasSubstr("smg refused 'remove http://10.0.0.1:8000' (403)"));
  EXPECT_EQ(answers->back(), std::nullopt);  // 404: it is not there
}

// An addition that the router refuses is told, and asked for again after its time. Time is an argument.
class RefusedAddition : public OtherServer {
 protected:
  // What is known of the additions `later`, once the answer to them has come.
  static Additions answered(WorkerAdditions& additions, kube::TimePoint now, kube::Duration later = {}) {
    const auto give_up = Clock::now() + 10s;
    for (;;) {
      additions.collect(now);
      Additions out = additions.compare({}, now + later);
      const bool under_way = !out.empty() && out.begin()->second.stage != AdditionStage::kFailed;
      if (!under_way || Clock::now() > give_up) return out;
      std::this_thread::sleep_for(1ms);
    }
  }
  const ServerAddress worker_ = *make_address("127.0.0.1", 8000);
  std::atomic<int> asked_{0};
};

TEST_F(RefusedAddition, IsAskedForAgain) {
  server_.Post("/add_worker", [this](const httplib::Request& in, httplib::Response& out) {
    ++asked_;
    EXPECT_EQ(in.get_param_value("url"), "http://127.0.0.1:8000");
    out.status = 503;
    out.set_content("no room\n", "text/plain");
  });
  start();
  WorkerAdditions additions({ip_, 30000}, WorkerDialect::kVllmRouter);
  const kube::TimePoint begin = Clock::now();
  additions.ask(worker_, begin);
  additions.ask(worker_, begin);
  Additions known = answered(additions, begin);
  ASSERT_EQ(known.size(), 1u);
  EXPECT_EQ(known[worker_].stage, AdditionStage::kFailed);
  EXPECT_EQ(known[worker_].problem, "503: no room");
  EXPECT_EQ(asked_, 1);
  EXPECT_EQ(additions.compare({}, begin + kRetryAddition - 1ms).size(), 1u);
  EXPECT_TRUE(additions.compare({}, begin + kRetryAddition).empty());
  // The second time the rest of the list does not wait for it.
  additions.ask(worker_, begin + kRetryAddition);
  EXPECT_EQ(additions.compare({}, begin + kRetryAddition)[worker_].stage, AdditionStage::kLate);
  answered(additions, begin + kRetryAddition);
  EXPECT_EQ(asked_, 2);
}

TEST_F(RefusedAddition, IsSeenInItsJob) {
  server_.Post("/workers", [](const httplib::Request&, httplib::Response& out) {
    out.status = 202;
    out.set_content(R"({"worker_id":"0a-1b"})", "application/json");
  });
  server_.Get("/workers/0a-1b", [](const httplib::Request&, httplib::Response& out) {
    out.set_content(R"({"job_status":{"status":"failed","message":"no route"}})", "application/json");
  });
  start();
  WorkerAdditions additions({ip_, 30000}, WorkerDialect::kSmg);
  const kube::TimePoint begin = Clock::now();
  additions.ask(worker_, begin);
  Additions known = answered(additions, begin, 1500ms);
  ASSERT_EQ(known.size(), 1u);
  EXPECT_EQ(known[worker_].stage, AdditionStage::kFailed);
  EXPECT_EQ(known[worker_].problem, "no route");
}

TEST_F(RefusedAddition, IsForgottenOnceListed) {
  server_.Post("/workers", [](const httplib::Request&, httplib::Response& out) { out.status = 409; });
  start();
  WorkerAdditions additions({ip_, 30000}, WorkerDialect::kSmg);
  const kube::TimePoint begin = Clock::now();
  additions.ask(worker_, begin);
  const std::vector<ObservedWorker> listed{{"0a", "http://127.0.0.1:8000", worker_, WorkerState::kServing}};
  bool forgotten = false;
  for (int i = 0; i < 5000 && !forgotten; ++i) {
    additions.collect(begin);
    forgotten = additions.compare(listed, begin).empty();
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_TRUE(forgotten);
}

}  // namespace
}  // namespace poolwarden::gateway
