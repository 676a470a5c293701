// What watch_decoder_test.cpp says of JSON, of protobuf: lists, frames of a watch, single objects, and all
// that can be wrong with their envelopes.
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

using protobuf_wire::envelope;
using protobuf_wire::ListOptions;
using protobuf_wire::watch_event;
using testing::ElementsAre;
using testing::HasSubstr;

const Thing kRed{"ns", "a", "u1", "42", "red", 3};
const Thing kBlue{"ns", "b", "u2", "43", "blue", 4};

auto frame(std::string_view bytes) {
  return decode_watch_frame<WireThingCodec>(bytes);
}
auto list(std::string_view bytes) {
  return decode_list<WireThingCodec>(bytes, Encoding::kProtobuf);
}
auto object(std::string_view bytes) {
  return decode_object<WireThingCodec>(bytes, Encoding::kProtobuf);
}
std::string things(const std::vector<std::string>& messages, const ListOptions& options = {}) {
  return protobuf_wire::list("Thing", messages, options);
}
// Breaks off in the middle of the spec, after the metadata.
std::string half(const Thing& thing) {
  const std::string whole = wire_message(thing);
  return whole.substr(0, whole.size() - 1);
}

std::string status_message(int code, const std::string& reason, const std::string& message,
                           int retry_after = 0) {
  std::string out;
  protozero::pbf_writer status{out};
  status.add_string(2, "Failure");
  status.add_string(3, message);
  status.add_string(4, reason);
  {
    protozero::pbf_writer details{status, 5};
    details.add_int32(5, retry_after);
  }
  status.add_int32(6, code);
  return out;
}

TEST(ProtobufDecoder, EventsOfEachType) {
  const std::pair<const char*, WatchEventType> rows[] = {{"ADDED", WatchEventType::kAdded},
                                                         {"MODIFIED", WatchEventType::kModified},
                                                         {"DELETED", WatchEventType::kDeleted}};
  for (const auto& [type, expected] : rows) {
    SCOPED_TRACE(type);
    const auto line = frame(wire_frame(type, kRed));
    ASSERT_TRUE(line) << line.error().message;
    const auto& event = std::get<WatchEvent<Thing>>(*line);
    EXPECT_EQ(event.type, expected);
    EXPECT_EQ(event.object, kRed);
    EXPECT_EQ(event.resource_version, "42");
  }
}

TEST(ProtobufDecoder, ABookmarkNeedsItsVersionOnly) {
  const auto line = frame(wire_frame("BOOKMARK", {"", "", "", "99", "", 0}));
  ASSERT_TRUE(line) << line.error().message;
  EXPECT_EQ(std::get<WatchEvent<Thing>>(*line).type, WatchEventType::kBookmark);
  EXPECT_EQ(std::get<WatchEvent<Thing>>(*line).resource_version, "99");
}

TEST(ProtobufDecoder, AnErrorEventGivesTheStatusItCarries) {
  const auto line =
      frame(watch_event("ERROR", envelope("Status", status_message(410, "Expired", "too old: 1 (2)", 3))));
  ASSERT_TRUE(line) << line.error().message;
  const auto& failure = std::get<WatchFailure>(*line);
  EXPECT_EQ(failure.code, 410);
  EXPECT_EQ(failure.reason, "Expired");
  EXPECT_EQ(failure.message, "too old: 1 (2)");
  EXPECT_EQ(failure.retry_after, std::chrono::seconds(3));
}

TEST(ProtobufDecoder, AnErrorEventOfTheWrongShapeIsStillAFailure) {
  for (const std::string& what :
       {envelope("Status", "\x3a\xff"), envelope("Thing", wire_message(kRed)), envelope("Status", "")}) {
    const auto line = frame(watch_event("ERROR", what));
    ASSERT_TRUE(line);
    EXPECT_EQ(std::get<WatchFailure>(*line).code, 0);
  }
}

struct BrokenBytes {
  const char* situation;
  std::string bytes;
  const char* says;
};

