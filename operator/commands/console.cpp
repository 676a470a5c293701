#include "commands/console.h"

#include "commands/view.h"

#include <cstdio>
#include <cstdlib>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::commands {
namespace {

bool is_set(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody writes the environment
  return value != nullptr && *value != '\0';
}

bool is_dumb() {
  const char* term = std::getenv("TERM");  // NOLINT(concurrency-mt-unsafe): as above
  return term == nullptr || std::string_view(term) == "dumb";
}

// https://no-color.org
bool wants_colors(ColorMode mode, bool terminal) {
  if (mode == ColorMode::kAuto) return terminal && !is_set("NO_COLOR") && !is_dumb();
  return mode == ColorMode::kAlways;
}

}  // namespace

Console::Console(ColorMode mode)
    : terminal_(::isatty(STDOUT_FILENO) == 1),
      paint_(wants_colors(mode, terminal_) ? Paint::on() : Paint::off()) {}

WindowSize Console::window() const {
  winsize size{};
  if (!terminal_ || ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return {};
  return {size.ws_row, size.ws_col};
}

void Console::write(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void Console::say(std::string_view line) {
  end_progress();
  write(line);
  write("\n");
  flush();
}

void Console::warn(std::string_view line) {
  end_progress();
  flush();
  fmt::print(stderr, "poolwarden: {}\n", one_line(std::string(line)));
}

bool Console::flush() {
  return std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
}

void Console::progress(std::string_view words, std::string_view news) {
  const bool changed = news != last_news_;
  last_news_ = news;
  if (terminal_) {
    const std::size_t columns = window().columns;
    write("\r");
    write(columns == 0 ? std::string(words) : cut_to(words, columns - 1));
    write("\x1b[K");
    in_progress_ = true;
  } else if (changed) {
    write(words);
    write("\n");
  }
  flush();
}

void Console::end_progress() {
  if (std::exchange(in_progress_, false)) write("\n");
}

std::string one_line(std::string text) {
  return printable(std::move(text), 4096);
}

}  // namespace poolwarden::commands
