#include "support/protobuf/envelope.h"

#include <protozero/pbf_writer.hpp>

namespace poolwarden::protobuf_wire {

using protozero::pbf_writer;

std::string envelope(std::string_view kind, std::string_view message) {
  std::string out{"k8s\0", 4};
  pbf_writer unknown{out};
  {
    pbf_writer type{unknown, 1};
    type.add_string(1, "v1");
    type.add_string(2, std::string(kind));
  }
  unknown.add_message(2, message.data(), message.size());
  unknown.add_string(3, "");
  unknown.add_string(4, "");
  return out;
}

std::string list(std::string_view kind, const std::vector<std::string>& messages,
                 const ListOptions& options) {
  std::string out;
  pbf_writer writer{out};
  {
    pbf_writer metadata{writer, 1};
    metadata.add_string(2, options.resource_version);
    metadata.add_string(3, options.continue_token);
    if (options.remaining > 0) metadata.add_int64(4, options.remaining);
  }
  for (const std::string& item : messages) writer.add_message(2, item);
  return envelope(std::string(kind) + "List", out);
}

std::string watch_event(std::string_view type, std::string_view object) {
  std::string out;
  pbf_writer event{out};
  event.add_string(1, std::string(type));
  {
    pbf_writer extension{event, 2};
    extension.add_bytes(1, object.data(), object.size());
  }
  return out;
}

std::string framed(std::string_view bytes) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(bytes.size() >> shift & 0xFF);
  return out.append(bytes);
}

}  // namespace poolwarden::protobuf_wire
