#include "kube/watch_decoder.h"

#include "thing.h"

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::kube {
namespace {

using testing::HasSubstr;

template <class Codec>
class WatchDecoder : public testing::Test {
 public:
  static Result<WatchLine<Thing>> line(std::string_view text) { return decode_watch_line<Codec>(text); }
  static Result<Thing> object(std::string_view text) { return decode_object<Codec>(text); }
  static Result<ListPage<Thing>> list(std::string_view text) { return decode_list<Codec>(text); }
};

using Codecs = testing::Types<DomThingCodec, SaxThingCodec>;
TYPED_TEST_SUITE(WatchDecoder, Codecs);

const Thing kThing{"ns", "a", "u1", "42", "red", 3};

TYPED_TEST(WatchDecoder, EventsOfEachType) {
  const std::pair<const char*, WatchEventType> rows[] = {{"ADDED", WatchEventType::kAdded},
                                                         {"MODIFIED", WatchEventType::kModified},
                                                         {"DELETED", WatchEventType::kDeleted}};
  for (const auto& [type, expected] : rows) {
    SCOPED_TRACE(type);
    const auto line = this->line(wire_event(type, kThing));
    ASSERT_TRUE(line) << line.error().message;
    const auto& event = std::get<WatchEvent<Thing>>(*line);
    EXPECT_EQ(event.type, expected);
    EXPECT_EQ(event.object, kThing);
    EXPECT_EQ(event.resource_version, "42");
  }
}

TYPED_TEST(WatchDecoder, KeysInAnyOrder) {
  const auto line = this->line(
      fmt::format(R"( {{ "more":[1,{{"type":"x"}}], "object":{} ,"type":"DELETED"}} )", wire(kThing)));
  ASSERT_TRUE(line) << line.error().message;
  EXPECT_EQ(std::get<WatchEvent<Thing>>(*line).type, WatchEventType::kDeleted);
  EXPECT_EQ(std::get<WatchEvent<Thing>>(*line).object, kThing);
}

TYPED_TEST(WatchDecoder, ABookmarkNeedsItsVersionOnly) {
  for (const char* text :
       {R"({"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"99"}}})",
        R"({"object":{"metadata":{"resourceVersion":"99"}},"type":"BOOKMARK"})"}) {
    const auto line = this->line(text);
    ASSERT_TRUE(line) << line.error().message;
    EXPECT_EQ(std::get<WatchEvent<Thing>>(*line).type, WatchEventType::kBookmark);
    EXPECT_EQ(std::get<WatchEvent<Thing>>(*line).resource_version, "99");
  }
}

TYPED_TEST(WatchDecoder, AnErrorEventGivesTheStatusItCarries) {
  const char* status =
      R"({"kind":"Status","metadata":{},"status":"Failure","message":"too old resource version: 1, oldest is 2",)"
      R"("reason":"Expired","details":{"reason":"inner","causes":[{"message":"inner","retryAfterSeconds":9}],)"
      R"("retryAfterSeconds":3},"code":410})";
  for (const auto& text : {fmt::format(R"({{"type":"ERROR","object":{}}})", status),
                           fmt::format(R"({{"object":{},"type":"ERROR"}})", status)}) {
    const auto line = this->line(text);
    ASSERT_TRUE(line) << line.error().message;
    const auto& failure = std::get<WatchFailure>(*line);
    EXPECT_EQ(failure.code, 410);
    EXPECT_EQ(failure.reason, "Expired");
    EXPECT_EQ(failure.message, "too old resource version: 1, oldest is 2");
    EXPECT_EQ(failure.retry_after, std::chrono::seconds(3));
  }
}

