// Reads a pod from a stream of JSON events without building the document: of 5 to 40 KiB on the wire, some
// 300 bytes are kept. The callbacks are those of nlohmann::json's SAX interface, for one object.
#pragma once

#include <cstdint>
#include <string>

#include "api/pod.h"

namespace poolwarden::api {

class PodSax {
 public:
  // The object's own start_object and end_object come through here too. A value of an unexpected type is
  // skipped with everything below it. None of them throws; strings may be moved from.
  void start_object();
  void end_object();
  void start_array();
  void end_array();
  void key(std::string& name);
  void string(std::string& value);
  void integer(std::int64_t value);
  void boolean(bool value);
  void null();

  // The finished pod; ready for the next one after. `labels` and `node` are fresh values: the caller interns.
  Pod take();
};

}  // namespace poolwarden::api
