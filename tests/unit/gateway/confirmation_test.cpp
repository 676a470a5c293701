#include "gateway/confirmation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::gateway {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::HasSubstr;

const kube::WallTime kWall = kube::WallTime{} + std::chrono::hours(24);

kube::Error error(kube::ErrorClass cls, const std::string& message, const std::string& reason = {}) {
  return {cls, 0, reason, message, std::nullopt};
}
const kube::Error kNotFound = error(kube::ErrorClass::kNotFound, "there is none");

struct LeaseBench {
  Confirmation confirmation{{"default", "vllm", "gateway-0", "haproxy"}};
  kube::TimePoint now{1h};

  std::optional<kube::Call> next() { return confirmation.next(now, kWall); }
  // The call, answered so.
  std::optional<kube::Call> done(kube::Result<std::string> answer = std::string("{}")) {
    auto call = next();
    if (call) problem = confirmation.answered(answer, now);
    return call;
  }
  void applied(std::int64_t revision) { confirmation.applied({revision}, now, kWall); }
  std::optional<std::string> problem;
};

TEST(Confirmation, SaysNothingBeforeTheGatewayHoldsAList) {
  LeaseBench bench;
  EXPECT_FALSE(bench.next());
  EXPECT_FALSE(bench.confirmation.next_deadline());
}

