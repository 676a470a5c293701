#include "kube/informer_runner.h"

#include "thing.h"

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

using Input = InformerInput<Thing>;

// Keeps what was asked; the test answers.
class ScriptedTransport final : public Transport {
 public:
  struct Stream {
    HttpRequest request;
    milliseconds idle_timeout{0};
    std::shared_ptr<StreamHandler> handler;
    bool cancelled = false;
  };

  void send(HttpRequest request, Callback done) override {
    sent.emplace_back(std::move(request), std::move(done));
  }
  std::unique_ptr<StreamHandle> stream(HttpRequest request, milliseconds idle_timeout,
                                       std::shared_ptr<StreamHandler> handler) override {
    streams.push_back(std::make_shared<Stream>(Stream{std::move(request), idle_timeout, std::move(handler)}));
    return std::make_unique<Handle>(streams.back());
  }

  std::vector<std::pair<HttpRequest, Callback>> sent;
  std::vector<std::shared_ptr<Stream>> streams;

 private:
  struct Handle final : StreamHandle {
    explicit Handle(std::shared_ptr<Stream> of) : stream(std::move(of)) {}
    ~Handle() override { stream->cancelled = true; }
    std::shared_ptr<Stream> stream;
  };
};

const Thing kA{"ns", "a", "u1", "101", "red", 1};
const Thing kB{"ns", "b", "u2", "102", "blue", 2};

class Runner : public testing::Test {
 protected:
  void list(std::string token = "") { runner->run({StartList{1, std::move(token), 500, seconds(30)}}); }
  StreamHandler& watch(std::uint64_t attempt = 2) {
    runner->run({StartWatch{attempt, "100", seconds(400), seconds(150), seconds(30)}});
    return *transport.streams.back()->handler;
  }
  void answer(int status, std::string body, std::string type = "application/json") {
    transport.sent.back().second(HttpResponse{status, std::nullopt, std::move(type), std::move(body)});
  }
  template <class What>
  const What& posted_as(std::size_t which) const {
    return std::get<What>(posted.at(which).what);
  }

  ScriptedTransport transport;
  Client client{transport};
  std::vector<Input> posted;
  TimePoint now = at(seconds(5));
  std::optional<InformerRunner<SaxThingCodec>> runner{
      std::in_place,
      client,
      kPods,
      WatchScope{"ns", "app=vllm", "spec.nodeName=n1"},
      [this] { return now; },
      [this](Input input) { posted.push_back(std::move(input)); }};
};

TEST_F(Runner, AListAsksForTheScopeAndThePage) {
  list("tok");
  EXPECT_THAT(transport.sent.at(0).first.target,
              AllOf(HasSubstr("/api/v1/namespaces/ns/pods"), HasSubstr("limit=500"),
                    HasSubstr("continue=tok"), HasSubstr("labelSelector=app"),
                    HasSubstr("fieldSelector=spec.nodeName"), Not(HasSubstr("resourceVersion"))));
  EXPECT_EQ(transport.sent.at(0).first.deadline, seconds(30));
  EXPECT_EQ(transport.sent.at(0).first.lane, CallLane::kAwaited) << "decisions wait for it, writes need not";
}

TEST_F(Runner, APageIsPostedDecoded) {
  list();
  answer(200,
         fmt::format(R"({{"metadata":{{"resourceVersion":"100"}},"items":[{},{}]}})", wire(kA), wire(kB)));
  ASSERT_EQ(posted.size(), 1U);
  EXPECT_EQ(posted[0].attempt, 1U);
  EXPECT_EQ(posted[0].decoded_at, now);
  EXPECT_THAT(posted_as<Input::ListArrived>(0).page.items, testing::ElementsAre(kA, kB));
  EXPECT_GT(posted_as<Input::ListArrived>(0).page.bytes, wire(kA).size() + wire(kB).size());
}

