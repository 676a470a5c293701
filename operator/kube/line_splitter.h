// Cuts a stream of chunks into lines: a watch is one JSON document a line.
//
// A line that lies within one chunk is handed out without copying it. "\r\n" counts as "\n"; empty lines
// are not handed out. What follows the last newline is kept until more comes, and is never handed out by
// itself: at the end of the stream it is a line that was cut. A line longer than the limit is an error and
// not memory: from then on the splitter holds nothing, takes nothing in, and feed() returns false.
//
// One stream, one thread at a time.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace poolwarden::kube {

class LineSplitter {
 public:
  static constexpr std::size_t kMaxLine = 16u << 20;

  explicit LineSplitter(std::size_t max_line = kMaxLine) : max_line_(max_line) {}

  // Calls `on_line(std::string_view)` for each line that is complete now; the view is valid for the call.
  // False once a line was too long.
  template <class OnLine>
  [[nodiscard]] bool feed(std::string_view chunk, OnLine&& on_line) {
    while (!failed_ && !chunk.empty()) {
      const std::size_t newline = chunk.find('\n');
      if (newline == std::string_view::npos) return keep(chunk);
      const std::string_view piece = chunk.substr(0, newline);
      chunk.remove_prefix(newline + 1);
      if (pending_.empty()) {
        if (too_long(piece.size())) return fail();
        hand_out(piece, on_line);
      } else {
        if (!keep(piece)) return false;
        hand_out(pending_, on_line);
        forget();
      }
    }
    return !failed_;
  }

  bool failed() const { return failed_; }
  std::size_t pending() const { return pending_.size(); }  // bytes of a line that has not ended

 private:
  // Buffers up to this size are kept for the next line that is split; larger ones are given back.
  static constexpr std::size_t kKeptCapacity = 64u << 10;

  bool too_long(std::size_t size) const { return size > max_line_; }

  bool keep(std::string_view piece) {
    if (too_long(pending_.size() + piece.size())) return fail();
    pending_.append(piece);
    return true;
  }

  template <class OnLine>
  static void hand_out(std::string_view line, OnLine& on_line) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) on_line(line);
  }

  void forget() {
    if (pending_.capacity() > kKeptCapacity) {
      std::string().swap(pending_);
    } else {
      pending_.clear();
    }
  }

  bool fail() {
    failed_ = true;
    std::string().swap(pending_);
    return false;
  }

  std::size_t max_line_;
  std::string pending_;
  bool failed_ = false;
};

}  // namespace poolwarden::kube
