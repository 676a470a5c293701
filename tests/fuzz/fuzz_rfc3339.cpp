// Times as other programs write them.
#include "base/time.h"
#include "fuzz.h"

#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwarden;
  const std::string text(fuzz::as_text(data, size));
  const auto time = base::parse_rfc3339(text);
  if (time) {
    fuzz::expect(base::parse_rfc3339(base::to_rfc3339_nanos(*time)) == time,
                 "what is written is read the same");
    const auto micros = std::chrono::floor<std::chrono::microseconds>(*time);
    fuzz::expect(base::parse_rfc3339_clamped(base::to_micro_time(*time)) == micros,
                 "so it is with six digits of fraction");
  }
  const auto clamped = base::parse_rfc3339_clamped(text);
  fuzz::expect(!time || clamped == time, "what the clock can hold is not moved");
  return 0;
}