TEST_F(Runner, AFailedListIsPostedWithItsError) {
  list();
  answer(403, R"({"kind":"Status","code":403,"reason":"Forbidden","message":"pods is forbidden"})");
  EXPECT_EQ(posted_as<Input::ListFailed>(0).error.cls, ErrorClass::kForbidden);
}

TEST_F(Runner, AListThatCannotBeReadIsAFailureThatNamesTheCall) {
  list();
  answer(200, "<html>");
  EXPECT_THAT(posted_as<Input::ListFailed>(0).error.message,
              AllOf(HasSubstr("list pods"), HasSubstr("byte")));
}

// Protobuf, which is asked for where the codec has it, and believed in when the answer says so.

constexpr const char* kProtobuf = "application/vnd.kubernetes.protobuf";

class WireRunner : public Runner {
 protected:
  WireRunner() {
    wire_runner.emplace(
        client, kPods, WatchScope{}, [this] { return now; },
        [this](Input input) { posted.push_back(std::move(input)); });
  }
  void list() { wire_runner->run({StartList{1, "", 500, seconds(30)}}); }
  StreamHandler& watch() {
    wire_runner->run({StartWatch{2, "100", seconds(400), seconds(150), seconds(30)}});
    return *transport.streams.back()->handler;
  }
  std::optional<InformerRunner<WireThingCodec>> wire_runner;
};

TEST_F(Runner, AKindWithoutProtobufAsksForJson) {
  list();
  watch();
  EXPECT_EQ(transport.sent.at(0).first.accept, "application/json");
  EXPECT_EQ(transport.streams.at(0)->request.accept, "application/json");
}

TEST_F(WireRunner, ProtobufIsAskedForAndJsonWillDo) {
  list();
  watch();
  EXPECT_EQ(transport.sent.at(0).first.accept, "application/vnd.kubernetes.protobuf, application/json");
  EXPECT_EQ(transport.streams.at(0)->request.accept, "application/vnd.kubernetes.protobuf, application/json");
}

TEST_F(WireRunner, AListIsReadAsWhatItSaysItIs) {
  const std::string json =
      fmt::format(R"({{"metadata":{{"resourceVersion":"100"}},"items":[{}]}})", wire(kA));
  const std::string protobuf = protobuf_wire::list("Thing", {wire_message(kA)});
  struct Row {
    const std::string& body;
    const char* type;
    bool fits;
  };
  for (const Row& row : {Row{json, "application/json", true}, Row{protobuf, kProtobuf, true},
                         Row{json, kProtobuf, false}, Row{protobuf, "application/json", false}}) {
    posted.clear();
    list();
    answer(200, row.body, row.type);
    ASSERT_EQ(posted.size(), 1U);
    if (row.fits) {
      EXPECT_THAT(posted_as<Input::ListArrived>(0).page.items, testing::ElementsAre(kA));
    } else {
      EXPECT_THAT(posted_as<Input::ListFailed>(0).error.message, HasSubstr("list pods"));
    }
  }
}

TEST_F(WireRunner, FramesInAnySplitAreEvents) {
  const std::string stream =
      protobuf_wire::framed(wire_frame("ADDED", kA)) + protobuf_wire::framed(wire_frame("DELETED", kB));
  for (std::size_t at = 0; at < stream.size(); at += 7) {
    posted.clear();
    StreamHandler& handler = watch();
    handler.on_head(HttpResponse{200, std::nullopt, "application/vnd.kubernetes.protobuf;stream=watch", ""});
    handler.on_data(std::string_view(stream).substr(0, at));
    handler.on_data(std::string_view(stream).substr(at));
    std::vector<WatchEvent<Thing>> events;
    for (const std::size_t chunk : {1U, 2U}) {
      for (const auto& event : posted_as<Input::WatchArrived>(chunk).events) events.push_back(event);
    }
    ASSERT_EQ(events.size(), 2U) << at;
    EXPECT_EQ(events[0].object, kA);
    EXPECT_EQ(events[1].type, WatchEventType::kDeleted);
    EXPECT_EQ(events[1].object, kB);
  }
}

