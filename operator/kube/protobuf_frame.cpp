#include "kube/protobuf_frame.h"

#include "base/protobuf_read.h"
#include "kube/retry_after.h"
#include "kube/status.h"

#include <utility>

#include <fmt/format.h>

namespace poolwarden::kube::internal {
namespace {

using protobuf::each_field;
using protobuf::each_field_of;
using protobuf::is_whole;
using protobuf::number_field;
using protobuf::pbf_reader;
using protobuf::text_field;
using protobuf::text_of;
using protobuf::valid_text;
using protobuf::view_of;

constexpr std::string_view kMagic{"k8s\0", 4};
constexpr std::size_t kMaxCauses = 100;

Error broken_frame(std::string message) {
  return Error{ErrorClass::kTerminal, 0, "Unreadable", std::move(message), std::nullopt};
}

void read_list_metadata(std::string_view message, ListMessage& out) {
  each_field(message, [&](pbf_reader& metadata) {
    switch (metadata.tag_and_type()) {
      case text_field(2):
        out.resource_version = text_of(metadata);
        break;
      case text_field(3):
        out.continue_token = text_of(metadata);
        break;
      default:
        metadata.skip();
    }
  });
}

void read_object_metadata(std::string_view message, MessageIdentity& out) {
  each_field(message, [&](pbf_reader& metadata) {
    switch (metadata.tag_and_type()) {
      case text_field(1):
        out.name = text_of(metadata);
        break;
      case text_field(3):
        out.ns = text_of(metadata);
        break;
      case text_field(5):
        out.uid = text_of(metadata);
        break;
      case text_field(6):
        out.resource_version = text_of(metadata);
        break;
      default:
        metadata.skip();
    }
  });
}

StatusCause read_cause(std::string_view message) {
  StatusCause out;
  each_field(message, [&](pbf_reader& cause) {
    switch (cause.tag_and_type()) {
      case text_field(1):
        out.reason = text_of(cause);
        break;
      case text_field(2):
        out.message = text_of(cause);
        break;
      case text_field(3):
        out.field = text_of(cause);
        break;
      default:
        cause.skip();
    }
  });
  return out;
}

void read_details(std::string_view message, Status& out) {
  each_field(message, [&](pbf_reader& details) {
    switch (details.tag_and_type()) {
      case text_field(4):
        if (out.causes.size() < kMaxCauses) {
          out.causes.push_back(read_cause(view_of(details)));
        } else {
          details.skip();
        }
        break;
      case number_field(5):
        // Always there in protobuf; in JSON left out when it is nought.
        if (const auto seconds = details.get_int32(); seconds > 0) {
          out.retry_after = bounded_retry_after(static_cast<std::uint64_t>(seconds));
        }
        break;
      default:
        details.skip();
    }
  });
}

void read_status(std::string_view message, Status& out) {
  each_field(message, [&](pbf_reader& status) {
    switch (status.tag_and_type()) {
      case text_field(3):
        out.message = text_of(status);
        break;
      case text_field(4):
        out.reason = text_of(status);
        break;
      case text_field(5):
        read_details(view_of(status), out);
        break;
      case number_field(6):
        if (const auto code = status.get_int32(); code > 0 && code < 1000) out.code = code;
        break;
      default:
        status.skip();
    }
  });
}

}  // namespace

Result<ObjectMessage> open_envelope(std::string_view bytes) {
  if (!bytes.starts_with(kMagic)) {
    return tl::unexpected(
        broken_frame("it is said to be protobuf and does not begin with Kubernetes' \"k8s\\0\""));
  }
  bytes.remove_prefix(kMagic.size());
  ObjectMessage out;
  bool encoded = false;
  const bool whole = is_whole([&] {
    each_field(bytes, [&](pbf_reader& unknown) {
      switch (unknown.tag_and_type()) {
        case text_field(1):
          each_field_of(view_of(unknown), text_field(2), [&](pbf_reader& type) { out.kind = view_of(type); });
          break;
        case text_field(2):
          out.message = view_of(unknown);
          break;
        case text_field(3):
          encoded = encoded || !view_of(unknown).empty();
          break;
        default:
          unknown.skip();
      }
    });
  });
  if (!whole) return tl::unexpected(broken_frame("its protobuf envelope is broken"));
  if (encoded)
    return tl::unexpected(
        broken_frame("its protobuf envelope has a contentEncoding, which nobody asked for"));
  return out;
}

MessageIdentity identity_of(std::string_view message) {
  MessageIdentity out;
  [[maybe_unused]] const bool whole = is_whole([&] {
    each_field_of(message, text_field(1),
                  [&](pbf_reader& object) { read_object_metadata(view_of(object), out); });
  });
  return out;
}

Result<ListMessage> read_list_message(std::string_view body,
                                      const std::function<void(std::string_view)>& on_item) {
  const auto envelope = open_envelope(body);
  if (!envelope) return tl::unexpected(broken_frame("the list cannot be read: " + envelope.error().message));
  // Taking any other document for an empty list would delete the world.
  if (!envelope->kind.ends_with("List")) {
    return tl::unexpected(broken_frame(fmt::format("the answer is not a list: its kind is \"{:.40}\"",
                                                   valid_text(envelope->kind.substr(0, 40)))));
  }
  ListMessage out;
  const bool whole = is_whole([&] {
    each_field(envelope->message, [&](pbf_reader& list) {
      switch (list.tag_and_type()) {
        case text_field(1):
          read_list_metadata(view_of(list), out);
          break;
        case text_field(2):
          on_item(view_of(list));
          break;
        default:
          list.skip();
      }
    });
  });
  if (!whole) return tl::unexpected(broken_frame("the list cannot be read: its protobuf is broken"));
  if (out.resource_version.empty()) {
    return tl::unexpected(
        broken_frame("the list has no metadata.resourceVersion, so no watch can follow it"));
  }
  return out;
}

Result<WatchMessage> read_watch_message(std::string_view frame) {
  std::string_view type;
  std::optional<std::string_view> raw;
  const bool whole = is_whole([&] {
    each_field(frame, [&](pbf_reader& event) {
      switch (event.tag_and_type()) {
        case text_field(1):
          type = view_of(event);
          break;
        case text_field(2):
          each_field_of(view_of(event), text_field(1),
                        [&](pbf_reader& extension) { raw = view_of(extension); });
          break;
        default:
          event.skip();
      }
    });
  });
  if (!whole) return tl::unexpected(broken_frame("a watch event cannot be read: its protobuf is broken"));
  if (!raw) return tl::unexpected(broken_frame("a watch event has no object"));
  auto object = open_envelope(*raw);
  if (!object) {
    return tl::unexpected(
        broken_frame("the object of a watch event cannot be read: " + object.error().message));
  }
  return WatchMessage{type, *object};
}

std::optional<Status> read_status_message(std::string_view message) {
  Status out;
  if (!is_whole([&] { read_status(message, out); })) return std::nullopt;
  return out;
}

}  // namespace poolwarden::kube::internal
