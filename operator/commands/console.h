// The two streams a person reads, and what kind of terminal stands behind them.
//
// Nothing that others wrote into objects can move the cursor, colour the terminal or begin a line. Text is
// either a TerminalText, a document in which all such characters are escaped (export.h), or one line, which
// is made printable here.
//
// Used by one thread.
#pragma once

#include "commands/export.h"
#include "commands/terminal_text.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::commands {

enum class ColorMode : std::uint8_t { kAuto, kAlways, kNever };

struct WindowSize {
  std::size_t rows = 0;
  std::size_t columns = 0;
};

class Console {
 public:
  explicit Console(ColorMode mode);

  Paint paint() const { return paint_; }
  bool is_terminal() const { return terminal_; }
  WindowSize window() const;  // zeros where there is none

  void say(std::string_view line);   // to stdout
  void warn(std::string_view line);  // to stderr, with the program's name
  void write(const TerminalText& text);
  void write(const nlohmann::json& document, DocumentFormat format);
  // In place of what was drawn before. What does not fit is left out. For a terminal.
  void draw(const TerminalText& picture);
  // False once stdout has taken less than it was given: a full disk, say.
  bool flush();

  // A line about what is under way: drawn over the one before on a terminal; elsewhere written when `news`
  // differs from the one before.
  void progress(std::string_view words, std::string_view news);
  void end_progress();

 private:
  void put(std::string_view bytes);

  bool terminal_;
  Paint paint_;
  bool in_progress_ = false;
  bool drawn_ = false;
  std::string last_news_;
};

// Text from libraries and servers, printable on one line and not too long.
std::string one_line(std::string_view text);

}  // namespace poolwarden::commands
