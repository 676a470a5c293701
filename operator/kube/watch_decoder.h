// From the bytes of a list page, a watch event or one object to typed objects, in JSON or protobuf.
//
// Promises, for any bytes: no exception, no crash, no work beyond one pass over the input, and no more memory
// than what is kept of it. What cannot be read is an Error that says where and what, without quoting the
// input. An object that cannot be read, or has no name or no UID, costs itself only: it is counted, and the
// list or the watch goes on (unreadable.h). Objects are decoded one by one, so a page costs its objects and
// not its document. In JSON keys may come in any order; managedFields never reaches a codec, and what is
// nested deeper than kMaxDepth reads as null.
//
// Stateless; any thread.
// https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
#pragma once

#include "kube/codec.h"
#include "kube/encoding.h"
#include "kube/json_sink.h"
#include "kube/protobuf_frame.h"
#include "kube/result.h"
#include "kube/unreadable.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace poolwarden::kube {

inline constexpr std::size_t kMaxDepth = 64;

template <class Object>
struct ListPage {
  std::vector<Object> items;
  std::string resource_version;  // of the whole list: every page has the same; never empty
  std::string continue_token;    // empty on the last page
  Unreadable unreadable{};       // items that are not among `items`
  std::size_t bytes = 0;         // of the answer; set by whoever received it
};

enum class WatchEventType : std::uint8_t { kAdded, kModified, kDeleted, kBookmark };

template <class Object>
struct WatchEvent {
  WatchEventType type = WatchEventType::kAdded;
  Object object{};               // a bookmark has none
  std::string resource_version;  // where a watch that goes on after this event starts
};

// An ERROR event: the fields of the Status object it carries.
struct WatchFailure {
  int code = 0;
  std::string reason;
  std::string message;
  std::optional<std::chrono::seconds> retry_after;
};

// An event whose object cannot be read: all that is known is that something happened to it.
struct UnreadableEvent {
  ObjectKey key;  // its name is empty if it cannot be read either
  std::string problem;
  std::string resource_version;  // where a watch that goes on after this event starts; may be empty
};

template <class Object>
using WatchLine = std::variant<WatchEvent<Object>, WatchFailure, UnreadableEvent>;

namespace internal {

enum class WatchLineType : std::uint8_t { kAdded, kModified, kDeleted, kBookmark, kError };

struct WatchEnvelope {
  WatchLineType type = WatchLineType::kError;
  std::string resource_version;
  WatchFailure failure;
};

struct ListEnvelope {
  std::string resource_version;
  std::string continue_token;
  std::size_t odd_items = 0;  // that are no objects
};

struct WatchFrame {
  WatchLineType type = WatchLineType::kError;
  std::string_view object;  // its message; of an ERROR, `failure` says what is in it
  WatchFailure failure;
};

Result<WatchEnvelope> read_watch_line(std::string_view line, JsonSink& object);
Result<WatchFrame> read_watch_frame(std::string_view frame);
Result<ListEnvelope> read_list(std::string_view body, JsonSink& objects);
std::optional<Error> read_object(std::string_view body, JsonSink& object);
Result<std::string_view> read_object_message(std::string_view body);
Error nameless(std::string_view where);
Error broken(std::string_view what);
Error not_asked_for();

template <KubeObject Object>
bool is_named(const Object& object) {
  return !object.name.empty() && !object.uid.empty();
}

template <KubeObject Object>
ObjectKey key_of(const Object& object) {
  return {std::string(object.ns), std::string(object.name)};
}

// Gathers the items of a list, and what is wrong with the others.
template <ObjectCodec Codec>
class ItemSink final : public CodecSink<Codec> {
 public:
  void done() override { add(this->take()); }
  void add(typename Codec::Object item) {
    if (is_named(item)) {
      items.push_back(std::move(item));
    } else {
      unreadable.add(key_of(item), nameless("an item of the list").message);
    }
  }

