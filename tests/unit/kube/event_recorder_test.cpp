#include "kube/event_recorder.h"

#include <chrono>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::kube {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

const EventTarget kPool{"InferencePool", "poolwarden.io/v1alpha1", "serving", "vllm", "uid-1", "42"};
const EventTarget kNode{"Node", "v1", "", "worker-1", "uid-2", ""};

Error error_of(ErrorClass cls, int status, std::string reason = {}) {
  return Error{cls, status, std::move(reason), "it went wrong", std::nullopt};
}

struct Bench {
  explicit Bench(EventLimits limits = {}) : recorder("poolwarden-0", limits) {}

  void record(const std::string& note = "pod a is gone", const EventTarget& target = kPool) {
    recorder.record(target, EventType::kNormal, "Withdrawn", "Withdraw", note, now, wall());
  }
  // The next call; its body is in `body`. Empty: none.
  std::string next() {
    call = recorder.next(now);
    if (!call) {
      return "";
    }
    body = json::parse(call->call.body);
    return call->call.verb == Verb::kCreate ? "create" : "patch";
  }
  void succeed() { recorder.finished(call->id, std::string("{}"), now); }
  void fail(const Error& error) { recorder.finished(call->id, tl::unexpected(error), now); }
  std::string write() {
    const std::string what = next();
    if (!what.empty()) {
      succeed();
    }
    return what;
  }
  WallTime wall() const { return WallTime{} + (now - TimePoint{}) + std::chrono::days{20'000}; }

  TimePoint now = TimePoint{} + 1h;
  EventRecorder recorder;
  std::optional<EventCall> call;
  json body;
};

TEST(EventRecorder, WritesAnEventAsTheApiWantsIt) {
  Bench bench;
  bench.record();
  ASSERT_EQ(bench.next(), "create");
  EXPECT_EQ(bench.call->call.ns, "serving");
  EXPECT_EQ(bench.call->call.type, kEvents);
  const std::string name = bench.body["metadata"]["name"];
  EXPECT_THAT(name, testing::MatchesRegex("vllm\\.[0-9a-f]+"));
  EXPECT_EQ(bench.body, json::parse(R"({"apiVersion": "events.k8s.io/v1", "kind": "Event",
      "metadata": {"name": ")" + name +
                                    R"(", "namespace": "serving"},
      "eventTime": "2024-10-04T01:00:00.000000Z", "type": "Normal", "reason": "Withdrawn", "action": "Withdraw",
      "note": "pod a is gone", "reportingController": "poolwarden.io/operator", "reportingInstance": "poolwarden-0",
      "regarding": {"kind": "InferencePool", "apiVersion": "poolwarden.io/v1alpha1", "namespace": "serving",
                    "name": "vllm", "uid": "uid-1", "resourceVersion": "42"}})"));
}

TEST(EventRecorder, EventsOfClusterScopedObjectsLiveInDefault) {
  Bench bench;
  bench.record("note", kNode);
  ASSERT_EQ(bench.next(), "create");
  EXPECT_EQ(bench.call->call.ns, "default");
  EXPECT_EQ(bench.body["metadata"]["namespace"], "default");
  EXPECT_FALSE(bench.body["regarding"].contains("namespace"));
}

TEST(EventRecorder, OneCallAtATime) {
  Bench bench;
  bench.record("a");
  bench.record("b");
  EXPECT_EQ(bench.next(), "create");
  const auto first = *bench.call;
  EXPECT_EQ(bench.next(), "");
  bench.recorder.finished(first.id + 1, std::string("{}"), bench.now);
  EXPECT_EQ(bench.next(), "") << "an answer to something else";
  bench.recorder.finished(first.id, std::string("{}"), bench.now);
  EXPECT_EQ(bench.next(), "create");
  EXPECT_EQ(bench.body["note"], "b");
}

TEST(EventRecorder, ARepeatBecomesASeries) {
  Bench bench;
  bench.record();
  ASSERT_EQ(bench.write(), "create");
  const std::string name = bench.body["metadata"]["name"];
  bench.now += 1min;
  bench.record();
  ASSERT_EQ(bench.write(), "patch") << "the first repeat shows at once";
  EXPECT_EQ(bench.call->call.name, name);
  EXPECT_EQ(bench.call->call.ns, "serving");
  EXPECT_EQ(bench.body,
            json::parse(R"({"series": {"count": 2, "lastObservedTime": "2024-10-04T01:01:00.000000Z"}})"));
  for (int i = 0; i < 3; ++i) {
    bench.now += 1min;
    bench.record();
    EXPECT_EQ(bench.write(), "") << "the others are counted";
  }
  bench.now += 7min;
  ASSERT_EQ(bench.write(), "patch") << "and written when it has been quiet for six minutes";
  EXPECT_EQ(bench.body["series"]["count"], 5);
  EXPECT_EQ(bench.body["series"]["lastObservedTime"], "2024-10-04T01:04:00.000000Z");
  bench.now += 2min;
  EXPECT_EQ(bench.write(), "");
  bench.record();
  EXPECT_EQ(bench.write(), "create") << "after that it is a new one";
  EXPECT_NE(bench.body["metadata"]["name"], name);
}

TEST(EventRecorder, ALongSeriesIsRefreshedBeforeItExpires) {
  Bench bench;
  int patches = 0;
  for (int minute = 0; minute < 120; ++minute) {
    bench.record();
    const std::string what = bench.write();
    patches += what == "patch" ? 1 : 0;
    bench.now += 1min;
  }
  EXPECT_EQ(bench.recorder.stats().created, 1U);
  EXPECT_EQ(patches, 1 + 3) << "the first repeat, and every half hour";
}

TEST(EventRecorder, DifferentNotesAreDifferentEvents) {
  Bench bench;
  bench.record("pod a is gone");
  bench.record("pod b is gone");
  EXPECT_EQ(bench.write(), "create");
  EXPECT_EQ(bench.write(), "create");
  EXPECT_EQ(bench.body["note"], "pod b is gone");
}

TEST(EventRecorder, ARepeatBeforeTheFirstIsWrittenGoesWithIt) {
  Bench bench;
  bench.record();
  bench.record();
  bench.record();
  ASSERT_EQ(bench.write(), "create");
  EXPECT_EQ(bench.body["series"]["count"], 3);
  EXPECT_EQ(bench.write(), "");
}

TEST(EventRecorder, RepeatDuringFirstWrite_IsWrittenAfterIt) {
  Bench bench;
  bench.record();
  ASSERT_EQ(bench.next(), "create");
  bench.record();
  bench.succeed();
  ASSERT_EQ(bench.write(), "patch");
  EXPECT_EQ(bench.body["series"]["count"], 2);
}

TEST(EventRecorder, ARefusedEventIsDroppedAndCounted) {
  for (const Error& error :
       {error_of(ErrorClass::kForbidden, 403), error_of(ErrorClass::kNotFound, 404, "NotFound"),
        error_of(ErrorClass::kTerminal, 422), error_of(ErrorClass::kShutdown, 0)}) {
    Bench bench;
    bench.record();
    ASSERT_EQ(bench.next(), "create");
    bench.fail(error);
    bench.now += 1h;
    EXPECT_EQ(bench.write(), "") << error.http_status;
    EXPECT_EQ(bench.recorder.stats().dropped_failed, 1U) << error.http_status;
    EXPECT_EQ(bench.recorder.waiting(), 0U) << error.http_status;
  }
}

TEST(EventRecorder, ASeriesWhoseEventIsGoneBecomesANewEvent) {
  Bench bench;
  bench.record();
  ASSERT_EQ(bench.write(), "create");
  const std::string name = bench.body["metadata"]["name"];
  bench.record();
  ASSERT_EQ(bench.next(), "patch");
  bench.fail(error_of(ErrorClass::kNotFound, 404));
  ASSERT_EQ(bench.write(), "create");
  EXPECT_NE(bench.body["metadata"]["name"], name);
  EXPECT_EQ(bench.body["series"]["count"], 2);
}

TEST(EventRecorder, PassingFailure_HoldsAllAndIsTriedTwelveTimes) {
  Bench bench;
  bench.record("first");
  bench.record("second");
  for (int i = 0; i < 12; ++i) {
    ASSERT_EQ(bench.next(), "create") << i;
    ASSERT_EQ(bench.body["note"], "first") << i;
    bench.fail(error_of(ErrorClass::kRetry, 503));
    if (i < 11) {
      EXPECT_EQ(bench.next(), "");
      EXPECT_EQ(bench.recorder.next_deadline(), std::min(bench.now + 10s, *bench.recorder.next_deadline()));
      bench.now += 10s;
    }
  }
  EXPECT_EQ(bench.recorder.stats().dropped_failed, 1U);
  bench.now += 10s;
  EXPECT_EQ(bench.write(), "create");
  EXPECT_EQ(bench.body["note"], "second");
}

TEST(EventRecorder, TheServersWishForLaterIsHeard) {
  Bench bench;
  bench.record();
  ASSERT_EQ(bench.next(), "create");
  Error busy = error_of(ErrorClass::kRetry, 429);
  busy.retry_after = 30s;
  bench.fail(busy);
  bench.now += 29s;
  EXPECT_EQ(bench.next(), "");
  bench.now += 1s;
  EXPECT_EQ(bench.next(), "create");
}

TEST(EventRecorder, ACreateWhoseAnswerWasLostFindsItsOwnEvent) {
  Bench bench;
  bench.record();
  ASSERT_EQ(bench.next(), "create");
  const std::string name = bench.body["metadata"]["name"];
  bench.fail(error_of(ErrorClass::kRetry, 0));
  bench.now += 10s;
  ASSERT_EQ(bench.next(), "create");
  EXPECT_EQ(bench.body["metadata"]["name"], name) << "the same name, so that it cannot be there twice";
  bench.fail(error_of(ErrorClass::kConflict, 409, "AlreadyExists"));
  EXPECT_EQ(bench.recorder.stats().created, 1U);
  bench.record();
  ASSERT_EQ(bench.next(), "patch");
  EXPECT_EQ(bench.call->call.name, name);
}

TEST(EventRecorder, ANameThatIsTakenIsReplaced) {
  Bench bench;
  bench.record();
  ASSERT_EQ(bench.next(), "create");
  const std::string name = bench.body["metadata"]["name"];
  bench.fail(error_of(ErrorClass::kConflict, 409, "AlreadyExists"));
  ASSERT_EQ(bench.next(), "create");
  EXPECT_NE(bench.body["metadata"]["name"], name);
}

TEST(EventRecorder, OneObject_Has25EventsThenOneIn5Minutes) {
  Bench bench;
  for (int i = 0; i < 40; ++i) {
    bench.record("note " + std::to_string(i));
  }
  EXPECT_EQ(bench.recorder.waiting(), 25U);
  EXPECT_EQ(bench.recorder.stats().dropped_limited, 15U);
  bench.record("another object has its own", kNode);
  EXPECT_EQ(bench.recorder.waiting(), 26U);
  bench.now += 5min - 1ns;
  bench.record("too early");
  EXPECT_EQ(bench.recorder.stats().dropped_limited, 16U);
  bench.now += 1ns;
  bench.record("in time");
  bench.record("but one only");
  EXPECT_EQ(bench.recorder.stats().dropped_limited, 17U);
}

TEST(EventRecorder, AllEventsTogetherAreLimited) {
  EventLimits limits;
  limits.burst = 2;
  limits.period = 1s;
  Bench bench(limits);
  for (int i = 0; i < 4; ++i) {
    bench.record("note " + std::to_string(i));
  }
  EXPECT_EQ(bench.write(), "create");
  EXPECT_EQ(bench.write(), "create");
  EXPECT_EQ(bench.write(), "");
  EXPECT_EQ(bench.recorder.next_deadline(), bench.now + 1s);
  bench.now += 1s;
  EXPECT_EQ(bench.write(), "create");
  EXPECT_EQ(bench.write(), "");
}

TEST(EventRecorder, WhatWaitsIsBoundedAndTheOldestGoes) {
  EventLimits limits;
  limits.queue = 3;
  limits.object_burst = 100;
  Bench bench(limits);
  for (int i = 0; i < 5; ++i) {
    bench.record("note " + std::to_string(i));
  }
  EXPECT_EQ(bench.recorder.waiting(), 3U);
  EXPECT_EQ(bench.recorder.stats().dropped_full, 2U);
  EXPECT_EQ(bench.write(), "create");
  EXPECT_EQ(bench.body["note"], "note 2");
}

TEST(EventRecorder, MemoryFull_LeastRecentGoes) {
  EventLimits limits;
  limits.remembered = 2;
  Bench bench(limits);
  bench.record("a");
  bench.record("b");
  EXPECT_EQ(bench.write(), "create");
  bench.record("c");
  EXPECT_EQ(bench.recorder.stats().dropped_full, 0U) << "a was written already";
  bench.record("d");
  EXPECT_EQ(bench.recorder.stats().dropped_full, 1U) << "b was not";
  EXPECT_EQ(bench.write(), "create");
  EXPECT_EQ(bench.body["note"], "c");
  bench.record("a");
  EXPECT_EQ(bench.write(), "create") << "forgotten, hence new";
}

TEST(EventRecorder, AnEventForgottenWhileItIsWrittenDoesNoHarm) {
  EventLimits limits;
  limits.remembered = 1;
  Bench bench(limits);
  bench.record("a");
  ASSERT_EQ(bench.next(), "create");
  bench.record("b");
  bench.succeed();
  EXPECT_EQ(bench.recorder.stats().created, 1U);
  EXPECT_EQ(bench.write(), "create");
  EXPECT_EQ(bench.body["note"], "b");
}

TEST(EventRecorder, KeepsToTheLimitsOfTheApi) {
  Bench bench;
  EventTarget long_name = kPool;
  long_name.name = std::string(200, 'a') + ".b-" + std::string(60, 'c');
  // The limit falls into the middle of a character of three bytes.
  std::string note(1023, 'x');
  note += "\xe2\x82\xac and more";
  bench.recorder.record(long_name, EventType::kWarning, std::string(200, 'r'), std::string(200, 'a'), note,
                        bench.now, bench.wall());
  ASSERT_EQ(bench.next(), "create");
  const std::string name = bench.body["metadata"]["name"];
  EXPECT_EQ(name.size(), 253U);
  EXPECT_EQ(bench.body["note"], std::string(1023, 'x'));
  EXPECT_EQ(bench.body["reason"].get<std::string>().size(), 128U);
  EXPECT_EQ(bench.body["action"].get<std::string>().size(), 128U);
  EXPECT_EQ(bench.body["type"], "Warning");
}

TEST(EventRecorder, ANameIsNotCutToEndInADot) {
  Bench bench;
  EventTarget target = kPool;
  target.name = std::string(235, 'a') + ".-.-.-" + std::string(20, 'b');
  bench.record("note", target);
  ASSERT_EQ(bench.next(), "create");
  EXPECT_THAT(bench.body["metadata"]["name"].get<std::string>(), testing::MatchesRegex("a+\\.[0-9a-f]+"));
}

TEST(EventRecorder, ANoteIsPrintable) {
  Bench bench;
  bench.record("said \xff\xfe\x1b[2J\n\u202e");
  ASSERT_EQ(bench.next(), "create");
  EXPECT_EQ(bench.body["note"], R"(said \xff\xfe\x1b[2J\n\u202e)");
}

TEST(EventRecorder, NamesAreNeverTheSameTwice) {
  EventLimits limits;
  limits.object_burst = 1000;
  limits.burst = 1000;
  Bench bench(limits);
  std::set<std::string> names;
  for (int i = 0; i < 500; ++i) {
    bench.record("note " + std::to_string(i));
    ASSERT_EQ(bench.write(), "create");
    names.insert(bench.body["metadata"]["name"]);
  }
  EXPECT_EQ(names.size(), 500U);
}

TEST(EventRecorder, AtRestItHasNothingToDoAndRemembersNothing) {
  Bench bench;
  EXPECT_EQ(bench.recorder.next_deadline(), std::nullopt);
  bench.record();
  ASSERT_EQ(bench.write(), "create");
  for (int i = 0; i < 20 && bench.recorder.next_deadline(); ++i) {
    bench.now = std::max(bench.now, *bench.recorder.next_deadline());
    EXPECT_EQ(bench.write(), "");
  }
  EXPECT_EQ(bench.recorder.next_deadline(), std::nullopt);
}

}  // namespace
}  // namespace poolwarden::kube
