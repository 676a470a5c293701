#include "kube/lease.h"

#include "lease_bench.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::kube {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::HasSubstr;

const Error kNotFound = lease_error(ErrorClass::kNotFound, 404);
const Error kConflict = lease_error(ErrorClass::kConflict, 409, "Conflict");
const Error kUnavailable = lease_error(ErrorClass::kRetry, 503);

TEST(LeaseConfig, IsCheckedAsClientGoDoes) {
  EXPECT_EQ(problem_with(lease_config()), std::nullopt);
  struct Row {
    const char* name;
    std::chrono::milliseconds duration, renew, retry;
    const char* problem;
  };
  for (const Row& row : std::vector<Row>{
           {"duration equals the renew deadline", 10s, 10s, 2s, "greater than the renew deadline"},
           {"renew deadline is 1.2 retry periods", 15s, 2400ms, 2s, "1.2 times its retry period"},
           {"renew deadline just above that", 15s, 2401ms, 2s, nullptr},
           {"no retry period", 15s, 10s, 0s, "retry period must be greater than zero"},
           {"a duration the API cannot express", 15500ms, 10s, 2s, "whole seconds"},
       }) {
    LeaseConfig config = lease_config();
    config.duration = row.duration;
    config.renew_deadline = row.renew;
    config.retry_period = row.retry;
    const auto problem = problem_with(config);
    EXPECT_EQ(problem.has_value(), row.problem != nullptr) << row.name;
    if (problem && row.problem != nullptr) {
      EXPECT_THAT(*problem, HasSubstr(row.problem)) << row.name;
    }
  }
  EXPECT_TRUE(problem_with(lease_config("")));
}

TEST(Lease, CreatesTheLeaseWhereThereIsNone) {
  LeaseBench bench;
  EXPECT_EQ(bench.tick(), "Observing: get");
  EXPECT_EQ(bench.call->name, "poolwarden");
  EXPECT_EQ(bench.call->ns, "poolwarden-system");
  EXPECT_EQ(bench.call->deadline, 5s) << "half the renew deadline, so that there is time for a second try";
  EXPECT_EQ(bench.call->lane, CallLane::kLease);
  EXPECT_EQ(bench.fail(kNotFound), "Acquiring: create");
  const std::string time = "2024-10-04T00:00:00.000000Z";
  EXPECT_EQ(bench.sent(), json::parse(R"({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
      "metadata": {"name": "poolwarden", "namespace": "poolwarden-system"},
      "spec": {"holderIdentity": "me", "leaseDurationSeconds": 15, "leaseTransitions": 0,
               "acquireTime": ")" + time +
                                      R"(", "renewTime": ")" + time + R"("}})"));
  EXPECT_FALSE(bench.valid()) << "nobody has answered yet";
  EXPECT_EQ(bench.answer(bench.echo()), "Leading: became leader");
}

TEST(Lease, ValidityCountsFromBeforeTheRenewalWasSent) {
  LeaseBench bench;
  bench.tick();
  bench.fail(kNotFound);
  const TimePoint sent = bench.now;
  bench.pass(4s);  // a slow API server
  EXPECT_EQ(bench.answer(bench.echo()), "Leading: became leader");
  EXPECT_TRUE(bench.elector.valid(sent + 15s - 1ns));
  EXPECT_FALSE(bench.elector.valid(sent + 15s))
      << "and not from the answer, which would be four seconds more";
  EXPECT_EQ(bench.tick(), "Leading: update") << "the next renewal counts from there too";
  const TimePoint again = bench.now;
  bench.pass(3s);
  bench.answer(bench.echo());
  EXPECT_TRUE(bench.elector.valid(again + 15s - 1ns));
  EXPECT_FALSE(bench.elector.valid(again + 15s));
}

