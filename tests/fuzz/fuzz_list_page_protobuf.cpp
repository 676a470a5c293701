// A page of a list in protobuf.
#include "fuzz_kube.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwarden;
  fuzz::for_each_built_in([body = fuzz::as_text(data, size)]<class Codec>() {
    fuzz::check_page<Codec>(body, kube::Encoding::kProtobuf);
  });
  return 0;
}
