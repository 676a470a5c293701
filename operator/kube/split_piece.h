// What LineSplitter and FrameSplitter have in common: the piece of a stream that has begun and not ended.
//
// Holds no more than it is given, and nothing for good once it has failed. One stream, one thread at a time.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace poolwarden::kube::internal {

class SplitPiece {
 public:
  void append(std::string_view text) { text_.append(text); }
  std::string_view view() const { return text_; }
  std::size_t size() const { return text_.size(); }
  bool empty() const { return text_.empty(); }

  // It has ended, and been handed out.
  void forget() {
    if (text_.capacity() > kKeptCapacity) {
      std::string().swap(text_);
    } else {
      text_.clear();
    }
  }

  // Of the stream, for good. False, for the caller to return.
  bool fail() {
    failed_ = true;
    std::string().swap(text_);
    return false;
  }
  bool failed() const { return failed_; }

 private:
  // A buffer up to this size is kept for the next piece that is split; a larger one is given back.
  static constexpr std::size_t kKeptCapacity = 64u << 10;

  std::string text_;
  bool failed_ = false;
};

}  // namespace poolwarden::kube::internal
