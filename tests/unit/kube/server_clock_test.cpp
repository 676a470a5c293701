#include "kube/server_clock.h"

#include <chrono>

#include <gtest/gtest.h>

namespace poolwarden::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Moments of the monotonic clock, and what a perfect clock says then.
TimePoint moment(milliseconds since) {
  return TimePoint(seconds(1'000)) + since;
}
WallTime truth(milliseconds since) {
  return WallTime(seconds(1'800'000'000)) + since;
}
// As the API server writes it at that moment.
WallTime date_at(milliseconds since) {
  return std::chrono::floor<seconds>(truth(since));
}

milliseconds off_by(const ServerClock& clock, milliseconds at) {
  return std::chrono::duration_cast<milliseconds>(*clock.at(moment(at)) - truth(at));
}

TEST(ServerClock, BeforeTheFirstAnswer_SaysNothing) {
  const ServerClock clock;
  EXPECT_EQ(clock.at(moment(seconds(1))), std::nullopt);
}

TEST(ServerClock, FirstAnswer_IsNeverAheadOfTheTruth) {
  for (const milliseconds made : {milliseconds(0), milliseconds(1), milliseconds(500), milliseconds(999)}) {
    ServerClock clock;
    clock.saw(date_at(made), moment(made - milliseconds(20)), moment(made + milliseconds(30)));
    const milliseconds off = off_by(clock, seconds(60));
    EXPECT_LE(off, milliseconds(0)) << made.count();
    EXPECT_GT(off, -milliseconds(1'031)) << made.count();
  }
}

TEST(ServerClock, ManyAnswers_BringItToTheTruth) {
  ServerClock clock;
  for (milliseconds made{0}; made < seconds(60); made += milliseconds(1'337))
    clock.saw(date_at(made), moment(made - milliseconds(5)), moment(made + milliseconds(5)));
  EXPECT_LE(std::chrono::abs(off_by(clock, seconds(60))), milliseconds(50));
}

TEST(ServerClock, AnswerThatWasLongOnItsWay_MovesNothing) {
  ServerClock clock;
  for (milliseconds made{0}; made < seconds(60); made += milliseconds(1'337))
    clock.saw(date_at(made), moment(made), moment(made));
  const auto before = clock.at(moment(seconds(70)));
  clock.saw(date_at(seconds(61)), moment(seconds(60)), moment(seconds(70)));
  clock.saw(date_at(seconds(69)), moment(seconds(60)), moment(seconds(70)));
  EXPECT_EQ(clock.at(moment(seconds(70))), before);
}

TEST(ServerClock, ServerWhoseClockIsSet_IsFollowed) {
  ServerClock clock;
  clock.saw(date_at(seconds(0)), moment(seconds(0)), moment(seconds(0)));
  clock.saw(date_at(seconds(10)) + std::chrono::hours(1), moment(seconds(10)), moment(seconds(10)));
  EXPECT_EQ(off_by(clock, seconds(10)), std::chrono::hours(1));
  clock.saw(date_at(seconds(20)), moment(seconds(20)), moment(seconds(20)));
  EXPECT_LE(off_by(clock, seconds(20)), seconds(1));
}

TEST(ServerClock, DateThatNoClockHas_IsIgnored) {
  ServerClock clock;
  clock.saw(WallTime::min(), moment(seconds(0)), moment(seconds(0)));
  clock.saw(WallTime::max(), moment(seconds(0)), moment(seconds(0)));
  EXPECT_EQ(clock.at(moment(seconds(0))), std::nullopt);
}

TEST(ServerClock, AnswerBeforeItsRequest_IsNoTrap) {
  ServerClock clock;
  clock.saw(date_at(seconds(0)), moment(seconds(9)), moment(seconds(0)));
  clock.saw(date_at(seconds(0)), moment(seconds(9)), moment(seconds(0)));
  EXPECT_EQ(off_by(clock, seconds(0)), milliseconds(0));
}

// Answers each call at once, with a date or without.
class OneAnswer final : public Transport {
 public:
  void send(HttpRequest, Callback done) override { done(HttpResponse{200, {}, {}, {}, date}); }
  std::unique_ptr<StreamHandle> stream(HttpRequest, milliseconds, std::shared_ptr<StreamHandler>) override {
    return nullptr;
  }
  std::optional<WallTime> date;
};

TEST(DatedTransport, AnswersDate_IsWhatTheClockSays) {
  OneAnswer server;
  ServerClock clock;
  DatedTransport transport(server, clock, [] { return moment(seconds(5)); });
  int answers = 0;
  transport.send({}, [&answers](const auto& answer) { answers += answer ? 1 : 0; });
  EXPECT_EQ(clock.at(moment(seconds(5))), std::nullopt);
  server.date = date_at(seconds(5));
  transport.send({}, [&answers](const auto& answer) { answers += answer ? 1 : 0; });
  EXPECT_EQ(clock.at(moment(seconds(6))), truth(seconds(6)));
  EXPECT_EQ(answers, 2);
}

}  // namespace
}  // namespace poolwarden::kube