TEST(Lease, RenewsOverWhatItReadAndKeepsWhatIsNotItsOwn) {
  LeaseBench bench;
  bench.tick();
  json lease = json::parse(lease_json("", "", 100));
  lease["metadata"]["labels"] = {{"team", "serving"}};
  lease["metadata"]["managedFields"] = json::array({{{"manager", "x"}}});
  lease["spec"]["strategy"] = "OldestEmulationVersion";
  EXPECT_EQ(bench.answer(lease.dump()), "Acquiring: update");
  json wrote = bench.sent();
  EXPECT_EQ(wrote["metadata"], lease["metadata"])
      << "with uid and resourceVersion, so that it is this very object";
  EXPECT_EQ(wrote["spec"]["strategy"], "OldestEmulationVersion");
  EXPECT_EQ(wrote["spec"]["holderIdentity"], "me");
  EXPECT_EQ(wrote["spec"]["leaseTransitions"], 4);
  EXPECT_EQ(wrote["spec"]["acquireTime"], wrote["spec"]["renewTime"]);
  bench.answer(bench.echo());
  bench.tick(2s);
  const json renewal = bench.sent();
  EXPECT_EQ(renewal["metadata"]["resourceVersion"], "101");
  EXPECT_EQ(renewal["spec"]["leaseTransitions"], 4) << "a renewal is no transition";
  EXPECT_EQ(renewal["spec"]["acquireTime"], wrote["spec"]["acquireTime"]);
  EXPECT_NE(renewal["spec"]["renewTime"], wrote["spec"]["renewTime"]);
}

TEST(Lease, RenewTimesGrowEvenIfTheWallClockStandsStillOrGoesBack) {
  LeaseBench bench;
  bench.lead();
  std::vector<std::string> times = {bench.sent()["spec"]["renewTime"]};
  for (const Duration step : {Duration(0), Duration(-1h), Duration(1h)}) {
    bench.now += 2s;
    bench.wall += std::chrono::duration_cast<WallTime::duration>(step);
    ASSERT_EQ(bench.tick(), "Leading: update");
    times.push_back(bench.sent()["spec"]["renewTime"]);
    bench.answer(bench.echo());
  }
  EXPECT_TRUE(std::is_sorted(times.begin(), times.end()));
  EXPECT_EQ(std::adjacent_find(times.begin(), times.end()), times.end()) << "never the same twice";
}

// Reads the lease again and again until `until`, with the same answer, and says what happened last.
std::string watch(LeaseBench& bench, const std::string& body, TimePoint until) {
  std::string last;
  while (bench.state() == "Observing" && bench.now < until) {
    last = bench.tick(std::max<Duration>(0s, *bench.elector.next_deadline() - bench.now));
    if (last == "Observing: get") {
      last = bench.answer(body);
    }
  }
  return last;
}

TEST(Lease, AnothersTermIsMeasuredOnOurClockFromWhenWeFirstSawIt) {
  LeaseBench bench;
  // Its wall clock is a century behind: that is no reason to take over.
  const std::string held = lease_json("rival", "1926-01-01T00:00:00.000000Z", 100);
  EXPECT_EQ(watch(bench, held, kLeaseStart + 14s), "Observing:");
  EXPECT_EQ(watch(bench, held, kLeaseStart + 20s), "Acquiring: update");
  EXPECT_GE(bench.now, kLeaseStart + 15s);
  EXPECT_LE(bench.now, kLeaseStart + 17s) << "and not much later";
}

TEST(Lease, ARenewalStartsTheTermAnew) {
  LeaseBench bench;
  watch(bench, lease_json("rival", "t1", 100), kLeaseStart + 14s);
  const TimePoint renewed = bench.now;
  EXPECT_EQ(watch(bench, lease_json("rival", "t2", 101), renewed + 14s), "Observing:");
  EXPECT_EQ(watch(bench, lease_json("rival", "t2", 101), renewed + 20s), "Acquiring: update");
}

TEST(Lease, ALabelOnTheLeaseIsNoRenewal) {
  LeaseBench bench;
  watch(bench, lease_json("rival", "t1", 100), kLeaseStart + 14s);
  EXPECT_EQ(watch(bench, lease_json("rival", "t1", 101), kLeaseStart + 20s), "Acquiring: update");
  EXPECT_EQ(bench.sent()["metadata"]["resourceVersion"], "101") << "over what was read last";
}

