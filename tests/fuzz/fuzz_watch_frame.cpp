// A watch in protobuf, as the API server sends it: chunks to frames to events.
#include "api/codecs.h"
#include "fuzz.h"
#include "kube/frame_splitter.h"
#include "kube/watch_decoder.h"

#include <algorithm>
#include <string>
#include <vector>

namespace poolwarden {
namespace {

constexpr std::size_t kMaxFrame = 4096;  // small, so that inputs reach it

struct Frames {
  std::vector<std::string> frames;
  bool whole = true;
};

Frames split(std::string_view bytes, std::size_t chunk) {
  kube::FrameSplitter splitter(kMaxFrame);
  Frames out;
  while (!bytes.empty() && out.whole) {
    const std::string_view piece = bytes.substr(0, std::min(chunk, bytes.size()));
    bytes.remove_prefix(piece.size());
    out.whole = splitter.feed(piece, [&](std::string_view frame) { out.frames.emplace_back(frame); });
    fuzz::expect(splitter.pending() <= kMaxFrame + 4, "the splitter holds no more than a frame");
  }
  return out;
}

template <class Codec>
void decode(std::string_view frame) {
  const auto decoded = kube::decode_watch_frame<Codec>(frame);
  if (!decoded) {
    fuzz::expect(!decoded.error().message.empty(), "an error says what is wrong");
    return;
  }
  using Event = kube::WatchEvent<typename Codec::Object>;
  if (const auto* event = std::get_if<Event>(&*decoded)) {
    fuzz::expect(event->type == kube::WatchEventType::kBookmark || !event->object.uid.empty(),
                 "an object has a uid");
  }
}

}  // namespace
}  // namespace poolwarden

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwarden;
  if (size == 0) {
    return 0;
  }
  const std::size_t chunk = data[0] % 64U + 1;
  const std::string_view bytes = fuzz::as_text(data + 1, size - 1);
  const Frames pieces = split(bytes, chunk);
  const Frames at_once = split(bytes, bytes.size());
  fuzz::expect(pieces.whole == at_once.whole, "a frame is as long in pieces as at once");
  fuzz::expect(pieces.frames == at_once.frames, "the frames do not depend on the chunks");
  for (const std::string& frame : pieces.frames) {
    decode<api::PodCodec>(frame);
    decode<api::ServiceCodec>(frame);
    decode<api::ConfigMapCodec>(frame);
    decode<api::DeploymentCodec>(frame);
    decode<api::ReplicaSetCodec>(frame);
    decode<api::NodeCodec>(frame);
  }
  return 0;
}
