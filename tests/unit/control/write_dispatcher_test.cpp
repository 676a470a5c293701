#include "control/write_dispatcher.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::control {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const kube::TimePoint kDispatchStart{1000s};

WriteRequest write_of(const std::string& object, const std::string& pool, WriteLane lane,
                      Written kind = Written::kPod) {
  WriteRequest request;
  request.purpose = BudgetWrite{};
  request.lane = lane;
  request.object = {kind, {"default", object}};
  request.pool = {{"default", pool}, pool + "-uid"};
  request.call = kube::get(kube::kPods, "default", object);
  return request;
}

kube::Error conflict() {
  return {kube::ErrorClass::kConflict, 409, "Conflict", "it has changed", std::nullopt};
}

class Dispatcher : public ::testing::Test {
 protected:
  bool send(const std::string& object, const std::string& pool = "a", WriteLane lane = WriteLane::kRest) {
    return writes_.send(write_of(object, pool, lane), now_, out_).sent();
  }
  // Answers the write that was sent as the n-th.
  std::optional<AnsweredCall> answer(std::size_t n, bool well = true) {
    CallAnswered answered{out_.sends.at(n).id, Answer()};
    if (!well) answered.answer = tl::unexpected(conflict());
    return writes_.answered(answered, now_);
  }
  std::vector<std::string> woken() {
    std::vector<std::string> names;
    for (const kube::ObjectKey& key : writes_.take_woken(now_)) names.push_back(key.name);
    return names;
  }

  WriteLimits limits_{.timeout = 10s,
                      .drains_in_flight = 2,
                      .rest_in_flight = 3,
                      .rest_burst = 4,
                      .rest_period = 100ms,
                      .rest_batch = 2};
  WriteDispatcher writes_{limits_};
  kube::TimePoint now_ = kDispatchStart;
  Effects out_;
};

TEST_F(Dispatcher, ObjectInFlight_SecondWriteWaitsAndItsPoolIsWoken) {
  EXPECT_TRUE(send("x", "a"));
  EXPECT_FALSE(send("x", "b")) << "one write of an object at a time";
  EXPECT_TRUE(send("y", "b"));
  EXPECT_THAT(woken(), IsEmpty());
  ASSERT_TRUE(answer(0));
  EXPECT_THAT(woken(), ElementsAre("b"));
  EXPECT_THAT(woken(), IsEmpty()) << "once";
}

TEST_F(Dispatcher, RestInFlight_IsCapped) {
  for (const char* object : {"p", "q", "r"}) EXPECT_TRUE(send(object));
  EXPECT_FALSE(send("s", "late"));
  EXPECT_FALSE(writes_.next_deadline(now_)) << "an answer makes room, and nothing else";
  ASSERT_TRUE(answer(0));
  now_ += 1s;
  EXPECT_THAT(woken(), ElementsAre("late"));
}

TEST_F(Dispatcher, NamespaceOfManyWaitingPools_HoldsUpAnotherByOne) {
  for (const char* pool : {"a", "b", "c"}) writes_.wait_for_room(WriteLane::kDrain, {"default", pool});
  writes_.wait_for_room(WriteLane::kDrain, {"other", "z"});
  std::vector<std::string> in_order;
  for (int n = 0; n < 4; ++n) in_order.push_back(woken().at(0));
  EXPECT_THAT(in_order, ElementsAre("a", "z", "b", "c"));
}

TEST_F(Dispatcher, RestRate_IsCappedAndPoolsTakeTurns) {
  for (int n = 0; n < 4; ++n) {
    EXPECT_TRUE(send("o" + std::to_string(n)));
    ASSERT_TRUE(answer(static_cast<std::size_t>(n)));
  }
  EXPECT_FALSE(send("more", "first")) << "the burst is spent";
  EXPECT_FALSE(send("other", "second"));
  EXPECT_THAT(woken(), IsEmpty());
  ASSERT_TRUE(writes_.next_deadline(now_));
  EXPECT_EQ(*writes_.next_deadline(now_), now_ + 200ms) << "woken when there is room for a batch";
  now_ += 200ms;
  EXPECT_THAT(woken(), ElementsAre("first"));
  EXPECT_THAT(woken(), ElementsAre("second")) << "as the first took nothing";
}