TEST_F(WireRunner, AWatchInJsonIsReadAsLines) {
  StreamHandler& handler = watch();
  handler.on_head(HttpResponse{200, std::nullopt, "application/json;stream=watch", ""});
  handler.on_data(wire_event("ADDED", kA) + "\n");
  EXPECT_EQ(posted_as<Input::WatchArrived>(1).events.at(0).object, kA);
}

TEST_F(WireRunner, AWatchThatIsNotWhatItSaysIsEndedWithARelist) {
  for (const auto& [type, bytes] :
       {std::pair<const char*, std::string>{kProtobuf, wire_event("ADDED", kA) + "\n"},
        {"application/json", protobuf_wire::framed(wire_frame("ADDED", kA)) + "\n"},
        {kProtobuf, "\xff\xff\xff\xff"}}) {
    posted.clear();
    StreamHandler& handler = watch();
    handler.on_head(HttpResponse{200, std::nullopt, type, ""});
    handler.on_data(bytes);
    EXPECT_EQ(posted_as<Input::WatchEnded>(2).error->cls, ErrorClass::kRelist) << type;
  }
}

TEST_F(WireRunner, AnObjectThatCannotBeReadDoesNotEndTheWatch) {
  const std::string whole = wire_message(kA);
  const std::string broken = protobuf_wire::watch_event(
      "MODIFIED", protobuf_wire::envelope("Thing", whole.substr(0, whole.size() - 1)));
  StreamHandler& handler = watch();
  handler.on_head(HttpResponse{200, std::nullopt, kProtobuf, ""});
  handler.on_data(protobuf_wire::framed(broken) + protobuf_wire::framed(wire_frame("ADDED", kB)));
  ASSERT_EQ(posted.size(), 2U);
  const auto& arrived = posted_as<Input::WatchArrived>(1);
  ASSERT_EQ(arrived.events.size(), 2U);
  EXPECT_EQ(arrived.events[0].type, WatchEventType::kBookmark) << "time went on";
  EXPECT_EQ(arrived.events[0].resource_version, "101");
  EXPECT_EQ(arrived.events[1].object, kB);
  EXPECT_EQ(arrived.unreadable.count, 1U);
  EXPECT_THAT(arrived.unreadable.problem, HasSubstr("ns/a: "));
}

TEST_F(WireRunner, AStatusInProtobufEndsTheWatch) {
  std::string status;
  protozero::pbf_writer writer{status};
  writer.add_string(3, "too old resource version");
  writer.add_string(4, "Expired");
  writer.add_int32(6, 410);
  StreamHandler& handler = watch();
  handler.on_head(HttpResponse{200, std::nullopt, kProtobuf, ""});
  handler.on_data(
      protobuf_wire::framed(protobuf_wire::watch_event("ERROR", protobuf_wire::envelope("Status", status))));
  EXPECT_EQ(posted_as<Input::WatchEnded>(2).error->cls, ErrorClass::kRelist);
  EXPECT_EQ(posted_as<Input::WatchEnded>(2).error->reason, "Expired");
}

TEST_F(Runner, AWatchAsksForBookmarksFromTheVersion) {
  watch();
  const auto& stream = *transport.streams.at(0);
  EXPECT_THAT(stream.request.target, AllOf(HasSubstr("watch=true"), HasSubstr("resourceVersion=100"),
                                           HasSubstr("allowWatchBookmarks=true"),
                                           HasSubstr("timeoutSeconds=400"), HasSubstr("labelSelector=app")));
  EXPECT_EQ(stream.idle_timeout, seconds(150));
}

