// Cuts a stream of chunks into frames. A watch in protobuf is one message a frame, each after its length in
// four bytes, the most significant first (k8s.io/apimachinery, pkg/util/framer/framer.go).
//
// Promises what LineSplitter does. A frame that lies within one chunk is handed out without copying it. A
// frame that was cut by the end of the stream is never handed out. A frame longer than the limit is an error
// and not memory, for good. No more is held than what has come of one frame, whatever length it says it has.
//
// One stream, one thread at a time.
#pragma once

#include "kube/split_piece.h"

#include <cstddef>
#include <string_view>

namespace poolwarden::kube {

class FrameSplitter {
 public:
  static constexpr std::size_t kMaxFrame = 16u << 20;

  explicit FrameSplitter(std::size_t max_frame = kMaxFrame) : max_frame_(max_frame) {}

  // Calls `on_frame(std::string_view)` for each frame that is complete now; the view is valid for the call.
  // False once a frame was too long.
  template <class OnFrame>
  [[nodiscard]] bool feed(std::string_view chunk, OnFrame&& on_frame) {
    while (!failed() && !chunk.empty()) {
      if (pending_.empty() && chunk.size() >= kHeader) {
        const std::size_t length = length_of(chunk);
        if (length > max_frame_) return pending_.fail();
        if (chunk.size() - kHeader >= length) {
          on_frame(chunk.substr(kHeader, length));
          chunk.remove_prefix(kHeader + length);
          continue;
        }
      }
      keep(chunk, pending_.size() < kHeader ? kHeader : kHeader + length_of(pending_.view()));
      if (pending_.size() < kHeader) continue;
      const std::size_t length = length_of(pending_.view());
      if (length > max_frame_) return pending_.fail();
      if (pending_.size() < kHeader + length) continue;
      on_frame(pending_.view().substr(kHeader));
      pending_.forget();
    }
    return !failed();
  }

  bool failed() const { return pending_.failed(); }
  std::size_t pending() const { return pending_.size(); }  // bytes of a frame that has not ended

 private:
  static constexpr std::size_t kHeader = 4;

  static std::size_t length_of(std::string_view frame) {
    std::size_t length = 0;
    for (std::size_t i = 0; i < kHeader; ++i) length = length << 8 | static_cast<unsigned char>(frame[i]);
    return length;
  }

  // Moves what is missing up to `size` from the chunk, as far as it goes.
  void keep(std::string_view& chunk, std::size_t size) {
    const std::string_view piece = chunk.substr(0, size - pending_.size());
    pending_.append(piece);
    chunk.remove_prefix(piece.size());
  }

  std::size_t max_frame_;
  internal::SplitPiece pending_;
};

}  // namespace poolwarden::kube