TYPED_TEST(WatchDecoder, AnErrorEventOfTheWrongShapeIsStillAFailure) {
  for (const char* details : {"7", "[]", R"({"retryAfterSeconds":-1})", R"({"retryAfterSeconds":"5"})"}) {
    const auto line = this->line(fmt::format(
        R"({{"type":"ERROR","object":{{"code":"410","reason":5,"message":null,"details":{}}}}})", details));
    ASSERT_TRUE(line);
    EXPECT_EQ(std::get<WatchFailure>(*line).code, 0);
    EXPECT_EQ(std::get<WatchFailure>(*line).retry_after, std::nullopt);
  }
}

TYPED_TEST(WatchDecoder, FieldsOfOtherObjectsAreNotTakenForTheEnvelopes) {
  // A kind of object may have a type, an object, a code; and resourceVersion appears at many depths.
  const auto line = this->line(
      R"({"type":"ADDED","object":{"type":"ERROR","object":{"type":"DELETED"},"code":410,"metadata":{"name":"a",)"
      R"("uid":"u","resourceVersion":"5","ownerReferences":[{"uid":"x","resourceVersion":"6"}]},)"
      R"("spec":{"metadata":{"resourceVersion":"7","name":"inner"}}}})");
  ASSERT_TRUE(line) << line.error().message;
  const auto& event = std::get<WatchEvent<Thing>>(*line);
  EXPECT_EQ(event.type, WatchEventType::kAdded);
  EXPECT_EQ(event.resource_version, "5");
  EXPECT_EQ(event.object.name, "a");
}

struct BrokenRow {
  const char* situation;
  std::string text;
  const char* says;
};

TYPED_TEST(WatchDecoder, BrokenLines) {
  const std::string object = wire(kThing);
  const BrokenRow rows[] = {
      {"nothing", "", "byte"},
      {"text", "hello", "byte"},
      {"a page of a proxy", "<html><body>502</body></html>", "byte 1"},
      {"a number", "5", "not an object"},
      {"an array", "[1]", "an array where there must be none"},
      {"empty object", "{}", "type"},
      {"no object", R"({"type":"ADDED"})", "no object"},
      {"no type", fmt::format(R"({{"object":{}}})", object), "type"},
      {"an unknown type", fmt::format(R"({{"type":"SYNC","object":{}}})", object), "SYNC"},
      {"a type in the wrong case", fmt::format(R"({{"type":"added","object":{}}})", object), "added"},
      {"a type that is a number", fmt::format(R"({{"type":1,"object":{}}})", object), "type"},
      {"an object that is null", R"({"type":"ADDED","object":null})", "not an object"},
      {"an object that is text", R"({"type":"ADDED","object":"x"})", "not an object"},
      {"an object that is an array", R"({"type":"ADDED","object":[{}]})", "an array"},
      {"two objects", fmt::format(R"({{"type":"ADDED","object":{0},"object":{0}}})", object), "twice"},
      {"two documents", wire_event("ADDED", kThing) + "{}", "byte"},
      {"an unpaired surrogate", R"({"type":"ADDED","object":{"metadata":{"name":"\ud800"}}})", "byte"},
      {"text that is not UTF-8", "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"\xff\"}}}",
       "byte"},
      {"a control character", "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"\x01\"}}}", "byte"},
      {"a number out of range", R"({"type":"ADDED","object":{"spec":{"count":1e999}}})", "out of range"},
  };
  for (const BrokenRow& row : rows) {
    SCOPED_TRACE(row.situation);
    const auto line = this->line(row.text);
    ASSERT_FALSE(line);
    EXPECT_EQ(line.error().cls, ErrorClass::kTerminal);
    EXPECT_THAT(line.error().message, HasSubstr(row.says));
  }
}