TEST(Lease, ARecreatedNamesakeIsAnotherLease) {
  LeaseBench bench;
  watch(bench, lease_json("rival", "t1", 100, "uid-1"), kLeaseStart + 14s);
  const TimePoint recreated = bench.now;
  const std::string namesake = lease_json("rival", "t1", 200, "uid-2");
  EXPECT_EQ(watch(bench, namesake, recreated + 14s), "Observing:");
  EXPECT_EQ(watch(bench, namesake, recreated + 20s), "Acquiring: update");
}

TEST(Lease, TheHolderSaysHowLongItsTermIs) {
  LeaseBench longer;
  EXPECT_EQ(watch(longer, lease_json("rival", "t1", 100, "u", 60), kLeaseStart + 58s), "Observing:");
  LeaseBench shorter;
  EXPECT_EQ(watch(shorter, lease_json("rival", "t1", 100, "u", 4), kLeaseStart + 7s), "Acquiring: update");
  LeaseBench silent;  // garbage counts as our own duration
  EXPECT_EQ(watch(silent, lease_json("rival", "t1", 100, "u", -7), kLeaseStart + 14s), "Observing:");
  EXPECT_EQ(watch(silent, lease_json("rival", "t1", 100, "u", -7), kLeaseStart + 20s), "Acquiring: update");
}

TEST(Lease, AProcessOfTheSameNameIsARival) {
  LeaseBench bench;
  EXPECT_EQ(watch(bench, lease_json("me", "t1", 100), kLeaseStart + 14s), "Observing:");
}

LeaseConfig heir_config() {
  LeaseConfig config = lease_config();
  config.outlives_process = true;
  return config;
}

TEST(Lease, AHeirTakesADeadProcesssTermAtOnce) {
  LeaseBench bench(heir_config());
  EXPECT_EQ(bench.tick(), "Observing: get");
  EXPECT_EQ(bench.answer(lease_json("me", "t1", 100)), "Acquiring: update");
  const json wrote = bench.sent();
  EXPECT_EQ(wrote["metadata"]["resourceVersion"], "100") << "so that only one can win";
  EXPECT_EQ(wrote["spec"]["leaseTransitions"], 3) << "the holder is the same";
  EXPECT_EQ(wrote["spec"]["acquireTime"], "2020-01-01T00:00:00.000000Z");
  const TimePoint sent = bench.now;
  bench.pass(3s);
  EXPECT_FALSE(bench.valid()) << "not before the answer";
  EXPECT_EQ(bench.answer(bench.echo()), "Leading: became leader");
  EXPECT_TRUE(bench.elector.valid(sent + 15s - 1ns));
  EXPECT_FALSE(bench.elector.valid(sent + 15s)) << "measured from before it was sent, as ever";
}

TEST(Lease, AHeirWaitsForARivalAsEver) {
  LeaseBench bench(heir_config());
  EXPECT_EQ(watch(bench, lease_json("rival", "t1", 100), kLeaseStart + 14s), "Observing:");
}

TEST(Lease, ADeadProcesssLastRenewalIsAConflictAndNoRival) {
  LeaseBench bench(heir_config());
  bench.tick();
  bench.answer(lease_json("me", "t1", 100));
  EXPECT_EQ(bench.fail(kConflict), "Observing:") << "what it had sent before it died came first";
  EXPECT_EQ(bench.tick(*bench.elector.next_deadline() - bench.now), "Observing: get");
  EXPECT_EQ(bench.answer(lease_json("me", "t2", 101)), "Acquiring: update");
  EXPECT_EQ(bench.sent()["metadata"]["resourceVersion"], "101");
}

TEST(Lease, ALeaseDeletedAfterAHeirSawItsNameIsCreated) {
  LeaseBench bench(heir_config());
  bench.tick();
  bench.answer(lease_json("me", "t1", 100));
  bench.fail(kNotFound);
  bench.tick(*bench.elector.next_deadline() - bench.now);
  EXPECT_EQ(bench.fail(kNotFound), "Acquiring: create");
}

