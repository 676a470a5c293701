// A small kind of object for the tests of the cache, with a codec of either sort, and its wire form.
#pragma once

#include "base/protobuf_read.h"
#include "kube/time.h"
#include "support/protobuf/envelope.h"

#include <cstdint>
#include <optional>
#include <ostream>
#include <protozero/pbf_writer.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::kube {

struct Thing {
  std::string ns;
  std::string name;
  std::string uid;
  std::string resource_version;
  std::string color;       // spec.color
  std::int64_t count = 0;  // spec.count

  bool operator==(const Thing&) const = default;
};

inline void PrintTo(const Thing& thing, std::ostream* out) {
  *out << fmt::format("{}/{} uid={} rv={} color={} count={}", thing.ns, thing.name, thing.uid,
                      thing.resource_version, thing.color, thing.count);
}

struct DomThingCodec {
  using Object = Thing;
  static Thing from_json(const nlohmann::json& object) {
    const auto text = [&](std::string_view part, std::string_view key) -> std::string {
      const auto in = object.find(part);
      if (in == object.end() || !in->is_object()) return {};
      const auto at = in->find(key);
      return at != in->end() && at->is_string() ? at->get<std::string>() : std::string();
    };
    Thing thing{text("metadata", "namespace"), text("metadata", "name"), text("metadata", "uid"),
                text("metadata", "resourceVersion"), text("spec", "color")};
    if (const auto spec = object.find("spec"); spec != object.end() && spec->is_object()) {
      if (const auto at = spec->find("count"); at != spec->end() && at->is_number_integer()) {
        thing.count = at->get<std::int64_t>();
      }
    }
    return thing;
  }
};

class ThingSax {
 public:
  void start_object() { open(true); }
  void end_object() { close(); }
  void start_array() { open(false); }
  void end_array() { close(); }
  void key(std::string& name) { path_.back() = name; }
  void string(std::string& value) {
    if (path_.size() != 2) return;
    if (at("metadata", "namespace")) thing_.ns = value;
    if (at("metadata", "name")) thing_.name = value;
    if (at("metadata", "uid")) thing_.uid = value;
    if (at("metadata", "resourceVersion")) thing_.resource_version = value;
    if (at("spec", "color")) thing_.color = value;
  }
  void integer(std::int64_t value) {
    if (path_.size() == 2 && at("spec", "count")) thing_.count = value;
  }
  void boolean(bool) {}
  void null() {}
  Thing take() { return std::move(thing_); }

 private:
  void open(bool is_object) { path_.emplace_back(is_object ? "" : "[]"); }
  void close() { path_.pop_back(); }
  bool at(std::string_view part, std::string_view key) const { return path_[0] == part && path_[1] == key; }

  std::vector<std::string> path_;
  Thing thing_;
};

struct SaxThingCodec {
  using Object = Thing;
  using Sax = ThingSax;
};

// The same kind as one that is built into Kubernetes: metadata = 1, spec = 2 {color = 1, count = 2}.
struct WireThingCodec : SaxThingCodec {
  static std::optional<Thing> from_protobuf(std::string_view message) {
    using namespace protobuf;
    Thing out;
    const bool whole = is_whole([&] {
      each_field(message, [&](pbf_reader& part) {
        const bool is_metadata = part.tag_and_type() == text_field(1);
        if (!is_metadata && part.tag_and_type() != text_field(2)) return part.skip();
        each_field(view_of(part), [&](pbf_reader& field) {
          const auto is = [&](bool metadata, std::uint32_t tag) {
            return metadata == is_metadata && field.tag_and_type() == tag;
          };
          if (is(true, text_field(1))) {
            out.name = text_of(field);
          } else if (is(true, text_field(3))) {
            out.ns = text_of(field);
          } else if (is(true, text_field(5))) {
            out.uid = text_of(field);
          } else if (is(true, text_field(6))) {
            out.resource_version = text_of(field);
          } else if (is(false, text_field(1))) {
            out.color = text_of(field);
          } else if (is(false, number_field(2))) {
            out.count = field.get_int64();
          } else {
            field.skip();
          }
        });
      });
    });
    return whole ? std::optional(out) : std::nullopt;
  }
};

inline std::string wire_message(const Thing& thing) {
  std::string out;
  protozero::pbf_writer object{out};
  {
    protozero::pbf_writer metadata{object, 1};
    metadata.add_string(1, thing.name);
    metadata.add_string(3, thing.ns);
    metadata.add_string(5, thing.uid);
    metadata.add_string(6, thing.resource_version);
    metadata.add_bytes(17, "managed fields");
  }
  {
    protozero::pbf_writer spec{object, 2};
    spec.add_string(1, thing.color);
    spec.add_int64(2, thing.count);
  }
  return out;
}

inline std::string wire_frame(std::string_view type, const Thing& thing) {
  return protobuf_wire::watch_event(type, protobuf_wire::envelope("Thing", wire_message(thing)));
}

inline std::string wire(const Thing& thing) {
  return fmt::format(
      R"({{"kind":"Thing","apiVersion":"v1","metadata":{{"name":"{}","namespace":"{}","uid":"{}","resourceVersion":"{}",)"
      R"("managedFields":[{{"manager":"m","fieldsV1":{{"f:metadata":{{}}}}}}]}},"spec":{{"color":"{}","count":{}}}}})",
      thing.name, thing.ns, thing.uid, thing.resource_version, thing.color, thing.count);
}

inline std::string wire_event(std::string_view type, const Thing& thing) {
  return fmt::format(R"({{"type":"{}","object":{}}})", type, wire(thing));
}

inline TimePoint at(Duration since_start) {
  return TimePoint{} + std::chrono::hours(1) + since_start;
}

}  // namespace poolwarden::kube
