// Calls of different urgency, while a server holds its answers back: who has a connection, and who is never
// sent.
#include "transport_fixture.h"

namespace poolwarden::test {
namespace {

using kube::CallLane;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// Answers at once, but for what is asked for under /held: until let_go().
class HoldingServer {
 public:
  std::uint16_t port() const { return server_.port(); }
  int held() const { return held_; }
  void let_go() { lets_go_ = true; }
  std::vector<std::string> seen() {
    const std::lock_guard lock(mutex_);
    return seen_;
  }

 private:
  void serve(ServerConnection& connection, const ServerRequest& request) {
    {
      const std::lock_guard lock(mutex_);
      seen_.push_back(request.target);
    }
    if (request.target.starts_with("/held")) {
      ++held_;
      while (!lets_go_ && connection.pause(2ms)) {
      }
      --held_;
    }
    connection.reply(200, "{}");
  }

  std::mutex mutex_;
  std::vector<std::string> seen_;
  std::atomic<int> held_{0};
  std::atomic<bool> lets_go_{false};
  HttpsServer server_{localhost_server(), [this](ServerConnection& connection, const ServerRequest& request) {
                        serve(connection, request);
                      }};
};

HttpRequest write_to(std::string target, CallLane lane) {
  HttpRequest request = patch_request("{}", false);
  request.target = std::move(target);
  request.lane = lane;
  request.deadline = kLong;
  return request;
}

std::vector<std::future<Answer>> send_many(kube::Transport& transport, CallLane lane) {
  std::vector<std::future<Answer>> answers;
  for (int i = 0; i < 100; ++i) answers.push_back(Caller().send(transport, write_to("/held", lane)));
  return answers;
}

kube::TransportOptions with_lanes() {
  kube::TransportOptions options;
  options.max_connections = 16;
  options.reserved = {1, 4, 3, 0};
  return options;
}

TEST(TransportLanes, LowerLanesHang_UrgentCallsGoOutAtOnce) {
  HoldingServer server;
  const auto transport = transport_to(access_to(server.port()), with_lanes());
  std::vector<std::vector<std::future<Answer>>> hanging;
  const auto hang = [&](CallLane lane, int held) {
    hanging.push_back(send_many(*transport, lane));
    EXPECT_TRUE(becomes_true([&] { return server.held() == held; })) << server.held();
  };
  const auto goes_out = [&](CallLane lane) {
    const Answer answer = ask(*transport, write_to("/now", lane));
    EXPECT_TRUE(answer) << failure_text(answer);
  };

  hang(CallLane::kRest, 8);
  for (const CallLane lane : {CallLane::kAwaited, CallLane::kUrgent, CallLane::kLease}) goes_out(lane);
  hang(CallLane::kAwaited, 11);
  for (const CallLane lane : {CallLane::kUrgent, CallLane::kLease}) goes_out(lane);
  hang(CallLane::kUrgent, 15);
  for (int i = 0; i < 5; ++i) goes_out(CallLane::kLease);
  EXPECT_EQ(server.held(), 15) << "the last connection is the Lease's alone";

  server.let_go();
  for (auto& answers : hanging) {
    for (auto& answer : answers) EXPECT_TRUE(answer.get());
  }
}

TEST(TransportLanes, OneConnection_TheMostUrgentCallIsNext) {
  HoldingServer server;
  kube::TransportOptions options;
  options.max_connections = 1;
  const auto transport = transport_to(access_to(server.port()), options);
  std::vector<std::future<Answer>> answers;
  answers.push_back(Caller().send(*transport, write_to("/held", CallLane::kRest)));
  for (const auto& [target, lane] : {std::pair{"/rest", CallLane::kRest},
                                     {"/label", CallLane::kAwaited},
                                     {"/list", CallLane::kUrgent},
                                     {"/lease", CallLane::kLease}}) {
    answers.push_back(Caller().send(*transport, write_to(target, lane)));
  }
  ASSERT_TRUE(becomes_true([&] { return server.held() == 1; }));
  server.let_go();
  for (auto& answer : answers) EXPECT_TRUE(answer.get());
  EXPECT_THAT(server.seen(), ElementsAre("/held", "/lease", "/list", "/label", "/rest"));
}

TEST(TransportLanes, DeadlineWhileWaiting_NothingWasSent) {
  HoldingServer server;
  kube::TransportOptions options;
  options.max_connections = 1;
  const auto transport = transport_to(access_to(server.port()), options);
  auto first = Caller().send(*transport, write_to("/held", CallLane::kUrgent));
  ASSERT_TRUE(becomes_true([&] { return server.held() == 1; }));
  std::vector<std::future<Answer>> starved;
  for (int i = 0; i < 20; ++i) {
    HttpRequest request = write_to("/starved", CallLane::kRest);
    request.deadline = 100ms;
    starved.push_back(Caller().send(*transport, std::move(request)));
  }
  for (auto& one : starved) {
    const Answer answer = one.get();
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, TransportFailure::kNotSent);
    EXPECT_THAT(answer.error().message, HasSubstr("not sent: no connection was free within 100 ms"));
  }
  server.let_go();
  EXPECT_TRUE(first.get());
  EXPECT_TRUE(ask(*transport, write_to("/after", CallLane::kRest)));
  EXPECT_THAT(server.seen(), ElementsAre("/held", "/after"));
}

TEST(TransportLanes, NoTimeLeft_NothingIsSent) {
  HoldingServer server;
  const auto transport = transport_to(access_to(server.port()));
  for (int i = 0; i < 20; ++i) {
    HttpRequest request = write_to("/late", CallLane::kUrgent);
    request.deadline = 0ms;
    const Answer answer = ask(*transport, std::move(request));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, TransportFailure::kNotSent);
    EXPECT_TRUE(ask(*transport, write_to("/now", CallLane::kUrgent))) << "it kept no connection";
  }
  EXPECT_THAT(server.seen(), Not(Contains("/late")));
}

}  // namespace
}  // namespace poolwarden::test