TYPED_TEST(WatchDecoder, ANamelessObjectCostsItsEventOnly) {
  const std::pair<const char*, ObjectKey> rows[] = {
      {R"({"metadata":{"uid":"u","resourceVersion":"7"}})", {}},
      {R"({"metadata":{"namespace":"ns","name":"a","resourceVersion":"7"}})", {"ns", "a"}},
      {R"({"metadata":{"name":{"x":"a"},"uid":"u","resourceVersion":"7"}})", {}},
  };
  for (const auto& [object, key] : rows) {
    SCOPED_TRACE(object);
    const auto line = this->line(fmt::format(R"({{"type":"DELETED","object":{}}})", object));
    ASSERT_TRUE(line) << line.error().message;
    const auto& unreadable = std::get<UnreadableEvent>(*line);
    EXPECT_EQ(unreadable.key, key);
    EXPECT_EQ(unreadable.resource_version, "7");
    EXPECT_THAT(unreadable.problem, HasSubstr("metadata.name"));
  }
}

TYPED_TEST(WatchDecoder, EveryTruncationFailsCleanly) {
  const std::string whole = wire_event("ADDED", {"ns", "\\u00e4\\\"\\n", "u1", "42", "red", -3});
  ASSERT_TRUE(this->line(whole));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    ASSERT_FALSE(this->line(whole.substr(0, length))) << whole.substr(0, length);
  }
}

TYPED_TEST(WatchDecoder, AnyByteMayBeWrong) {
  const std::string whole = wire_event("ADDED", kThing);
  for (std::size_t position = 0; position < whole.size(); ++position) {
    for (const char c : {'"', '{', '}', '[', ']', ',', ':', '\\', '0', 'e', '-', '\0', '\x80'}) {
      std::string broken = whole;
      broken[position] = c;
      // What it makes of it does not matter; that it comes back with an object or an error does.
      const auto line = this->line(broken);
      if (line && std::holds_alternative<WatchEvent<Thing>>(*line)) {
        ASSERT_FALSE(std::get<WatchEvent<Thing>>(*line).object.uid.empty());
      }
    }
  }
}

TYPED_TEST(WatchDecoder, ValuesOfTheWrongTypeAreSkippedWithWhatIsInThem) {
  const auto line = this->line(
      R"({"type":"ADDED","object":{"metadata":{"namespace":5,"name":"a","uid":"u","resourceVersion":{"x":1},)"
      R"("labels":[[{"name":"inner"}]]},"spec":{"color":["red"],"count":"3","x":1.5,"y":18446744073709551615,)"
      R"("z":true}}})");
  ASSERT_TRUE(line) << line.error().message;
  const Thing expected{"", "a", "u", "", "", 0};
  EXPECT_EQ(std::get<WatchEvent<Thing>>(*line).object, expected);
  EXPECT_EQ(std::get<WatchEvent<Thing>>(*line).resource_version, "");
}

TYPED_TEST(WatchDecoder, NumbersAtTheEdges) {
  for (const std::string number : {"9223372036854775807", "-9223372036854775808", "0", "-0"}) {
    const auto line = this->line(fmt::format(
        R"({{"type":"ADDED","object":{{"metadata":{{"name":"a","uid":"u"}},"spec":{{"count":{}}}}}}})",
        number));
    ASSERT_TRUE(line);
    EXPECT_EQ(std::get<WatchEvent<Thing>>(*line).object.count, std::stoll(number));
  }
  for (const char* number :
       {"9223372036854775808", "18446744073709551616", "1e3", "0.5", "123456789012345678901234"}) {
    const auto line = this->line(fmt::format(
        R"({{"type":"ADDED","object":{{"metadata":{{"name":"a","uid":"u"}},"spec":{{"count":{}}}}}}})",
        number));
    ASSERT_TRUE(line);
    EXPECT_EQ(std::get<WatchEvent<Thing>>(*line).object.count, 0) << "no int64: " << number;
  }
}

TYPED_TEST(WatchDecoder, UnicodeEscapesAndDuplicateKeys) {
  const auto line = this->line(
      R"({"type":"ADDED","object":{"metadata":{"name":"x","uid":"u","n\u0061me":"\u00e4\ud83d\ude00"}}})");
  ASSERT_TRUE(line) << line.error().message;
  EXPECT_EQ(std::get<WatchEvent<Thing>>(*line).object.name, "\xC3\xA4\xF0\x9F\x98\x80")
      << "the last one counts";
}