TEST_F(Runner, EachChunkIsOnePostWhateverItHolds) {
  StreamHandler& stream = watch();
  stream.on_head(HttpResponse{200, std::nullopt, "application/json", ""});
  const std::string a = wire_event("ADDED", kA) + "\n";
  const std::string b = wire_event("DELETED", kB) + "\n";
  stream.on_data(a.substr(0, 10));
  now += milliseconds(3);
  stream.on_data(a.substr(10) + b);
  stream.on_end(std::nullopt);
  ASSERT_EQ(posted.size(), 4U);
  posted_as<Input::WatchOpened>(0);
  EXPECT_TRUE(posted_as<Input::WatchArrived>(1).events.empty());
  const auto& events = posted_as<Input::WatchArrived>(2).events;
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].object, kA);
  EXPECT_EQ(events[1].type, WatchEventType::kDeleted);
  EXPECT_EQ(posted[2].decoded_at, now);
  EXPECT_FALSE(posted_as<Input::WatchEnded>(3).error);
  for (const auto& input : posted) EXPECT_EQ(input.attempt, 2U);
}

TEST_F(Runner, ALineThatWasCutIsNoEvent) {
  StreamHandler& stream = watch();
  stream.on_head(HttpResponse{200, std::nullopt, "", ""});
  stream.on_data(wire_event("ADDED", kA));  // whole, but without its newline
  stream.on_end(TransportError{TransportFailure::kCut, "cut"});
  ASSERT_EQ(posted.size(), 3U);
  EXPECT_TRUE(posted_as<Input::WatchArrived>(1).events.empty());
  EXPECT_EQ(posted_as<Input::WatchEnded>(2).error->cls, ErrorClass::kRetry);
}

TEST_F(Runner, AnErrorEventEndsTheWatchAfterTheEventsBefore) {
  StreamHandler& stream = watch();
  stream.on_head(HttpResponse{200, std::nullopt, "", ""});
  stream.on_data(wire_event("ADDED", kA) +
                 "\n{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\","
                 "\"message\":\"too old resource version\"}}\n" +
                 wire_event("ADDED", kB) + "\n");
  stream.on_data(wire_event("ADDED", kB) + "\n");
  stream.on_end(std::nullopt);
  ASSERT_EQ(posted.size(), 3U) << "nothing follows the end";
  EXPECT_EQ(posted_as<Input::WatchArrived>(1).events.size(), 1U);
  EXPECT_EQ(posted_as<Input::WatchEnded>(2).error->cls, ErrorClass::kRelist);
}

TEST_F(Runner, ALineThatCannotBeReadEndsTheWatchWithARelist) {
  StreamHandler& stream = watch();
  stream.on_head(HttpResponse{200, std::nullopt, "", ""});
  stream.on_data(wire_event("ADDED", kA) + "\n{\"type\":\"ADD\n" + wire_event("ADDED", kB) + "\n");
  stream.on_end(TransportError{TransportFailure::kCancelled, "cancelled"});
  ASSERT_EQ(posted.size(), 3U);
  EXPECT_EQ(posted_as<Input::WatchArrived>(1).events.size(), 1U) << "what was read counts";
  EXPECT_EQ(posted_as<Input::WatchEnded>(2).error->cls, ErrorClass::kRelist);
  EXPECT_THAT(posted_as<Input::WatchEnded>(2).error->message,
              AllOf(HasSubstr("watch pods"), HasSubstr("byte")));
}

TEST_F(Runner, ALineWithoutEndEndsTheWatchAndIsNotHeld) {
  StreamHandler& stream = watch();
  stream.on_head(HttpResponse{200, std::nullopt, "", ""});
  const std::string chunk(1u << 20, 'x');
  for (int i = 0; i < 20; ++i) stream.on_data(chunk);
  ASSERT_EQ(posted.size(), 1U + 17 + 1);
  EXPECT_EQ(posted_as<Input::WatchEnded>(18).error->cls, ErrorClass::kRelist);
  EXPECT_THAT(posted_as<Input::WatchEnded>(18).error->message, HasSubstr("16 MiB"));
}