TEST(ProtobufDecoder, BrokenFrames) {
  const std::string whole = envelope("Thing", wire_message(kRed));
  const BrokenBytes rows[] = {
      {"nothing", "", "no object"},
      {"JSON", wire_event("ADDED", kRed), "broken"},
      {"no object", watch_event("ADDED", "").substr(0, 7), "no object"},
      {"an empty object", watch_event("ADDED", ""), "k8s"},
      {"an object without its magic", watch_event("ADDED", whole.substr(4)), "k8s"},
      {"an object in JSON", watch_event("ADDED", wire(kRed)), "k8s"},
      {"an envelope that breaks off", watch_event("ADDED", whole.substr(0, whole.size() - 9)), "envelope"},
      {"an unknown type", watch_event("SYNC", whole), "SYNC"},
      {"no type", watch_event("", whole), "type"},
      {"a type that is no text", watch_event("\xff\xfe", whole), "type"},
      {"a length beyond the frame",
       "\x0a\x7f"
       "ADDED",
       "broken"},
      {"a length of all bits", std::string("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "broken"},
      {"a group", "\x0b\x0c", "broken"},
      {"a tag of nought", std::string("\x02\x00", 2), "broken"},
  };
  for (const BrokenBytes& row : rows) {
    SCOPED_TRACE(row.situation);
    const auto line = frame(row.bytes);
    ASSERT_FALSE(line);
    EXPECT_EQ(line.error().cls, ErrorClass::kTerminal);
    EXPECT_THAT(line.error().message, HasSubstr(row.says));
    EXPECT_LT(line.error().message.size(), 300U);
  }
}

TEST(ProtobufDecoder, EveryTruncationFailsCleanly) {
  const std::string whole = wire_frame("ADDED", kRed);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    ASSERT_FALSE(frame(whole.substr(0, length))) << length;
  }
  const std::string page = things({wire_message(kRed), wire_message(kBlue)});
  for (std::size_t length = 0; length + 4 < page.size(); ++length) {
    ASSERT_FALSE(list(page.substr(0, length))) << length;
  }
}

TEST(ProtobufDecoder, AnyByteMayBeWrong) {
  const std::string event = wire_frame("ADDED", kRed);
  const std::string page = things({wire_message(kRed), wire_message(kBlue)});
  for (int value = 0; value < 256; value += 3) {
    for (std::size_t at = 0; at < std::max(event.size(), page.size()); ++at) {
      std::string broken = event;
      if (at < event.size()) broken[at] = static_cast<char>(value);
      const auto line = frame(broken);
      if (line && std::holds_alternative<WatchEvent<Thing>>(*line) &&
          std::get<WatchEvent<Thing>>(*line).type != WatchEventType::kBookmark) {
        ASSERT_FALSE(std::get<WatchEvent<Thing>>(*line).object.uid.empty());
      }
      broken = page;
      if (at < page.size()) broken[at] = static_cast<char>(value);
      const auto read = list(broken);
      if (read.has_value()) {
        ASSERT_LE(read->items.size() + read->unreadable.count, 9U);
      }
    }
  }
}

// An object that cannot be read costs itself.

TEST(ProtobufDecoder, AnEventOfABrokenObjectNamesItAndGoesOn) {
  const auto line = frame(watch_event("MODIFIED", envelope("Thing", half(kRed))));
  ASSERT_TRUE(line) << line.error().message;
  const auto& unreadable = std::get<UnreadableEvent>(*line);
  EXPECT_EQ(unreadable.key, (ObjectKey{"ns", "a"}));
  EXPECT_EQ(unreadable.resource_version, "42");
  EXPECT_THAT(unreadable.problem, HasSubstr("broken"));
}

TEST(ProtobufDecoder, ThatABrokenObjectIsGoneIsUnderstood) {
  const auto line = frame(watch_event("DELETED", envelope("Thing", half(kRed))));
  ASSERT_TRUE(line) << line.error().message;
  const auto& event = std::get<WatchEvent<Thing>>(*line);
  EXPECT_EQ(event.type, WatchEventType::kDeleted);
  EXPECT_EQ(event.object.uid, "u1");
  EXPECT_EQ(event.object.name, "a");
}

TEST(ProtobufDecoder, ANamelessObjectIsUnreadable) {
  const auto line = frame(wire_frame("ADDED", {"ns", "", "u", "5", "", 0}));
  ASSERT_TRUE(line);
  EXPECT_THAT(std::get<UnreadableEvent>(*line).problem, HasSubstr("metadata.name"));
  EXPECT_EQ(std::get<UnreadableEvent>(*line).resource_version, "5");
}

TEST(ProtobufDecoder, AListPage) {
  const auto page = list(things({wire_message(kRed), wire_message(kBlue)}, {"50", "tok", 7}));
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_THAT(page->items, ElementsAre(kRed, kBlue));
  EXPECT_EQ(page->resource_version, "50");
  EXPECT_EQ(page->continue_token, "tok");
  EXPECT_TRUE(page->unreadable.empty());
}

TEST(ProtobufDecoder, AnEmptyList) {
  const auto page = list(things({}));
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_TRUE(page->items.empty());
}

TEST(ProtobufDecoder, BrokenItemsAreCountedAndNamed) {
  const auto page = list(things({half(kRed), wire_message(kBlue), "", "\xff\xff"}));
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_THAT(page->items, ElementsAre(kBlue));
  EXPECT_EQ(page->unreadable.count, 3U);
  EXPECT_THAT(page->unreadable.problem, HasSubstr("ns/a: "));
  EXPECT_TRUE(page->unreadable.keys.contains({"ns", "a"}));
  EXPECT_TRUE(page->unreadable.unnamed);
}

TEST(ProtobufDecoder, BrokenLists) {
  const std::string message = wire_message(kRed);
  const BrokenBytes rows[] = {
      {"nothing", "", "k8s"},
      {"JSON", R"({"metadata":{"resourceVersion":"5"},"items":[]})", "k8s"},
      {"the magic alone", std::string("k8s\0", 4), "kind"},
      {"other magic", "k9s" + things({message}).substr(3), "k8s"},
      {"an object is no empty list", envelope("Thing", message), "kind is \"Thing\""},
      {"a Status is no empty list", envelope("Status", status_message(200, "", "")), "Status"},
      {"no version", things({message}, {"", "", 0}), "resourceVersion"},
      {"an item beyond the list", envelope("ThingList", "\x12\x7fx"), "broken"},
      {"compressed", things({message}) + "\x1a\x04gzip", "contentEncoding"},
  };
  for (const BrokenBytes& row : rows) {
    SCOPED_TRACE(row.situation);
    const auto page = list(row.bytes);
    ASSERT_FALSE(page);
    EXPECT_THAT(page.error().message, HasSubstr(row.says));
  }
}

TEST(ProtobufDecoder, OneObjectAlone) {
  const auto whole = object(envelope("Thing", wire_message(kRed)));
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(*whole, kRed);
  const BrokenBytes rows[] = {
      {"nothing", "", "k8s"},
      {"broken", envelope("Thing", half(kRed)), "broken"},
      {"no name", envelope("Thing", wire_message({"ns", "", "u", "1", "", 0})), "metadata.name"},
      {"a Status", envelope("Status", status_message(200, "", "")), "Status"},
  };
  for (const BrokenBytes& row : rows) {
    SCOPED_TRACE(row.situation);
    const auto read = object(row.bytes);
    ASSERT_FALSE(read);
    EXPECT_THAT(read.error().message, HasSubstr(row.says));
  }
}

TEST(ProtobufDecoder, AKindWithoutProtobufSaysSo) {
  const auto page = decode_list<SaxThingCodec>(things({}), Encoding::kProtobuf);
  ASSERT_FALSE(page);
  EXPECT_THAT(page.error().message, HasSubstr("protobuf"));
  EXPECT_FALSE(decode_watch_frame<DomThingCodec>(wire_frame("ADDED", kRed)));
  EXPECT_FALSE(decode_object<DomThingCodec>(envelope("Thing", ""), Encoding::kProtobuf));
}

TEST(Encoding, ByMediaType) {
  for (const char* type : {"application/vnd.kubernetes.protobuf", "Application/VND.Kubernetes.Protobuf ",
                           "application/vnd.kubernetes.protobuf;stream=watch",
                           "application/vnd.kubernetes.protobuf ; charset=x"}) {
    EXPECT_EQ(encoding_of(type), Encoding::kProtobuf) << type;
  }
  for (const char* type :
       {"", "application/json", "application/json;stream=watch", "text/plain",
        "application/vnd.kubernetes.protobuf2", "text/html; application/vnd.kubernetes.protobuf"}) {
    EXPECT_EQ(encoding_of(type), Encoding::kJson) << type;
  }
}

}  // namespace
}  // namespace poolwarden::kube
