// Structured logs: a message for a person and key=value fields for a machine, one line an entry, to stderr.
//
// Promises: no value can break out of its line, because everything outside printable ASCII is escaped. A
// caller never waits for the reader of stderr: lines go through a bounded queue that gives up its oldest. A
// full disk, a closed pipe or a stuck reader costs lines, which dropped() counts, and nothing else.
//
// Owned by main and handed down by reference; any thread may write. The destructor writes what is queued and
// waits at most kBlockedPatience for a reader that does not read.
#pragma once

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace spdlog {
class async_logger;
namespace details {
class thread_pool;
}
}  // namespace spdlog

namespace poolwarden::telemetry {

enum class Level : std::uint8_t { kDebug, kInfo, kWarn, kError };
enum class LogFormat : std::uint8_t { kText, kJson };

// "debug", "info", "warn", "error" and "text", "json", as the flags take them.
std::optional<Level> parse_level(std::string_view text);
std::optional<LogFormat> parse_log_format(std::string_view text);

// One key and its value. Keys are literals of ours in snake_case; durations are written in seconds, so name
// their key "..._seconds". Values longer than kMaxValueBytes are cut.
struct Field {
  Field(std::string_view name, std::string_view text);
  Field(std::string_view name, const std::string& text) : Field(name, std::string_view(text)) {}
  Field(std::string_view name, const char* text) : Field(name, std::string_view(text)) {}
  Field(std::string_view name, bool yes) : key(name), value(yes ? "true" : "false"), bare(true) {}
  template <std::integral Number>
  Field(std::string_view name, Number number) : key(name), value(std::to_string(number)), bare(true) {}
  Field(std::string_view name, double number);
  template <class Rep, class Period>
  Field(std::string_view name, std::chrono::duration<Rep, Period> time)
      : Field(name, std::chrono::duration<double>(time).count()) {}

  std::string_view key;
  std::string value;
  bool bare = false;  // a number or a boolean: written without quotes
};

struct LogOptions {
  LogFormat format = LogFormat::kText;
  Level level = Level::kInfo;
  int fd = 2;                       // not owned
  std::size_t queue_lines = 2'048;  // beyond it the oldest line gives way
};

class Log {
 public:
  static constexpr std::size_t kMaxValueBytes = 8'192;
  static constexpr std::chrono::milliseconds kBlockedPatience{500};

  // Ignores SIGPIPE for the whole process: a reader of our stderr that went away must not end the operator.
  explicit Log(const LogOptions& options);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  void write(Level level, std::string_view message, std::span<const Field> fields);
  void debug(std::string_view message, std::initializer_list<Field> fields = {});
  void info(std::string_view message, std::initializer_list<Field> fields = {});
  void warn(std::string_view message, std::initializer_list<Field> fields = {});
  void error(std::string_view message, std::initializer_list<Field> fields = {});

  bool enabled(Level level) const { return level >= level_; }
  std::uint64_t dropped() const;  // lines lost so far

 private:
  LogFormat format_;
  Level level_;
  std::shared_ptr<std::atomic<std::uint64_t>> lost_;  // shared with the sink
  std::shared_ptr<spdlog::details::thread_pool> queue_;
  std::shared_ptr<spdlog::async_logger> logger_;
};

}  // namespace poolwarden::telemetry