TEST_F(Runner, AWatchThatIsRefusedIsAnEnd) {
  StreamHandler& stream = watch();
  stream.on_head(
      HttpResponse{410, std::nullopt, "", R"({"kind":"Status","code":410,"reason":"Gone","message":"old"})"});
  stream.on_end(std::nullopt);
  ASSERT_EQ(posted.size(), 1U);
  EXPECT_EQ(posted_as<Input::WatchEnded>(0).error->cls, ErrorClass::kRelist);
}

TEST_F(Runner, WatchCancelledOrReplaced_IsLetGo) {
  watch(2);
  runner->run({CancelStream{1}});
  EXPECT_FALSE(transport.streams[0]->cancelled) << "an earlier one was meant";
  runner->run({CancelStream{2}});
  EXPECT_TRUE(transport.streams[0]->cancelled);
  watch(3);
  watch(4);
  EXPECT_TRUE(transport.streams[1]->cancelled);
  EXPECT_FALSE(transport.streams[2]->cancelled);
  runner.reset();
  EXPECT_TRUE(transport.streams[2]->cancelled);
}

TEST_F(Runner, AnswersAfterTheRunnerIsGoneAreStillSafe) {
  list();
  StreamHandler& stream = watch();
  runner.reset();
  answer(200, R"({"metadata":{"resourceVersion":"5"},"items":[]})");
  stream.on_end(TransportError{TransportFailure::kCancelled, "cancelled"});
  EXPECT_EQ(posted.size(), 2U);
}

TEST_F(Runner, AnswerTooLong_HalfAPageIsAskedForAndThenAWholeOne) {
  Informer<SaxThingCodec> informer{ReflectorOptions{}, [] { return 0.0; }};
  std::vector<Delta<Thing>> deltas;
  const auto deliver = [&] {
    for (auto& input : std::exchange(posted, {})) runner->run(informer.step(std::move(input), now, deltas));
  };
  runner->run(informer.start(now));
  transport.sent.back().second(tl::unexpected(TransportError{TransportFailure::kTooLarge, "too long"}));
  deliver();
  EXPECT_THAT(transport.sent.back().first.target, HasSubstr("limit=250"));
  answer(200,
         fmt::format(R"({{"metadata":{{"resourceVersion":"101","continue":"t"}},"items":[{}]}})", wire(kA)));
  deliver();
  EXPECT_THAT(transport.sent.back().first.target, AllOf(HasSubstr("limit=500"), HasSubstr("continue=t")));
}

TEST_F(Runner, AnInformerRunsOverIt) {
  Informer<SaxThingCodec> informer{ReflectorOptions{}, [] { return 0.0; }};
  std::vector<Delta<Thing>> deltas;
  const auto deliver = [&] {
    for (auto& input : std::exchange(posted, {})) runner->run(informer.step(std::move(input), now, deltas));
  };
  runner->run(informer.start(now));
  answer(200,
         fmt::format(R"({{"metadata":{{"resourceVersion":"101","continue":"t"}},"items":[{}]}})", wire(kA)));
  deliver();
  EXPECT_THAT(transport.sent.back().first.target, HasSubstr("continue=t"));
  answer(200, R"({"metadata":{"resourceVersion":"101"},"items":null})");
  deliver();
  ASSERT_EQ(transport.streams.size(), 1U);
  auto& stream = *transport.streams[0]->handler;
  stream.on_head(HttpResponse{200, std::nullopt, "", ""});
  stream.on_data(wire_event("ADDED", kB) + "\n");
  deliver();
  EXPECT_EQ(informer.store().size(), 2U);
  EXPECT_EQ(deltas.size(), 2U);
  stream.on_data("garbage\n");
  deliver();
  EXPECT_TRUE(transport.streams[0]->cancelled) << "the broken watch is let go";
  EXPECT_EQ(informer.store().size(), 2U) << "and the cache stays as it was";
}

}  // namespace
}  // namespace poolwarden::kube
