// The parts of Kubernetes' messages that several kinds have, read from protobuf. For the readers in api/
// only.
//
// Field numbers are those of v0.36: k8s.io/apimachinery pkg/apis/meta/v1/generated.proto (ObjectMeta,
// OwnerReference, LabelSelector, Time) and pkg/util/intstr/generated.proto (IntOrString).
#pragma once

#include "api/meta.h"
#include "base/protobuf_read.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace poolwarden::api {

// A Time with nothing in it stands for none. Nothing also for one that no Timestamp can hold.
std::optional<Timestamp> read_time(std::string_view message);
// A deletionTimestamp that cannot be read still means that the object is going; an empty one is none.
std::optional<Timestamp> read_deletion(std::string_view message);
OwnerReference read_owner(std::string_view message);
LabelSelector read_selector(std::string_view message);
// An int-or-string, as text.
std::string read_int_or_string(std::string_view message);
// An entry of a map of texts. Views: of the message.
std::pair<std::string_view, std::string_view> read_entry(std::string_view message);
void read_entry_into(std::string_view message, LabelMap& out);

// Fields of ObjectMeta.
inline constexpr std::uint32_t kMetaLabel = protobuf::text_field(11);
inline constexpr std::uint32_t kMetaAnnotation = protobuf::text_field(12);
inline constexpr std::uint32_t kMetaOwner = protobuf::text_field(13);
inline constexpr std::uint32_t kMetaFinalizer = protobuf::text_field(14);

// Every kind has metadata, spec and status (a ConfigMap data) as its fields 1, 2 and 3: each is read into
// `out`. False if the message is broken; then `out` is of no use.
template <class Draft, class ReadMetadata, class ReadSecond, class ReadThird>
bool read_parts(std::string_view message, Draft& out, ReadMetadata read_metadata, ReadSecond read_second,
                ReadThird read_third) {
  return protobuf::is_whole([&] {
    protobuf::each_field(message, [&](protobuf::pbf_reader& part) {
      switch (part.tag_and_type()) {
        case protobuf::text_field(1):
          read_metadata(protobuf::view_of(part), out);
          break;
        case protobuf::text_field(2):
          read_second(protobuf::view_of(part), out);
          break;
        case protobuf::text_field(3):
          read_third(protobuf::view_of(part), out);
          break;
        default:
          part.skip();
      }
    });
  });
}

// Reads what every kind is asked for; the rest goes to `on_field`, which takes it or skips it.
template <class OnField>
void each_metadata_field(std::string_view message, Identity& out, bool& deleting, OnField&& on_field) {
  protobuf::each_field(message, [&](protobuf::pbf_reader& field) {
    switch (field.tag_and_type()) {
      case protobuf::text_field(1):
        out.name = protobuf::text_of(field);
        break;
      case protobuf::text_field(3):
        out.ns = protobuf::text_of(field);
        break;
      case protobuf::text_field(5):
        out.uid = protobuf::text_of(field);
        break;
      case protobuf::text_field(6):
        out.resource_version = protobuf::text_of(field);
        break;
      case protobuf::text_field(9):
        deleting = read_deletion(protobuf::view_of(field)).has_value();
        break;
      default:
        on_field(field);
    }
  });
}

// Of kinds of whose metadata nothing else is asked.
template <class Object>
void read_plain_metadata(std::string_view message, Object& out) {
  bool deleting = false;
  each_metadata_field(message, out, deleting, [](protobuf::pbf_reader& field) { field.skip(); });
  if constexpr (requires { out.deleting; }) out.deleting = deleting;
}

// Nothing if the message is broken.
template <class Object, class ReadMetadata, class ReadSecond, class ReadThird>
std::optional<Object> read_object(std::string_view message, ReadMetadata read_metadata,
                                  ReadSecond read_second, ReadThird read_third) {
  Object out;
  // A selector that is not there is not one that selects everything.
  if constexpr (requires { out.selector.absent; }) out.selector.absent = true;
  if (!read_parts(message, out, read_metadata, read_second, read_third)) return std::nullopt;
  return out;
}

}  // namespace poolwarden::api