TEST_F(Dispatcher, ListsAndDrains_DoNotWaitForTheRest) {
  for (const char* object : {"p", "q", "r"}) EXPECT_TRUE(send(object));
  EXPECT_FALSE(send("s"));
  EXPECT_TRUE(send("list", "a", WriteLane::kList));
  EXPECT_TRUE(send("d1", "a", WriteLane::kDrain));
  EXPECT_TRUE(send("d2", "a", WriteLane::kDrain));
  EXPECT_FALSE(send("d3", "b", WriteLane::kDrain)) << "drains have a cap of their own";
  EXPECT_TRUE(send("list2", "b", WriteLane::kList)) << "lists have none";
  ASSERT_TRUE(answer(4));
  EXPECT_THAT(woken(), ElementsAre("b"));
}

TEST_F(Dispatcher, Failure_MakesItsObjectWait) {
  EXPECT_TRUE(send("x"));
  const auto failed = answer(0, false);
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->failures, 1U);
  const auto again = writes_.send(write_of("x", "a", WriteLane::kRest), now_, out_);
  EXPECT_FALSE(again.sent());
  ASSERT_TRUE(again.until);
  EXPECT_EQ(*again.until, now_ + 1s);
  EXPECT_FALSE(writes_.changed({Written::kPod, {"default", "x"}}));
  EXPECT_TRUE(send("x")) << "what the conflict waited for was seen";
}

TEST_F(Dispatcher, ChangeDuringAWrite_IsToldWithItsAnswer) {
  EXPECT_TRUE(send("x"));
  EXPECT_TRUE(writes_.changed({Written::kPod, {"default", "x"}}));
  const auto seen = answer(0);
  ASSERT_TRUE(seen);
  EXPECT_TRUE(seen->changed_meanwhile);
  EXPECT_TRUE(send("x"));
  const auto unseen = answer(1);
  ASSERT_TRUE(unseen);
  EXPECT_FALSE(unseen->changed_meanwhile) << "that was the write before";
}

TEST_F(Dispatcher, UnknownAnswer_IsIgnored) {
  EXPECT_FALSE(writes_.answered(CallAnswered{4711, Answer()}, now_));
  EXPECT_TRUE(send("x"));
  EXPECT_TRUE(answer(0));
  EXPECT_FALSE(answer(0)) << "answered already";
}

TEST_F(Dispatcher, Lanes_ReachTheTransport) {
  EXPECT_TRUE(send("status", "a", WriteLane::kRest));
  EXPECT_TRUE(send("label", "a", WriteLane::kDrain));
  WriteRequest list = write_of("list", "a", WriteLane::kList, Written::kConfigMap);
  list.purpose = PublishWrite{};
  EXPECT_TRUE(writes_.send(std::move(list), now_, out_).sent());
  const auto unthrottled = [this](Purpose purpose, kube::Call call) {
    writes_.send_unthrottled(std::move(purpose), {}, {{"default", "a"}, "a-uid"}, std::move(call),
                             Expect::kText, now_, out_);
  };
  unthrottled(ConfigMapLookup{}, kube::get(kube::kConfigMaps, "default", "taken"));
  unthrottled(EventWrite{1}, kube::create(kube::kEvents, "default", "{}"));
  kube::Call renewal = kube::get(kube::kLeases, "default", "lease");
  renewal.lane = kube::CallLane::kLease;
  unthrottled(LeaseCall{1}, std::move(renewal));
  std::vector<kube::CallLane> lanes;
  for (const Send& sent : out_.sends) lanes.push_back(sent.call.lane);
  using kube::CallLane;
  EXPECT_THAT(lanes, ElementsAre(CallLane::kRest, CallLane::kAwaited, CallLane::kUrgent, CallLane::kUrgent,
                                 CallLane::kRest, CallLane::kLease));
}

TEST_F(Dispatcher, Calls_HaveTheTimeOfWrites) {
  EXPECT_TRUE(send("x"));
  EXPECT_EQ(out_.sends.at(0).call.deadline, 10s);
  EXPECT_EQ(out_.sends.at(0).expires, now_ + 10s) << "for so long the Lease was looked at";
  writes_.send_unthrottled(LeaseCall{1}, {}, {}, kube::get(kube::kLeases, "default", "lease"), Expect::kText,
                           now_, out_);
  EXPECT_FALSE(out_.sends.at(1).expires) << "its own calls have deadlines of their own";
}

}  // namespace
}  // namespace poolwarden::control
