#include "control/leadership.h"

#include "parts.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace poolwarden::control {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The Lease at the API server.
class StoredLease {
 public:
  kube::Result<std::string> carry_out(const kube::Call& call) {
    const auto refuse = [](kube::ErrorClass cls, int status) {
      return tl::unexpected(made_error(cls, status, "Refused", "refused"));
    };
    if (call.verb == kube::Verb::kGet && lease_.is_null()) return refuse(kube::ErrorClass::kNotFound, 404);
    if (call.verb == kube::Verb::kGet) return lease_.dump();
    auto body = nlohmann::json::parse(call.body);
    if (call.verb == kube::Verb::kCreate && !lease_.is_null())
      return refuse(kube::ErrorClass::kConflict, 409);
    if (call.verb == kube::Verb::kUpdate &&
        body["metadata"]["resourceVersion"] != lease_["metadata"]["resourceVersion"])
      return refuse(kube::ErrorClass::kConflict, 409);
    return put(std::move(body));
  }
  void hold(const std::string& holder) {
    nlohmann::json lease = lease_.is_null() ? nlohmann::json::object() : lease_;
    lease["spec"] = {{"holderIdentity", holder},
                     {"leaseDurationSeconds", 15},
                     {"renewTime", "of " + holder},
                     {"leaseTransitions", 1}};
    put(std::move(lease));
  }
  std::string holder() const { return lease_.at("spec").at("holderIdentity"); }

 private:
  std::string put(nlohmann::json lease) {
    lease["metadata"]["uid"] = "lease-uid";
    lease["metadata"]["resourceVersion"] = std::to_string(++version_);
    lease_ = std::move(lease);
    return lease_.dump();
  }
  nlohmann::json lease_;
  int version_ = 0;
};

struct Elected {
  explicit Elected(bool elects = true, bool outlives_process = false)
      : leadership(elects ? std::optional(kube::LeaseConfig{.identity = "operator-0",
                                                            .ns = "default",
                                                            .name = "poolwarden",
                                                            .outlives_process = outlives_process})
                          : std::nullopt,
                   kube::seeded_random(1), writes, metrics) {}

  void note(Leadership::Change change) {
    won += change.won ? 1 : 0;
    released += change.released ? 1 : 0;
    if (change.lost) lost.push_back(*change.lost);
  }
  // Answers every call, and those that follow from the answers.
  void answer_all() {
    for (std::size_t n = answered; n < out.sends.size(); ++n) {
      answered = n + 1;
      const Send send = out.sends[n];
      auto call = writes.answered({send.id, Answer()}, now.mono);
      ASSERT_TRUE(call);
      const auto& lease_call = std::get<LeaseCall>(call->call.purpose);
      note(leadership.answered(lease_call, lease.carry_out(send.call), now, out));
    }
  }
  void start() {
    note(leadership.start(now, out));
    answer_all();
  }
  void run_for(std::chrono::seconds time, bool answers = true) {
    for (const auto until = now.mono + time; now.mono < until;) {
      now.mono += 500ms;
      now.wall += 500ms;
      note(leadership.tick(now, out));
      if (answers) answer_all();
    }
  }