TEST(Lease, ALeaseDeletedUnderItsHolderIsStillItsTerm) {
  LeaseBench bench;
  bench.tick();
  bench.answer(lease_json("rival", "t1", 100));
  std::string last;
  while (bench.state() == "Observing") {
    bench.tick(*bench.elector.next_deadline() - bench.now);
    last = bench.fail(kNotFound);
  }
  EXPECT_EQ(last, "Acquiring: create");
  EXPECT_GE(bench.now, kLeaseStart + 15s);
}

TEST(Lease, AnAcquisitionWithoutAnswerIsRecognisedByWhatItWrote) {
  LeaseBench bench;
  bench.tick();
  bench.answer(lease_json("", "", 100));
  EXPECT_EQ(bench.tick(6s), "Observing:");
  EXPECT_EQ(bench.tick(2s), "Observing: get");
  EXPECT_EQ(bench.answer(bench.echo()), "Acquiring: update") << "it is ours already: renewed at once";
  EXPECT_EQ(bench.sent()["spec"]["leaseTransitions"], 4) << "and acquired once";
  EXPECT_EQ(bench.answer(bench.echo()), "Leading: became leader");
}

TEST(Lease, ARenewalWithoutAnswerCountsFromWhenItWasSent) {
  LeaseBench bench;
  bench.lead();
  bench.tick(2s);
  const TimePoint sent = bench.now;
  const std::string after = bench.echo();
  EXPECT_EQ(bench.tick(6s), "Leading: update") << "nobody answers: again, over the same version";
  EXPECT_EQ(bench.fail(kConflict), "Leading: get");
  EXPECT_EQ(bench.answer(after), "Leading:");
  EXPECT_TRUE(bench.elector.valid(sent + 15s - 1ns));
  EXPECT_FALSE(bench.elector.valid(sent + 15s));
}

TEST(Lease, ALateAnswerToAnAttemptThatWasGivenUpChangesNothing) {
  LeaseBench bench;
  bench.lead();
  bench.tick(2s);
  const std::uint64_t old_attempt = bench.attempt;
  const std::string old_answer = bench.echo();
  bench.tick(6s);
  EXPECT_TRUE(bench.elector.answer(old_attempt, old_answer, bench.now, bench.wall).empty());
  EXPECT_FALSE(bench.elector.valid(kLeaseStart + 15s));
}

TEST(Lease, AnswerAfterDeadline_DoesNotLead) {
  LeaseBench bench;
  bench.tick();
  bench.answer(lease_json("", "", 100));
  bench.pass(10s);  // the loop itself stood still
  EXPECT_EQ(bench.answer(bench.echo()), "Acquiring: update");
  EXPECT_EQ(bench.answer(bench.echo()), "Leading: became leader");
}

TEST(Lease, WithoutRenewalItIsLostAtTheRenewDeadlineAndForGood) {
  LeaseBench bench;
  bench.lead();
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(bench.tick(2s), "Leading: update");
    ASSERT_EQ(bench.fail(kUnavailable), "Leading:");
  }
  EXPECT_EQ(bench.elector.next_deadline(), kLeaseStart + 10s);
  EXPECT_EQ(bench.tick(2s), "Lost: lost");
  EXPECT_THAT(std::get<Lost>(bench.elector.state()).reason,
              testing::AllOf(HasSubstr("poolwarden-system/poolwarden"), HasSubstr("it went wrong")));
  EXPECT_EQ(bench.tick(1h), "Lost:");
}

TEST(Lease, UnreadableAnswers_AreTheReasonOfTheLoss) {
  LeaseBench bench;
  bench.lead();
  ASSERT_EQ(bench.tick(2s), "Leading: update");
  ASSERT_EQ(bench.answer("[]"), "Leading:") << "accepted or not: it is to be read";
  ASSERT_EQ(bench.tick(2s), "Leading: get");
  ASSERT_EQ(bench.answer("[]"), "Leading:");
  EXPECT_EQ(bench.tick(6s), "Lost: lost");
  EXPECT_THAT(std::get<Lost>(bench.elector.state()).reason, HasSubstr("is not a Lease that can be used"));
}

