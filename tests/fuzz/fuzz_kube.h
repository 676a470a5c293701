// What the fuzzers of lists and watches check, whichever of the API server's two encodings they read.
#pragma once

#include "api/codecs.h"
#include "fuzz.h"
#include "kube/watch_decoder.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace poolwarden::fuzz {

// What a splitter makes of a stream. `whole`: no piece was too long.
struct Pieces {
  std::vector<std::string> pieces;
  bool whole = true;
};

// Feeds a stream in chunks. The splitter holds `most_held` bytes at most.
template <class Splitter>
Pieces split(std::string_view bytes, std::size_t chunk, std::size_t limit, std::size_t most_held) {
  Splitter splitter(limit);
  Pieces out;
  while (!bytes.empty() && out.whole) {
    const std::string_view piece = bytes.substr(0, std::min(chunk, bytes.size()));
    bytes.remove_prefix(piece.size());
    out.whole = splitter.feed(piece, [&](std::string_view one) { out.pieces.emplace_back(one); });
    expect(splitter.pending() <= most_held, "the splitter holds no more than one piece");
  }
  return out;
}

// The pieces of a stream whose first byte says how it is chunked, which makes no difference.
template <class Splitter>
std::vector<std::string> split_in_any_chunks(const std::uint8_t* data, std::size_t size, std::size_t limit,
                                             std::size_t most_held) {
  if (size == 0) return {};
  const std::string_view bytes = as_text(data + 1, size - 1);
  const Pieces chunked = split<Splitter>(bytes, data[0] % 64U + 1, limit, most_held);
  const Pieces at_once = split<Splitter>(bytes, bytes.size(), limit, most_held);
  expect(chunked.whole == at_once.whole, "a piece is as long in chunks as at once");
  expect(chunked.pieces == at_once.pieces, "the pieces do not depend on the chunks");
  return chunked.pieces;
}

template <class Codec, class Decoded>
void check_event(const Decoded& decoded) {
  if (!decoded) {
    expect(!decoded.error().message.empty(), "an error says what is wrong");
    return;
  }
  using Event = kube::WatchEvent<typename Codec::Object>;
  if (const auto* event = std::get_if<Event>(&*decoded)) {
    expect(event->type == kube::WatchEventType::kBookmark || !event->object.uid.empty(),
           "an object has a uid");
  }
}

template <class Codec>
void check_page(std::string_view body, kube::Encoding encoding) {
  const auto page = kube::decode_list<Codec>(body, encoding);
  if (!page) {
    expect(!page.error().message.empty(), "an error says what is wrong");
    return;
  }
  expect(!page->resource_version.empty(), "a page has a resourceVersion");
  expect(page->items.size() + page->unreadable.count <= body.size(), "an item takes bytes");
  expect(page->unreadable.keys.size() <= kube::Unreadable::kMaxKeys, "what is noted is bounded");
  for (const auto& item : page->items)
    expect(!item.name.empty() && !item.uid.empty(), "an item has a name and a uid");
}

// Calls check.operator()<Codec>() for each kind that is read in both encodings.
template <class Check>
void for_each_built_in(Check check) {
  check.template operator()<api::PodCodec>();
  check.template operator()<api::ServiceCodec>();
  check.template operator()<api::ConfigMapCodec>();
  check.template operator()<api::DeploymentCodec>();
  check.template operator()<api::ReplicaSetCodec>();
  check.template operator()<api::NodeCodec>();
  check.template operator()<api::DisruptionBudgetCodec>();
  check.template operator()<api::AutoscalerCodec>();
}

}  // namespace poolwarden::fuzz
