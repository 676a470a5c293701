// From the bytes of a list page or a watch line to typed objects.
//
// Promises, for any bytes: no exception, no crash, bounded depth (kMaxDepth), and no work beyond one pass
// over the input. What cannot be read is an Error that says where and what, without quoting the input.
// Keys may come in any order. Objects are decoded one by one, so a page costs its objects and not its
// document; managedFields never reaches a codec. An object without a name or a UID is an error: nothing
// could be done with it.
//
// Stateless; any thread.
// https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
#pragma once

#include "kube/json_sink.h"
#include "kube/result.h"

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
  std::optional<std::int64_t> remaining;
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

template <class Object>
using WatchLine = std::variant<WatchEvent<Object>, WatchFailure>;

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
  std::optional<std::int64_t> remaining;
};

Result<WatchEnvelope> read_watch_line(std::string_view line, JsonSink& object);
Result<ListEnvelope> read_list(std::string_view body, JsonSink& objects);
std::optional<Error> read_object(std::string_view body, JsonSink& object);
Error nameless(std::string_view where);

template <class Codec>
class ItemSink final : public CodecSink<Codec> {
 public:
  void done() override { items.push_back(this->take()); }
  std::vector<typename Codec::Object> items;
};

}  // namespace internal

template <class Codec>
Result<ListPage<typename Codec::Object>> decode_list(std::string_view body) {
  internal::ItemSink<Codec> sink;
  auto envelope = internal::read_list(body, sink);
  if (!envelope) return tl::unexpected(std::move(envelope.error()));
  for (const auto& item : sink.items) {
    if (item.name.empty() || item.uid.empty())
      return tl::unexpected(internal::nameless("an item of the list"));
  }
  return ListPage<typename Codec::Object>{std::move(sink.items), std::move(envelope->resource_version),
                                          std::move(envelope->continue_token), envelope->remaining};
}

template <class Codec>
Result<WatchLine<typename Codec::Object>> decode_watch_line(std::string_view line) {
  using Object = typename Codec::Object;
  CodecSink<Codec> sink;
  auto envelope = internal::read_watch_line(line, sink);
  if (!envelope) return tl::unexpected(std::move(envelope.error()));
  if (envelope->type == internal::WatchLineType::kError) return std::move(envelope->failure);
  WatchEvent<Object> event;
  event.type = static_cast<WatchEventType>(envelope->type);
  event.resource_version = std::move(envelope->resource_version);
  if (event.type != WatchEventType::kBookmark) {
    event.object = sink.take();
    if (event.object.name.empty() || event.object.uid.empty()) {
      return tl::unexpected(internal::nameless("the object of the watch event"));
    }
  }
  return event;
}

// One object alone, as a get or a write answers it.
template <class Codec>
Result<typename Codec::Object> decode_object(std::string_view body) {
  CodecSink<Codec> sink;
  if (auto problem = internal::read_object(body, sink)) return tl::unexpected(std::move(*problem));
  typename Codec::Object object = sink.take();
  if (object.name.empty() || object.uid.empty()) return tl::unexpected(internal::nameless("the object"));
  return object;
}

}  // namespace poolwarden::kube