std::string nested(std::size_t depth) {
  return R"({"type":"ADDED","object":{"metadata":{"name":"a","uid":"u"},"spec":)" + std::string(depth, '[') +
         std::string(depth, ']') + "}}";
}

TYPED_TEST(WatchDecoder, DepthDoesNotCount) {
  for (const std::size_t depth : {kMaxDepth - 2, kMaxDepth - 1, kMaxDepth, std::size_t{1'000'000}}) {
    const auto line = this->line(nested(depth));
    ASSERT_TRUE(line) << depth << ": " << line.error().message;
    EXPECT_EQ(std::get<WatchEvent<Thing>>(*line).object.name, "a");
  }
  std::string cut = R"({"type":"ADDED","object":)";
  for (int i = 0; i < 100'000; ++i) cut += R"({"a":)";
  EXPECT_FALSE(this->line(cut));
}

TYPED_TEST(WatchDecoder, DepthDoesNotCountWhereNothingIsKept) {
  const std::string deep = std::string(80, '[') + R"({"name":"trap"})" + std::string(80, ']');
  const std::string object = fmt::format(
      R"({{"metadata":{{"managedFields":{0},"name":"a","uid":"u","resourceVersion":"9"}},"spec":{{"x":{0},"color":"red"}}}})",
      deep);
  const Thing expected{"", "a", "u", "9", "red", 0};
  const auto line = this->line(fmt::format(R"({{"x":{},"type":"ADDED","object":{}}})", deep, object));
  ASSERT_TRUE(line) << line.error().message;
  EXPECT_EQ(std::get<WatchEvent<Thing>>(*line).object, expected);
  const auto page = this->list(
      fmt::format(R"({{"metadata":{{"resourceVersion":"5","x":{0}}},"items":[{1}]}})", deep, object));
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_THAT(page->items, testing::ElementsAre(expected));
  EXPECT_EQ(page->resource_version, "5");
}

TYPED_TEST(WatchDecoder, AnErrorDoesNotQuoteTheInput) {
  const std::string secret(1u << 20, 's');
  const auto line = this->line(R"({"type":"ADDED","object":{"data":")" + secret);
  ASSERT_FALSE(line);
  EXPECT_LT(line.error().message.size(), 200U);
  const auto typed = this->line(R"({"type":")" + secret + R"(","object":{}})");
  ASSERT_FALSE(typed);
  EXPECT_LT(typed.error().message.size(), 200U);
}

// One object, as the answer to a get or a write.

TYPED_TEST(WatchDecoder, OneObjectAlone) {
  const auto object = this->object(wire(kThing));
  ASSERT_TRUE(object) << object.error().message;
  EXPECT_EQ(*object, kThing);
}

TYPED_TEST(WatchDecoder, BrokenObjects) {
  const BrokenRow rows[] = {
      {"nothing", "", "byte"},
      {"null", "null", "not an object"},
      {"an array", "[]", "an array where there must be none"},
      {"no name", R"({"metadata":{"uid":"u"}})", "metadata.name"},
      {"a Status", R"({"kind":"Status","metadata":{},"code":200})", "metadata.name"},
      {"two of them", wire(kThing) + wire(kThing), "byte"},
      {"the rest of a watch event", wire(kThing) + R"(,"type":"ERROR")", "byte"},
      {"cut", wire(kThing).substr(0, 20), "byte"},
      {"deep, and cut", std::string(R"({"a":)") + std::string(100, '['), "byte"},
  };
  for (const BrokenRow& row : rows) {
    SCOPED_TRACE(row.situation);
    const auto object = this->object(row.text);
    ASSERT_FALSE(object);
    EXPECT_EQ(object.error().cls, ErrorClass::kTerminal);
    EXPECT_THAT(object.error().message, HasSubstr(row.says));
  }
}

// Lists.

TYPED_TEST(WatchDecoder, AListPage) {
  const Thing other{"ns", "b", "u2", "43", "blue", 4};
  const auto page = this->list(fmt::format(
      R"({{"kind":"ThingList","apiVersion":"v1","metadata":{{"resourceVersion":"50","continue":"tok","remainingItemCount":7}},)"
      R"("items":[{},{}]}})",
      wire(kThing), wire(other)));
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_THAT(page->items, testing::ElementsAre(kThing, other));
  EXPECT_EQ(page->resource_version, "50");
  EXPECT_EQ(page->continue_token, "tok");
}

TYPED_TEST(WatchDecoder, AListPageWithItsMetadataLast) {
  const auto page =
      this->list(fmt::format(R"({{"items":[{}],"metadata":{{"resourceVersion":"50"}}}})", wire(kThing)));
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_THAT(page->items, testing::ElementsAre(kThing));
  EXPECT_EQ(page->resource_version, "50");
  EXPECT_EQ(page->continue_token, "");
}

TYPED_TEST(WatchDecoder, EmptyLists) {
  for (const char* items : {"[]", "null"}) {
    const auto page =
        this->list(fmt::format(R"({{"metadata":{{"resourceVersion":"5"}},"items":{}}})", items));
    ASSERT_TRUE(page) << page.error().message;
    EXPECT_TRUE(page->items.empty());
  }
}

TYPED_TEST(WatchDecoder, BrokenLists) {
  const BrokenRow rows[] = {
      {"nothing", "", "byte"},
      {"an empty object is not an empty list", "{}", "not a list"},
      {"a Status is not an empty list", R"({"kind":"Status","metadata":{},"status":"Success","code":200})",
       "not a list"},
      {"one object is not an empty list", wire(kThing), "not a list"},
      {"no version", R"({"metadata":{},"items":[]})", "resourceVersion"},
      {"a version that is a number", R"({"metadata":{"resourceVersion":5},"items":[]})", "resourceVersion"},
      {"metadata that is an array", R"({"metadata":[{"resourceVersion":"5"}],"items":[]})",
       "resourceVersion"},
      {"items that are an object", R"({"metadata":{"resourceVersion":"5"},"items":{}})", "an object"},
      {"items that are text", R"({"metadata":{"resourceVersion":"5"},"items":"x"})", "not an array"},
      {"items twice", R"({"metadata":{"resourceVersion":"5"},"items":[],"items":[]})", "twice"},
  };
  for (const BrokenRow& row : rows) {
    SCOPED_TRACE(row.situation);
    const auto page = this->list(row.text);
    ASSERT_FALSE(page);
    EXPECT_THAT(page.error().message, HasSubstr(row.says));
  }
}

TYPED_TEST(WatchDecoder, ItemsThatCannotBeReadAreLeftOut) {
  const auto page = this->list(fmt::format(
      R"({{"items":[null,{},[[{{"metadata":{{"name":"trap","uid":"u"}}}}]],"x",)"
      R"({{"metadata":{{"name":"b","namespace":"ns"}}}},{{"metadata":{{"uid":"u"}}}}],"metadata":{{"resourceVersion":"5"}}}})",
      wire(kThing)));
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_THAT(page->items, testing::ElementsAre(kThing));
  EXPECT_EQ(page->resource_version, "5");
  EXPECT_EQ(page->unreadable.count, 5U);
  EXPECT_THAT(page->unreadable.keys, testing::ElementsAre(ObjectKey{"ns", "b"}));
  EXPECT_TRUE(page->unreadable.unnamed);
  EXPECT_THAT(page->unreadable.problem, HasSubstr("ns/b: "));
}

TYPED_TEST(WatchDecoder, EveryTruncationOfAListFailsCleanly) {
  const std::string whole = fmt::format(
      R"({{"items":[{0},{0}],"metadata":{{"resourceVersion":"50","continue":"tok"}}}})", wire(kThing));
  ASSERT_TRUE(this->list(whole));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    ASSERT_FALSE(this->list(whole.substr(0, length))) << whole.substr(0, length);
  }
}

