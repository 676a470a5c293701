// Any answer but success: two bytes of HTTP status, then the body.
#include "fuzz_error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // A message is for a person, however long the answer.
  poolwarden::fuzz::check_error(data, size, "", 64U * 1024);
  return 0;
}
