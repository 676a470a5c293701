// A watch, as the API server sends it: chunks to lines to events.
#include "api/codecs.h"
#include "fuzz.h"
#include "kube/line_splitter.h"
#include "kube/watch_decoder.h"

#include <algorithm>
#include <string>
#include <vector>

namespace poolwarden {
namespace {

constexpr std::size_t kMaxLine = 4096;  // small, so that inputs reach it

struct Lines {
  std::vector<std::string> lines;
  bool whole = true;
};

Lines split(std::string_view text, std::size_t chunk) {
  kube::LineSplitter splitter(kMaxLine);
  Lines out;
  while (!text.empty() && out.whole) {
    const std::string_view piece = text.substr(0, std::min(chunk, text.size()));
    text.remove_prefix(piece.size());
    out.whole = splitter.feed(piece, [&](std::string_view line) { out.lines.emplace_back(line); });
    fuzz::expect(splitter.pending() <= kMaxLine, "the splitter holds no more than a line");
  }
  return out;
}

template <class Codec>
void decode(std::string_view line) {
  const auto decoded = kube::decode_watch_line<Codec>(line);
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
  const std::string_view text = fuzz::as_text(data + 1, size - 1);
  const Lines pieces = split(text, chunk);
  const Lines at_once = split(text, text.size());
  fuzz::expect(pieces.whole == at_once.whole, "a line is as long in pieces as at once");
  fuzz::expect(pieces.lines == at_once.lines, "the lines do not depend on the chunks");
  for (const std::string& line : pieces.lines) {
    decode<api::PodCodec>(line);
    decode<api::PoolCodec>(line);
    decode<api::ServiceCodec>(line);
    decode<api::ConfigMapCodec>(line);
    decode<api::DeploymentCodec>(line);
    decode<api::NodeCodec>(line);
  }
  return 0;
}
