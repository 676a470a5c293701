#include "commands/console.h"

#include "base/text.h"

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
      paint_(wants_colors(mode, terminal_) ? Paint::kOn : Paint::kOff) {}

WindowSize Console::window() const {
  winsize size{};
  if (!terminal_ || ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return {};
  return {size.ws_row, size.ws_col};
}

void Console::put(std::string_view bytes) {
  std::fwrite(bytes.data(), 1, bytes.size(), stdout);
}

void Console::write(const TerminalText& text) {
  put(text.str());
}

void Console::write(const nlohmann::json& document, DocumentFormat format) {
  put(format == DocumentFormat::kYaml ? to_yaml(document) : to_pretty_json(document));
}

void Console::say(std::string_view line) {
  end_progress();
  put(base::printable(line));
  put("\n");
  flush();
}

void Console::warn(std::string_view line) {
  end_progress();
  flush();
  fmt::print(stderr, "poolwarden: {}\n", one_line(line));
}

// From the top left corner, line over line, so that nothing flickers.
void Console::draw(const TerminalText& picture) {
  const std::size_t most = window().rows;
  const std::string_view text = picture.str();
  std::string frame = std::exchange(drawn_, true) ? "\x1b[H" : "\x1b[2J\x1b[H";
  std::size_t rows = 0;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = text.find('\n', start);
    const bool room = most == 0 || ++rows < most;
    if (!room) break;
    frame.append(text, start, end - start).append("\x1b[K\n");
    start = end + 1;
  }
  put(frame + "\x1b[J");
  flush();
}

bool Console::flush() {
  return std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
}

void Console::progress(std::string_view words, std::string_view news) {
  const bool changed = news != last_news_;
  last_news_ = news;
  const std::string line = base::printable(words);
  if (terminal_) {
    const std::size_t columns = window().columns;
    put("\r");
    put(columns == 0 ? line : cut_to(line, columns - 1));
    put("\x1b[K");
    in_progress_ = true;
  } else if (changed) {
    put(line);
    put("\n");
  }
  flush();
}

void Console::end_progress() {
  if (std::exchange(in_progress_, false)) put("\n");
}

std::string one_line(std::string_view text) {
  constexpr std::size_t kLongest = 4096;
  return base::abridged(base::printable(text), kLongest);
}

}  // namespace poolwarden::commands
