// The two streams a person reads, and what kind of terminal stands behind them.
//
// Used by one thread.
#pragma once

#include "commands/text_table.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace poolwarden::commands {

enum class ColorMode : std::uint8_t { kAuto, kAlways, kNever };

struct WindowSize {
  std::size_t rows = 0;
  std::size_t columns = 0;
};

class Console {
 public:
  explicit Console(ColorMode mode);

  const Paint& paint() const { return paint_; }
  bool is_terminal() const { return terminal_; }
  WindowSize window() const;  // zeros where there is none

  void say(std::string_view line);   // to stdout
  void warn(std::string_view line);  // to stderr, with the program's name
  void write(std::string_view text);
  // False once stdout has taken less than it was given: a full disk, say.
  bool flush();

  // A line about what is under way: drawn over the one before on a terminal; elsewhere written when `news`
  // differs from the one before.
  void progress(std::string_view words, std::string_view news);
  void end_progress();

 private:
  bool terminal_;
  Paint paint_;
  bool in_progress_ = false;
  std::string last_news_;
};

// Text from libraries and servers, on one line.
std::string one_line(std::string text);

}  // namespace poolwarden::commands