// What a codec is given.

struct Recorded {
  std::string ns;
  std::string name = "n";
  std::string uid = "u";
  std::string resource_version;
  std::string tokens;
};

struct RecordingCodec {
  using Object = Recorded;
  struct Sax {
    std::string tokens;
    void start_object() { tokens += "{"; }
    void end_object() { tokens += "}"; }
    void start_array() { tokens += "["; }
    void end_array() { tokens += "]"; }
    void key(std::string& name) { tokens += std::exchange(name, {}) + ":"; }  // they may be moved from
    void string(std::string& value) { tokens += "'" + std::exchange(value, {}) + "' "; }
    void integer(std::int64_t value) { tokens += std::to_string(value) + " "; }
    void boolean(bool value) { tokens += value ? "true " : "false "; }
    void null() { tokens += "null "; }
    Recorded take() { return {"", "n", "u", "", tokens}; }
  };
};

TEST(CodecTokens, AreThoseOfTheObjectWithoutManagedFields) {
  const auto line = decode_watch_line<RecordingCodec>(
      R"({"x":{"y":1},"object":{"a":[1,true,null,2.5,[]],"metadata":{"name":"n","managedFields":[{"a":"b"}],)"
      R"("resourceVersion":"8"},"spec":{"managedFields":1}},"type":"ADDED","z":"w"})");
  ASSERT_TRUE(line) << line.error().message;
  const auto& event = std::get<WatchEvent<Recorded>>(*line);
  EXPECT_EQ(event.object.tokens,
            "{a:[1 true null null []]metadata:{name:'n' resourceVersion:'8' }spec:{managedFields:1 }}");
  EXPECT_EQ(event.resource_version, "8") << "noted before the codec moved it away";
}

