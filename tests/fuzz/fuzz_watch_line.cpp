// A watch in JSON, as the API server sends it: chunks to lines to events.
#include "fuzz_kube.h"
#include "kube/line_splitter.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwarden;
  constexpr std::size_t kMaxLine = 4096;  // small, so that inputs reach it
  for (const std::string& line :
       fuzz::split_in_any_chunks<kube::LineSplitter>(data, size, kMaxLine, kMaxLine)) {
    const auto check = [&]<class Codec>() { fuzz::check_event<Codec>(kube::decode_watch_line<Codec>(line)); };
    fuzz::for_each_built_in(check);
    check.operator()<api::PoolCodec>();
  }
  return 0;
}
