// A watch in protobuf, as the API server sends it: chunks to frames to events.
#include "fuzz_kube.h"
#include "kube/frame_splitter.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwarden;
  constexpr std::size_t kMaxFrame = 4096;  // small, so that inputs reach it
  constexpr std::size_t kHeader = 4;
  for (const std::string& frame :
       fuzz::split_in_any_chunks<kube::FrameSplitter>(data, size, kMaxFrame, kMaxFrame + kHeader)) {
    fuzz::for_each_built_in(
        [&]<class Codec>() { fuzz::check_event<Codec>(kube::decode_watch_frame<Codec>(frame)); });
  }
  return 0;
}
