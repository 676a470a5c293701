#include "api/protobuf_parts.h"

namespace poolwarden::api {

using protobuf::each_field;
using protobuf::each_field_of;
using protobuf::number_field;
using protobuf::pbf_reader;
using protobuf::text_field;
using protobuf::text_of;
using protobuf::view_of;

std::optional<Timestamp> read_time(std::string_view message) {
  // The nanoseconds are not read: Kubernetes' own readers drop them (pkg/apis/meta/v1/time_proto.go).
  std::optional<Timestamp> out;
  if (!message.empty()) out = from_unix_seconds(0);
  each_field_of(message, number_field(1),
                [&](pbf_reader& time) { out = from_unix_seconds(time.get_int64()); });
  return out;
}

std::optional<Timestamp> read_deletion(std::string_view message) {
  if (message.empty()) return std::nullopt;
  return read_time(message).value_or(Timestamp{});
}

OwnerReference read_owner(std::string_view message) {
  OwnerReference out;
  each_field(message, [&](pbf_reader& owner) {
    switch (owner.tag_and_type()) {
      case text_field(1):
        out.kind = text_of(owner);
        break;
      case text_field(3):
        out.name = text_of(owner);
        break;
      case text_field(4):
        out.uid = text_of(owner);
        break;
      case text_field(5):
        out.api_version = text_of(owner);
        break;
      case number_field(6):
        out.controller = owner.get_bool();
        break;
      default:
        owner.skip();
    }
  });
  return out;
}

LabelSelector read_selector(std::string_view message) {
  LabelSelector out;
  each_field(message, [&](pbf_reader& selector) {
    switch (selector.tag_and_type()) {
      case text_field(1):
        read_entry_into(view_of(selector), out.match_labels);
        break;
      case text_field(2): {
        SelectorRequirement& requirement = out.match_expressions.emplace_back();
        each_field(view_of(selector), [&](pbf_reader& expression) {
          switch (expression.tag_and_type()) {
            case text_field(1):
              requirement.key = text_of(expression);
              break;
            case text_field(2):
              requirement.op = text_of(expression);
              break;
            case text_field(3):
              requirement.values.push_back(text_of(expression));
              break;
            default:
              expression.skip();
          }
        });
        break;
      }
      default:
        selector.skip();
    }
  });
  out.bound();
  return out;
}

std::string read_int_or_string(std::string_view message) {
  std::int64_t type = 0;
  std::int32_t number = 0;
  std::string text;
  each_field(message, [&](pbf_reader& value) {
    switch (value.tag_and_type()) {
      case number_field(1):
        type = value.get_int64();
        break;
      case number_field(2):
        number = value.get_int32();
        break;
      case text_field(3):
        text = text_of(value);
        break;
      default:
        value.skip();
    }
  });
  return type == 1 ? text : std::to_string(number);
}

std::pair<std::string_view, std::string_view> read_entry(std::string_view message) {
  std::pair<std::string_view, std::string_view> out;
  each_field(message, [&](pbf_reader& entry) {
    switch (entry.tag_and_type()) {
      case text_field(1):
        out.first = view_of(entry);
        break;
      case text_field(2):
        out.second = view_of(entry);
        break;
      default:
        entry.skip();
    }
  });
  return out;
}

void read_entry_into(std::string_view message, LabelMap& out) {
  const auto [key, value] = read_entry(message);
  out.insert_or_assign(protobuf::valid_text(key), protobuf::valid_text(value));
}

}  // namespace poolwarden::api
