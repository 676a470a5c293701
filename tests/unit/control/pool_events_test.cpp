#include "control/pool_events.h"

#include "parts.h"

#include <gmock/gmock.h>

namespace poolwarden::control {
namespace {

using namespace std::chrono_literals;
using pool::Withdrawal;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Telling {
  Telling() {
    table.upsert(made_pool("a", "vllm"), nullptr);
    table.upsert(made_pool("b", "other"), nullptr);
  }
  void withdraw(const std::string& pod, Withdrawal reason = Withdrawal::kNotReady,
                const std::string& pool = "a") {
    const pool::EndpointChange change{
        .pod = pod, .uid = pod + "-uid", .ip = {}, .reason = reason, .detail = {}};
    events.withdrawn(*table.find({"default", pool}), change, {"Withdrawn", false, pod + " left"}, now);
  }
  std::vector<std::string> told() { return post_all(events, writes, now); }
  void pass_time(std::chrono::seconds time) {
    now.mono += time;
    now.wall += time;
  }

  api::Now now{Parts::kStart, api::Timestamp{1'700'000'000s}};
  PoolTable table;
  WriteDispatcher writes;
  PoolEvents events{"operator-0"};
};

TEST(PoolEvents, PodWithdrawn_IsToldOnPoolAndPod) {
  Telling telling;
  telling.withdraw("p");
  EXPECT_THAT(telling.told(), ElementsAre("InferencePool a: p left", "Pod p: p left"));
}

TEST(PoolEvents, DeletedPodWithdrawn_IsToldOnThePoolOnly) {
  Telling telling;
  telling.withdraw("p", Withdrawal::kTerminating);
  telling.withdraw("q", Withdrawal::kDeleted);
  EXPECT_THAT(telling.told(), ElementsAre("InferencePool a: p left", "InferencePool a: q left"));
}

TEST(PoolEvents, PoolAndPod_AreToldWhereTheyBelong) {
  Telling telling;
  const PoolRecord& record = *telling.table.find({"default", "a"});
  telling.events.pool(record, {"Degraded", true, "no pods"}, telling.now);
  telling.events.pod(record, "p", "p-uid", {"Readmitted", false, "p is back"}, telling.now);
  EXPECT_THAT(telling.told(),
              ElementsAre("InferencePool a: no pods", "InferencePool a: p is back", "Pod p: p is back"));
}

TEST(PoolEvents, Storm_FourAreToldOneByOneAndTheRestTogether) {
  Telling telling;
  for (const char* pod : {"p1", "p2", "p3", "p4"}) telling.withdraw(pod, Withdrawal::kTerminating);
  telling.withdraw("p5");
  telling.withdraw("p6", Withdrawal::kTerminating);
  telling.withdraw("p7");
  EXPECT_EQ(telling.told().size(), 4U);
  telling.pass_time(59s);
  EXPECT_THAT(telling.told(), IsEmpty());
  telling.withdraw("p8", Withdrawal::kTerminating);
  telling.pass_time(1s);
  EXPECT_THAT(telling.told(),
              ElementsAre("InferencePool a: 4 pods left the list of endpoints within a minute: 2 "
                          "NotReady, 2 Terminating; p5 was the first"));
  EXPECT_THAT(telling.told(), IsEmpty()) << "once";
}

TEST(PoolEvents, StormGoesOn_IsToldOnceAMinute) {
  Telling telling;
  std::size_t all = 0;
  for (int second = 0; second < 300; ++second) {
    telling.withdraw("p" + std::to_string(second), Withdrawal::kTerminating);
    all += telling.told().size();
    telling.pass_time(1s);
  }
  EXPECT_LE(all, 4U + 5U + 5U) << "four, one a minute for all, and one a minute by itself";
  EXPECT_GE(all, 4U + 4U);
}

TEST(PoolEvents, Storm_WakesUsWhenItIsDue) {
  Telling telling;
  for (const char* pod : {"p1", "p2", "p3", "p4"}) telling.withdraw(pod);
  telling.told();
  const auto quiet = telling.events.next_deadline();
  telling.withdraw("p5");
  telling.pass_time(1s);
  telling.withdraw("p6");
  EXPECT_TRUE(!quiet || *quiet >= telling.now.mono);
  ASSERT_TRUE(telling.events.next_deadline());
  EXPECT_LE(*telling.events.next_deadline(), telling.now.mono + 59s) << "a minute after the first of them";
}

TEST(PoolEvents, StormIsOver_PodsAreToldOneByOneAgain) {
  Telling telling;
  for (const char* pod : {"p1", "p2", "p3", "p4", "p5"}) telling.withdraw(pod, Withdrawal::kTerminating);
  telling.pass_time(60s);
  EXPECT_EQ(telling.told().size(), 5U);
  telling.pass_time(20min);
  for (const char* pod : {"q1", "q2", "q3", "q4"}) telling.withdraw(pod, Withdrawal::kTerminating);
  EXPECT_EQ(telling.told().size(), 4U);
}

TEST(PoolEvents, StormOfOnePool_LeavesOthersAlone) {
  Telling telling;
  for (const char* pod : {"p1", "p2", "p3", "p4", "p5"}) telling.withdraw(pod, Withdrawal::kTerminating);
  telling.told();
  telling.withdraw("x", Withdrawal::kTerminating, "b");
  EXPECT_THAT(telling.told(), ElementsAre("InferencePool b: x left"));
}

TEST(PoolEvents, NamesakeOfAPool_BeginsAnew) {
  Telling telling;
  for (const char* pod : {"p1", "p2", "p3", "p4", "p5"}) telling.withdraw(pod, Withdrawal::kTerminating);
  telling.told();
  api::InferencePool namesake = made_pool("a", "vllm");
  namesake.uid = "another-uid";
  telling.table.upsert(namesake, nullptr);
  telling.withdraw("q", Withdrawal::kTerminating);
  EXPECT_THAT(telling.told(), ElementsAre("InferencePool a: q left"));
  telling.pass_time(60s);
  EXPECT_THAT(telling.told(), IsEmpty()) << "the pool that lost p5 is no more";
}

TEST(PoolEvents, Calls_GoOneAtATime) {
  Telling telling;
  telling.withdraw("p");
  Effects out;
  telling.events.post(telling.writes, telling.now, out);
  telling.events.post(telling.writes, telling.now, out);
  ASSERT_EQ(out.sends.size(), 1U);
  const auto answered =
      telling.writes.answered({out.sends[0].id, Answer(std::string("{}"))}, telling.now.mono);
  ASSERT_TRUE(answered);
  telling.events.posted(std::get<EventWrite>(answered->call.purpose), "{}", telling.now.mono);
  telling.events.post(telling.writes, telling.now, out);
  EXPECT_EQ(out.sends.size(), 2U);
  EXPECT_EQ(telling.events.stats().created, 1U);
}

}  // namespace
}  // namespace poolwarden::control
