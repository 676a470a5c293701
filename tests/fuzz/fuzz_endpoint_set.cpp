// The published list, as a consumer finds it.
#include "api/endpoint_set.h"
#include "fuzz.h"

#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwarden;
  std::string problem;
  auto set = api::parse_endpoint_set(fuzz::as_text(data, size), &problem);
  if (!set) {
    fuzz::expect(!problem.empty(), "a refusal says why");
    return 0;
  }
  api::sort_canonically(*set);
  const auto again = api::parse_endpoint_set(api::to_canonical_json(*set), &problem);
  fuzz::expect(again.has_value() && *again == *set, "what is read and written is read the same");
  (void)api::to_text(*set);
  return 0;
}
