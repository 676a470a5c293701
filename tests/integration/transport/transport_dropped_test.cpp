// Answers that are dropped while their bodies arrive. cpprestsdk waits for some of its own tasks on the
// thread that those tasks run on: no such wait may be left, however many calls are dropped at once.
#include "transport_fixture.h"

#include <functional>

namespace poolwarden::test {
namespace {

constexpr std::size_t kThreads = kube::TransportOptions{}.threads;

// Opened once; whoever waits goes on then. Each wait is bounded, so that a failure is no hang.
class Turnstile {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    opened_ = true;
    changed_.notify_all();
  }
  void pass() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kLong, [this] { return opened_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool opened_ = false;
};

// Counts up to a number that is waited for.
class Tally {
 public:
  void add() {
    const std::lock_guard lock(mutex_);
    ++count_;
    changed_.notify_all();
  }
  bool reaches(std::size_t number) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kLong, [&] { return count_ >= number; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t count_ = 0;
};

// Keeps a thread that makes callbacks until it is let go.
class HoldsItsThread final : public kube::StreamHandler {
 public:
  HoldsItsThread(Tally& held, Turnstile& let_go) : held_(held), let_go_(let_go) {}
  void on_head(const HttpResponse&) override {}
  void on_data(std::string_view) override {
    held_.add();
    let_go_.pass();
  }
  void on_end(std::optional<TransportError>) override {}

 private:
  Tally& held_;
  Turnstile& let_go_;
};

// A server whose "/dropped" answers all come in the same moment: once no thread of the transport is free to
// take them one by one.
class AnswersAtOnce {
 public:
  AnswersAtOnce()
      : server_(localhost_server(), [this](ServerConnection& connection, const ServerRequest& request) {
          if (request.target == "/held") {
            connection.begin_chunked();
            connection.chunk("x");
          } else if (request.target == "/dropped") {
            asked_.add();
            answer_.pass();
            connection.begin_chunked();
            connection.chunk(std::string(3000, 'x'));
            answered_.add();
          } else {
            connection.reply(200, "{}");
          }
        }) {}
  ~AnswersAtOnce() {
    answer_.open();
    let_go_.open();
  }

  std::uint16_t port() const { return server_.port(); }
  bool was_asked(std::size_t calls) { return asked_.reaches(calls); }
  // `calls` answers have come, `then` happens, and only after it the transport's threads may take them.
  void answer(
      kube::Transport& transport, std::size_t calls, const std::function<void()>& then = [] {}) {
    std::vector<std::unique_ptr<kube::StreamHandle>> holding;
    for (std::size_t i = 0; i < kThreads; ++i) {
      holding.push_back(transport.stream(get_request("/held"), std::chrono::milliseconds(kLong),
                                         std::make_shared<HoldsItsThread>(held_, let_go_)));
    }
    EXPECT_TRUE(held_.reaches(kThreads)) << "the transport has more threads than these";
    answer_.open();
    EXPECT_TRUE(answered_.reaches(calls));
    then();
    let_go_.open();
  }

 private:
  Tally asked_, answered_, held_;
  Turnstile answer_, let_go_;
  HttpsServer server_;
};

class DroppedAtOnce : public ::testing::TestWithParam<std::size_t> {};

TEST_P(DroppedAtOnce, AnswersTooLong_NextCallIsAnswered) {
  const std::size_t calls = GetParam();
  AnswersAtOnce server;
  const auto transport = transport_to(access_to(server.port()));
  std::vector<std::future<Answer>> answers;
  HttpRequest request = get_request("/dropped");
  request.max_response_bytes = 1000;
  for (std::size_t i = 0; i < calls; ++i) answers.push_back(Caller().send(*transport, request));
  ASSERT_TRUE(server.was_asked(calls));
  server.answer(*transport, calls);
  for (auto& answer : answers) {
    ASSERT_EQ(answer.wait_for(kLong), std::future_status::ready);
    const Answer got = answer.get();
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().kind, TransportFailure::kTooLarge) << failure_text(got);
  }
  const Answer next = ask(*transport, get_request("/next"));
  EXPECT_TRUE(next) << failure_text(next);
}

TEST_P(DroppedAtOnce, StreamsCancelled_NextCallIsAnswered) {
  const std::size_t calls = GetParam();
  AnswersAtOnce server;
  const auto transport = transport_to(access_to(server.port()));
  std::vector<std::shared_ptr<Recorder>> recorders;
  std::vector<std::unique_ptr<kube::StreamHandle>> streams;
  for (std::size_t i = 0; i < calls; ++i) {
    recorders.push_back(std::make_shared<Recorder>());
    streams.push_back(
        transport->stream(get_request("/dropped"), std::chrono::milliseconds(kLong), recorders.back()));
  }
  ASSERT_TRUE(server.was_asked(calls));
  server.answer(*transport, calls, [&] { streams.clear(); });
  for (const auto& recorder : recorders) {
    ASSERT_TRUE(recorder->wait_for_end());
    ASSERT_TRUE(recorder->error());
    EXPECT_EQ(recorder->error()->kind, TransportFailure::kCancelled);
  }
  const Answer next = ask(*transport, get_request("/next"));
  EXPECT_TRUE(next) << failure_text(next);
}

// As many as there are threads, and more.
INSTANTIATE_TEST_SUITE_P(Calls, DroppedAtOnce, ::testing::Values(kThreads, 2 * kThreads, 6 * kThreads));

}  // namespace
}  // namespace poolwarden::test