  api::Now now{Parts::kStart, api::Timestamp{1'700'000'000s}};
  NotedMetrics metrics;
  WriteDispatcher writes;
  StoredLease lease;
  Leadership leadership;
  Effects out;
  std::size_t answered = 0;
  int won = 0;
  int released = 0;
  std::vector<std::string> lost;
};

TEST(Leadership, WithoutElection_LeadsAlways) {
  Elected elected(/*elects=*/false);
  EXPECT_TRUE(elected.leadership.leads());
  elected.start();
  EXPECT_EQ(elected.metrics.leads, true);
  elected.run_for(60s);
  EXPECT_TRUE(elected.leadership.leads());
  EXPECT_TRUE(elected.leadership.holds_until(kube::TimePoint::max()));
  EXPECT_FALSE(elected.leadership.next_deadline());
  EXPECT_TRUE(elected.leadership.release(elected.now, elected.out).released);
  EXPECT_THAT(elected.out.sends, IsEmpty());
}

TEST(Leadership, LeaseIsFree_IsWonAndKept) {
  Elected elected;
  EXPECT_FALSE(elected.leadership.leads());
  EXPECT_FALSE(elected.leadership.holds_until(elected.now.mono));
  elected.start();
  EXPECT_EQ(elected.won, 1);
  EXPECT_TRUE(elected.leadership.leads());
  EXPECT_EQ(elected.metrics.leads, true);
  ASSERT_FALSE(elected.out.logs.empty());
  EXPECT_EQ(elected.out.logs.back().message, "became the leader");
  elected.run_for(120s);
  EXPECT_EQ(elected.won, 1);
  EXPECT_THAT(elected.lost, IsEmpty());
  EXPECT_EQ(elected.lease.holder(), "operator-0");
}

TEST(Leadership, WriteOutlastsTheLease_IsNotCovered) {
  Elected elected;
  elected.start();
  const kube::TimePoint renewed = elected.now.mono;
  EXPECT_TRUE(elected.leadership.holds_until(renewed + 15s - 1ms));
  EXPECT_FALSE(elected.leadership.holds_until(renewed + 15s));
}

TEST(Leadership, AnotherHolds_WaitsForItsTerm) {
  Elected elected;
  elected.lease.hold("operator-1");
  elected.start();
  elected.run_for(14s);
  EXPECT_FALSE(elected.leadership.leads());
  elected.run_for(6s);
  EXPECT_TRUE(elected.leadership.leads()) << "operator-1 has not renewed";
}

TEST(Leadership, OwnLeaseAfterARestart_IsTakenBackAtOnce) {
  Elected elected(true, /*outlives_process=*/true);
  elected.lease.hold("operator-0");
  elected.start();
  EXPECT_TRUE(elected.leadership.leads());
  EXPECT_EQ(elected.now.mono, Parts::kStart) << "no time has passed";
}

TEST(Leadership, LeaseOfANamesake_IsWaitedFor) {
  Elected elected(true, /*outlives_process=*/false);
  elected.lease.hold("operator-0");
  elected.start();
  EXPECT_FALSE(elected.leadership.leads());
}

TEST(Leadership, LeaseIsTaken_IsLostWithTheReason) {
  Elected elected;
  elected.start();
  elected.lease.hold("operator-1");
  elected.run_for(5s);
  ASSERT_EQ(elected.lost.size(), 1U);
  EXPECT_THAT(elected.lost[0], HasSubstr("was taken by \"operator-1\""));
  EXPECT_FALSE(elected.leadership.leads());
  EXPECT_FALSE(elected.leadership.holds_until(elected.now.mono));
  EXPECT_EQ(elected.metrics.leads, false);
}

TEST(Leadership, NoAnswersUntilTheRenewDeadline_IsLost) {
  Elected elected;
  elected.start();
  elected.run_for(9s, /*answers=*/false);
  EXPECT_TRUE(elected.leadership.leads());
  elected.run_for(2s, /*answers=*/false);
  EXPECT_FALSE(elected.leadership.leads());
  ASSERT_EQ(elected.lost.size(), 1U);
  EXPECT_THAT(elected.lost[0], HasSubstr("could not be renewed"));
}

TEST(Leadership, Released_LeaseIsFreeAndNobodyLeads) {
  Elected elected;
  elected.start();
  elected.note(elected.leadership.release(elected.now, elected.out));
  EXPECT_EQ(elected.released, 0) << "its write comes first";
  EXPECT_FALSE(elected.leadership.holds_until(elected.now.mono));
  EXPECT_FALSE(elected.leadership.leads());
  EXPECT_EQ(elected.metrics.leads, false);
  elected.answer_all();
  EXPECT_EQ(elected.released, 1);
  EXPECT_THAT(elected.lost, IsEmpty());
  EXPECT_EQ(elected.lease.holder(), "");
}

TEST(Leadership, ReleasedBeforeItLed_IsDoneAtOnce) {
  Elected elected;
  elected.lease.hold("operator-1");
  elected.start();
  elected.note(elected.leadership.release(elected.now, elected.out));
  EXPECT_EQ(elected.released, 1);
  EXPECT_EQ(elected.lease.holder(), "operator-1");
}

TEST(Leadership, AnswerToAnAttemptGivenUp_IsIgnored) {
  Elected elected;
  elected.start();
  const auto change = elected.leadership.answered(LeaseCall{4711}, "{}", elected.now, elected.out);
  EXPECT_FALSE(change.won || change.lost || change.released);
  EXPECT_TRUE(elected.leadership.leads());
}

}  // namespace
}  // namespace poolwarden::control
