// A page of a list in JSON.
#include "fuzz_kube.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwarden;
  const auto check = [body = fuzz::as_text(data, size)]<class Codec>() {
    fuzz::check_page<Codec>(body, kube::Encoding::kJson);
  };
  fuzz::for_each_built_in(check);
  check.operator()<api::PoolCodec>();
  return 0;
}