  std::vector<typename Codec::Object> items;
  Unreadable unreadable;
};

template <ObjectCodec Codec>
Result<ListPage<typename Codec::Object>> decode_json_list(std::string_view body) {
  ItemSink<Codec> sink;
  auto envelope = read_list(body, sink);
  if (!envelope) return tl::unexpected(std::move(envelope.error()));
  for (std::size_t i = 0; i < envelope->odd_items; ++i)
    sink.unreadable.add({}, "an item of the list is not an object");
  return ListPage<typename Codec::Object>{std::move(sink.items), std::move(envelope->resource_version),
                                          std::move(envelope->continue_token), std::move(sink.unreadable)};
}

template <ProtobufCodec Codec>
Result<ListPage<typename Codec::Object>> decode_protobuf_list(std::string_view body) {
  ItemSink<Codec> sink;
  auto list = read_list_message(body, [&](std::string_view message) {
    if (auto item = Codec::from_protobuf(message)) {
      sink.add(std::move(*item));
    } else {
      MessageIdentity identity = identity_of(message);
      sink.unreadable.add({std::move(identity.ns), std::move(identity.name)},
                          broken("an item of the list").message);
    }
  });
  if (!list) return tl::unexpected(std::move(list.error()));
  return ListPage<typename Codec::Object>{std::move(sink.items), std::move(list->resource_version),
                                          std::move(list->continue_token), std::move(sink.unreadable)};
}

// What to make of an event's object, once it was read.
template <KubeObject Object>
WatchLine<Object> event_of(WatchLineType type, Object object, std::string resource_version) {
  if (!is_named(object)) {
    return UnreadableEvent{key_of(object), nameless("the object of the watch event").message,
                           std::move(resource_version)};
  }
  return WatchEvent<Object>{static_cast<WatchEventType>(type), std::move(object),
                            std::move(resource_version)};
}

}  // namespace internal

template <ObjectCodec Codec>
Result<ListPage<typename Codec::Object>> decode_list(std::string_view body,
                                                     Encoding encoding = Encoding::kJson) {
  if (encoding == Encoding::kJson) return internal::decode_json_list<Codec>(body);
  if constexpr (ProtobufCodec<Codec>) {
    return internal::decode_protobuf_list<Codec>(body);
  } else {
    return tl::unexpected(internal::not_asked_for());
  }
}

// One line of a watch in JSON.
template <ObjectCodec Codec>
Result<WatchLine<typename Codec::Object>> decode_watch_line(std::string_view line) {
  using Object = typename Codec::Object;
  CodecSink<Codec> sink;
  auto envelope = internal::read_watch_line(line, sink);
  if (!envelope) return tl::unexpected(std::move(envelope.error()));
  if (envelope->type == internal::WatchLineType::kError) return std::move(envelope->failure);
  if (envelope->type == internal::WatchLineType::kBookmark) {
    return WatchEvent<Object>{WatchEventType::kBookmark, {}, std::move(envelope->resource_version)};
  }
  return internal::event_of(envelope->type, sink.take(), std::move(envelope->resource_version));
}

// One frame of a watch in protobuf, without its length.
template <ObjectCodec Codec>
Result<WatchLine<typename Codec::Object>> decode_watch_frame(std::string_view frame) {
  using Object = typename Codec::Object;
  if constexpr (ProtobufCodec<Codec>) {
    auto event = internal::read_watch_frame(frame);
    if (!event) return tl::unexpected(std::move(event.error()));
    if (event->type == internal::WatchLineType::kError) return std::move(event->failure);
    if (event->type != internal::WatchLineType::kBookmark) {
      if (auto object = Codec::from_protobuf(event->object)) {
        std::string version{object->resource_version};
        return internal::event_of(event->type, std::move(*object), std::move(version));
      }
    }
    internal::MessageIdentity identity = internal::identity_of(event->object);
    if (event->type == internal::WatchLineType::kBookmark) {
      return WatchEvent<Object>{WatchEventType::kBookmark, {}, std::move(identity.resource_version)};
    }
    // That it has gone needs no more than who it was.
    if (event->type == internal::WatchLineType::kDeleted && internal::is_named(identity)) {
      WatchEvent<Object> gone{WatchEventType::kDeleted, {}, std::move(identity.resource_version)};
      gone.object.ns = std::move(identity.ns);
      gone.object.name = std::move(identity.name);
      gone.object.uid = std::move(identity.uid);
      return gone;
    }
    return UnreadableEvent{{std::move(identity.ns), std::move(identity.name)},
                           internal::broken("the object of the watch event").message,
                           std::move(identity.resource_version)};
  } else {
    return tl::unexpected(internal::not_asked_for());
  }
}

// One object alone, as a get or a write answers it.
template <ObjectCodec Codec>
Result<typename Codec::Object> decode_object(std::string_view body, Encoding encoding = Encoding::kJson) {
  typename Codec::Object object;
  if (encoding == Encoding::kJson) {
    CodecSink<Codec> sink;
    if (auto problem = internal::read_object(body, sink)) return tl::unexpected(std::move(*problem));
    object = sink.take();
  } else {
    if constexpr (ProtobufCodec<Codec>) {
      const auto message = internal::read_object_message(body);
      if (!message) return tl::unexpected(message.error());
      auto read = Codec::from_protobuf(*message);
      if (!read) return tl::unexpected(internal::broken("the object"));
      object = std::move(*read);
    } else {
      return tl::unexpected(internal::not_asked_for());
    }
  }
  if (!internal::is_named(object)) return tl::unexpected(internal::nameless("the object"));
  return object;
}

}  // namespace poolwarden::kube