TEST(Lease, ASuccessAfterTheRenewDeadlineComesTooLate) {
  LeaseBench bench;
  bench.lead();
  bench.tick(9s);
  bench.pass(1s);
  EXPECT_EQ(bench.answer(bench.echo()), "Lost: lost") << "whether the tick or the answer is looked at first";
}

TEST(Lease, ADeletedLeaseIsCreatedAgainByItsHolder) {
  LeaseBench bench;
  bench.lead();
  bench.tick(2s);
  const json before = bench.sent();
  EXPECT_EQ(bench.fail(kNotFound), "Leading: create");
  EXPECT_EQ(bench.sent()["spec"]["leaseTransitions"], before["spec"]["leaseTransitions"]);
  EXPECT_EQ(bench.sent()["spec"]["acquireTime"], before["spec"]["acquireTime"]);
  EXPECT_EQ(bench.answer(bench.echo()), "Leading:");
  EXPECT_TRUE(bench.elector.valid(kLeaseStart + 2s + 15s - 1ns));
}

TEST(Lease, IfARivalWasFasterAfterADeletionItIsLost) {
  LeaseBench bench;
  bench.lead();
  bench.tick(2s);
  bench.fail(kNotFound);
  EXPECT_EQ(bench.fail(lease_error(ErrorClass::kConflict, 409, "AlreadyExists")), "Leading: get");
  EXPECT_EQ(bench.answer(lease_json("rival", "t1", 200, "uid-2")), "Lost: lost");
}

TEST(Lease, ReadsAndWritesThatChaseEachOtherArePaced) {
  LeaseBench bench;
  bench.lead();
  bench.tick(2s);
  EXPECT_EQ(bench.fail(kNotFound), "Leading: create");
  EXPECT_EQ(bench.fail(kConflict), "Leading: get");
  EXPECT_EQ(bench.fail(kNotFound), "Leading:") << "an API server that says it is there and it is not";
  EXPECT_EQ(bench.elector.next_deadline(), bench.now + 2s);
}

TEST(Lease, AServersWishForLaterIsHeard) {
  LeaseBench bench;
  bench.lead();
  bench.tick(2s);
  Error busy = kUnavailable;
  busy.retry_after = 4s;
  bench.fail(busy);
  EXPECT_EQ(bench.elector.next_deadline(), bench.now + 4s);
  busy.retry_after = 1h;
  bench.tick(4s);
  bench.fail(busy);
  EXPECT_EQ(bench.elector.next_deadline(), kLeaseStart + 10s) << "but the renew deadline stays what it is";
}

TEST(Lease, CandidatesSpreadTheirTries) {
  LeaseBench bench;
  for (const auto& [chance, wait] : {std::pair{0.0, 2000ms}, {0.5, 3200ms}, {1.0, 4400ms}}) {
    bench.chance = chance;
    bench.tick();
    bench.answer(lease_json("rival", "t" + std::to_string(chance), 100));
    EXPECT_EQ(*bench.elector.next_deadline() - bench.now, wait) << chance;
    bench.pass(wait);
  }
}

TEST(Lease, ReleaseWritesTheHolderAwaySoThatTheNextNeedNotWait) {
  LeaseBench bench;
  bench.lead();
  EXPECT_EQ(bench.release(), "Releasing: give back");
  EXPECT_FALSE(bench.valid()) << "at once, not when it is answered";
  const json wrote = bench.sent();
  EXPECT_EQ(wrote["spec"]["holderIdentity"], "");
  EXPECT_EQ(wrote["spec"]["leaseDurationSeconds"], 1);
  EXPECT_EQ(wrote["metadata"]["resourceVersion"], "101");
  EXPECT_EQ(bench.answer(bench.echo()), "Released: released");

  LeaseBench next(lease_config("next"));
  next.tick();
  EXPECT_EQ(next.answer(bench.echo()), "Acquiring: update");
}

}  // namespace
}  // namespace poolwarden::kube
