// Times as other programs write them.
#include "api/time.h"
#include "fuzz.h"
#include "kube/micro_time.h"
#include "kube/rfc3339.h"

#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwarden;
  const std::string text(fuzz::as_text(data, size));
  if (const auto time = api::parse_rfc3339(text)) {
    fuzz::expect(api::parse_rfc3339(api::to_rfc3339_nanos(*time)) == time,
                 "api: what is written is read the same");
  }
  if (const auto time = kube::parse_rfc3339(text)) {
    const auto micros = std::chrono::floor<std::chrono::microseconds>(*time);
    fuzz::expect(kube::parse_rfc3339(kube::to_micro_time(*time)) == micros,
                 "kube: what is written is read the same");
  }
  return 0;
}