TEST(Confirmation, SaysWhatTheGatewayHolds) {
  LeaseBench bench;
  bench.confirmation.set_owner("gateway-0", "uid-1");
  bench.confirmation.applied({11, 10, 4}, bench.now, kWall);
  const auto call = bench.next();
  ASSERT_TRUE(call);
  EXPECT_EQ(call->verb, kube::Verb::kMergePatch);
  EXPECT_EQ(call->ns, "default");
  EXPECT_EQ(call->name, "vllm-haproxy-gateway-0");
  EXPECT_EQ(json::parse(call->body), json::parse(R"({
    "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
    "metadata": {
      "name": "vllm-haproxy-gateway-0", "namespace": "default",
      "labels": {"poolwarden.io/pool": "vllm", "poolwarden.io/consumer": "haproxy",
                 "app.kubernetes.io/managed-by": "poolwarden"},
      "annotations": {"poolwarden.io/applied-revisions": "11,10,4",
                      "poolwarden.io/applied-at": "1970-01-02T00:00:00.000000Z"},
      "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "gateway-0", "uid": "uid-1"}]},
    "spec": {"holderIdentity": "gateway-0", "leaseDurationSeconds": 30,
             "renewTime": "1970-01-02T00:00:00.000000Z"}})"));
}

TEST(Confirmation, AThousandChangesAMinute_AreFiveWritesASecondAtMost) {
  LeaseBench bench;
  int writes = 0;
  for (std::int64_t revision = 1; revision <= 1'000; ++revision) {
    bench.applied(revision);
    if (bench.done()) ++writes;
    bench.now += 60ms;
  }
  EXPECT_LE(writes, 300);
  EXPECT_GE(writes, 200);
}

TEST(Confirmation, IsMadeWhereThereIsNone) {
  LeaseBench bench;
  bench.applied(1);
  bench.done(tl::unexpected(kNotFound));
  EXPECT_FALSE(bench.problem);
  const auto call = bench.done();
  ASSERT_TRUE(call);
  EXPECT_EQ(call->verb, kube::Verb::kCreate);
  EXPECT_EQ(call->name, "");
  bench.applied(2);
  bench.now += Confirmation::kPace;
  EXPECT_EQ(bench.next()->verb, kube::Verb::kMergePatch);
}

TEST(Confirmation, MadeBySomebodyElseMeanwhile_IsPatched) {
  LeaseBench bench;
  bench.applied(1);
  bench.done(tl::unexpected(kNotFound));
  bench.done(tl::unexpected(error(kube::ErrorClass::kConflict, "it is there", "AlreadyExists")));
  EXPECT_FALSE(bench.problem);
  EXPECT_EQ(bench.next()->verb, kube::Verb::kMergePatch);
}

TEST(Confirmation, OneWriteAtATimeSaysAllThatCameMeanwhile) {
  LeaseBench bench;
  bench.applied(1);
  ASSERT_TRUE(bench.next());
  for (std::int64_t revision = 2; revision <= 9; ++revision) bench.applied(revision);
  EXPECT_FALSE(bench.next());
  EXPECT_FALSE(bench.confirmation.next_deadline());
  EXPECT_FALSE(bench.confirmation.answered(std::string("{}"), bench.now));
  EXPECT_FALSE(bench.next()) << "so soon after the last";
  EXPECT_EQ(bench.confirmation.next_deadline(), bench.now + Confirmation::kPace);
  bench.now += Confirmation::kPace;
  const auto call = bench.done();
  ASSERT_TRUE(call);
  EXPECT_THAT(call->body, HasSubstr(R"("poolwarden.io/applied-revisions":"9")"));
  EXPECT_FALSE(bench.next());
}

TEST(Confirmation, AtRestIsRenewed) {
  LeaseBench bench;
  bench.applied(1);
  bench.done();
  bench.applied(1);
  EXPECT_FALSE(bench.next()) << "nothing new";
  EXPECT_EQ(bench.confirmation.next_deadline(), kube::TimePoint{1h} + Confirmation::kRenew);
  bench.now += Confirmation::kRenew;
  EXPECT_TRUE(bench.done());
}

TEST(Confirmation, IsNotRenewedWhileItIsNotKnownWhatTheGatewayHolds) {
  LeaseBench bench;
  bench.applied(1);
  bench.done();
  bench.confirmation.unknown();
  bench.now += 10min;
  EXPECT_FALSE(bench.next());
  EXPECT_FALSE(bench.confirmation.next_deadline());
  bench.applied(1);
  EXPECT_TRUE(bench.next());
}

TEST(Confirmation, ToldOnceThatItMayNot_AndTriesSeldom) {
  LeaseBench bench;
  bench.applied(1);
  const auto forbidden = error(kube::ErrorClass::kForbidden, "leases may not be patched");
  bench.done(tl::unexpected(forbidden));
  EXPECT_EQ(bench.problem, "leases may not be patched");
  bench.applied(2);
  EXPECT_FALSE(bench.next()) << "that there is more to say gives no right";
  bench.now += Confirmation::kRetryForbidden;
  ASSERT_TRUE(bench.done(tl::unexpected(forbidden)));
  EXPECT_FALSE(bench.problem) << "told already";
  bench.now += Confirmation::kRetryForbidden;
  ASSERT_TRUE(bench.done());
  bench.applied(3);
  bench.now += Confirmation::kPace;
  EXPECT_TRUE(bench.next()) << "as before";
}

TEST(Confirmation, ServerThatFails_IsTriedAgainSoon) {
  LeaseBench bench;
  bench.applied(1);
  bench.done(tl::unexpected(error(kube::ErrorClass::kRetry, "cut")));
  EXPECT_EQ(bench.problem, "cut");
  EXPECT_FALSE(bench.next());
  bench.now += Confirmation::kRetry;
  EXPECT_TRUE(bench.next());
}

TEST(Confirmation, NamesThatCannotBe_AreMadeToFit) {
  const auto name = [](const std::string& consumer) {
    return Confirmation({"default", "vllm", consumer, "haproxy"}).lease_name();
  };
  EXPECT_EQ(name("gateway-0"), "vllm-haproxy-gateway-0");
  EXPECT_THAT(name("Gate_Way"), testing::MatchesRegex("vllm-haproxy--ate--ay-[0-9a-f]{16}"));
  EXPECT_NE(name("Gate_Way"), name("Gate:Way"));
  EXPECT_LE(name(std::string(253, 'x')).size(), 253U);
  EXPECT_NE(name(std::string(253, 'x')), name(std::string(252, 'x')));
  EXPECT_THAT(name("...-"), testing::MatchesRegex("vllm-haproxy-[0-9a-f]{16}"));
}

}  // namespace
}  // namespace poolwarden::gateway
