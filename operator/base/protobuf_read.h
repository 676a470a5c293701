// Reading protobuf that someone else wrote, with protozero: what the readers of kube/ and api/ share.
//
//   each_field(message, [&](pbf_reader& field) {
//     switch (field.tag_and_type()) {
//       case text_field(1): name = text_of(field); break;
//       default: field.skip();
//     }
//   });
//
// A field is known by number and wire type together. A field of another type is passed over like an unknown
// field; protozero would take its bytes for what they are not. Broken bytes throw; is_whole() is where that
// ends. Include in .cpp files only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <protozero/exception.hpp>
#include <protozero/pbf_reader.hpp>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace poolwarden::protobuf {

using protozero::pbf_reader;

// Strings, bytes and messages.
constexpr std::uint32_t text_field(protozero::pbf_tag_type tag) {
  return protozero::tag_and_type(tag, protozero::pbf_wire_type::length_delimited);
}
// Integers and bools.
constexpr std::uint32_t number_field(protozero::pbf_tag_type tag) {
  return protozero::tag_and_type(tag, protozero::pbf_wire_type::varint);
}

inline std::string_view view_of(pbf_reader& field) {
  const protozero::data_view view = field.get_view();
  return {view.data(), view.size()};
}

// `on_field` takes the field's value or skips it.
template <class OnField>
void each_field(std::string_view message, OnField&& on_field) {
  pbf_reader reader{protozero::data_view{message.data(), message.size()}};
  while (reader.next()) on_field(reader);
}

// The same for one field alone: the others are passed over.
template <class OnField>
void each_field_of(std::string_view message, std::uint32_t tag_and_type, OnField&& on_field) {
  each_field(message, [&](pbf_reader& field) {
    if (field.tag_and_type() == tag_and_type) {
      on_field(field);
    } else {
      field.skip();
    }
  });
}

// Runs `read`; false if it came upon broken bytes.
template <class Read>
[[nodiscard]] bool is_whole(Read&& read) {
  try {
    read();
    return true;
  } catch (const protozero::exception&) {
    return false;
  }
}

// A text of the wire as JSON can hold it: what is no UTF-8 becomes U+FFFD, as Go's encoder has it.
inline std::string valid_text(std::string_view text) {
  const bool plain =
      std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (plain) return std::string(text);
  // The library that would refuse to write it as JSON mends it.
  const nlohmann::json raw(text);
  const auto mended = raw.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return nlohmann::json::parse(mended).get<std::string>();
}

inline std::string text_of(pbf_reader& field) {
  return valid_text(view_of(field));
}

}  // namespace poolwarden::protobuf
