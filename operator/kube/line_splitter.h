// Cuts a stream of chunks into lines: a watch is one JSON document a line.
//
// A line that lies within one chunk is handed out without copying it. "\r\n" counts as "\n"; empty lines are
// not handed out. What follows the last newline is kept until more comes. It is never handed out by itself:
// at the end of the stream it is a line that was cut. A line longer than the limit is an error and not
// memory. From then on the splitter holds nothing, takes nothing in, and feed() returns false.
//
// One stream, one thread at a time.
#pragma once

#include "kube/split_piece.h"

#include <cstddef>
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
    while (!failed() && !chunk.empty()) {
      const std::size_t newline = chunk.find('\n');
      if (newline == std::string_view::npos) return keep(chunk);
      const std::string_view piece = chunk.substr(0, newline);
      chunk.remove_prefix(newline + 1);
      if (pending_.empty()) {
        if (too_long(piece.size())) return pending_.fail();
        hand_out(piece, on_line);
      } else {
        if (!keep(piece)) return false;
        hand_out(pending_.view(), on_line);
        pending_.forget();
      }
    }
    return !failed();
  }

  bool failed() const { return pending_.failed(); }
  std::size_t pending() const { return pending_.size(); }  // bytes of a line that has not ended

 private:
  bool too_long(std::size_t size) const { return size > max_line_; }

  bool keep(std::string_view piece) {
    if (too_long(pending_.size() + piece.size())) return pending_.fail();
    pending_.append(piece);
    return true;
  }

  template <class OnLine>
  static void hand_out(std::string_view line, OnLine& on_line) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) on_line(line);
  }

  std::size_t max_line_;
  internal::SplitPiece pending_;
};

}  // namespace poolwarden::kube
