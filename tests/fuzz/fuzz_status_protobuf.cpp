// Any answer but success, in protobuf: two bytes of HTTP status, then the body.
#include "fuzz_error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  poolwarden::fuzz::check_error(data, size, "application/vnd.kubernetes.protobuf", 64U * 1024 + 4 * size);
  return 0;
}