struct Kept {
  std::string ns;
  std::string name = "n";
  std::string uid;
  std::string resource_version;
};

struct MovingCodec {
  using Object = Kept;
  struct Sax {
    Kept kept;
    void start_object() {}
    void end_object() {}
    void start_array() {}
    void end_array() {}
    void key(std::string&) {}
    void string(std::string& value) { kept.uid = std::move(value); }
    void integer(std::int64_t) {}
    void boolean(bool) {}
    void null() {}
    Kept take() { return std::move(kept); }
  };
};

TEST(CodecTokens, AShortStringAfterALongOneDoesNotHoldItsRoom) {
  const auto line = decode_watch_line<MovingCodec>(fmt::format(
      R"({{"type":"ADDED","object":{{"a":"{}","{}":1,"b":"0b8f3bbd-7f3e-4b8e-a1c5-3d6c0e6f2a11"}}}})",
      std::string(10'000, 'x'), std::string(10'000, 'k')));
  ASSERT_TRUE(line) << line.error().message;
  EXPECT_LE(std::get<WatchEvent<Kept>>(*line).object.uid.capacity(), 128U);
}

TEST(CodecTokens, ManagedFieldsOfAnyShapeAreLeftOut) {
  for (const char* value : {"null", "5", "\"x\"", "{\"a\":{}}", "[[],{}]"}) {
    const auto line = decode_watch_line<RecordingCodec>(fmt::format(
        R"({{"type":"ADDED","object":{{"metadata":{{"managedFields":{},"name":"n"}}}}}})", value));
    ASSERT_TRUE(line) << line.error().message;
    EXPECT_EQ(std::get<WatchEvent<Recorded>>(*line).object.tokens, "{metadata:{name:'n' }}");
  }
}

}  // namespace
}  // namespace poolwarden::kube
