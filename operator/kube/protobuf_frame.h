// What Kubernetes wraps around objects in protobuf: the envelope of one, a list, an event of a watch, a
// Status.
//
// An object travels as four bytes of magic and a runtime.Unknown, which names its kind and holds its message.
// A list is one such object, whose message has the items' messages in it. A frame of a watch is a bare
// meta/v1 WatchEvent, whose object is again magic and Unknown.
//
// Promises, for any bytes: no exception, no crash, no depth, no work beyond one pass over the input; views
// into the input and nothing copied. A field of the wrong wire type is passed over, as one that nobody knows
// is. A length beyond the bytes, a broken number or a group is an Error.
//
// Stateless; any thread. Field numbers: k8s.io/apimachinery v0.36, pkg/runtime/generated.proto and
// pkg/apis/meta/v1/generated.proto; the magic: pkg/runtime/serializer/protobuf/protobuf.go.
#pragma once

#include "kube/result.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace poolwarden::kube {

struct Status;

namespace internal {

// Views: good for as long as the bytes they were read from.
struct ObjectMessage {
  std::string_view kind;     // "Pod", "PodList", "Status"
  std::string_view message;  // as the kind's own .proto describes it
};
Result<ObjectMessage> open_envelope(std::string_view bytes);

// The four of an object's metadata that every kind has in the same place.
struct MessageIdentity {
  std::string ns;
  std::string name;
  std::string uid;
  std::string resource_version;
};
// As much as can be read of it, also when the message breaks off after it.
MessageIdentity identity_of(std::string_view message);

struct ListMessage {
  std::string resource_version;
  std::string continue_token;
};
// `on_item` gets the message of each item. An Error may come after some.
Result<ListMessage> read_list_message(std::string_view body,
                                      const std::function<void(std::string_view)>& on_item);

struct WatchMessage {
  std::string_view type;  // "ADDED"
  ObjectMessage object;
};
Result<WatchMessage> read_watch_message(std::string_view frame);

// Nothing: the message is broken.
std::optional<Status> read_status_message(std::string_view message);

}  // namespace internal
}  // namespace poolwarden::kube
