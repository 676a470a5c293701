#include "telemetry/log.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <exception>
#include <mutex>
#include <poll.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>

namespace poolwarden::telemetry {
namespace {

// Writes to a descriptor without ever waiting longer than Log::kBlockedPatience, and not at all again until
// what blocked has moved. spdlog's own stderr sink would wait in fwrite() for ever.
class NonBlockingSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  NonBlockingSink(int fd, std::shared_ptr<std::atomic<std::uint64_t>> lost)
      : fd_(fd), lost_(std::move(lost)) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    // The rest of a line that was cut off must not swallow the head of the next one.
    if (torn_) torn_ = write_all("\n") == 0;
    const std::size_t written = torn_ ? 0 : write_all(std::string_view(line.data(), line.size()));
    if (written == line.size()) return;
    if (written > 0) torn_ = true;
    lost_->fetch_add(1, std::memory_order_relaxed);
  }
  void flush_() override {}

 private:
  // POSIX: a pipe that polls writable takes this many bytes without blocking (PIPE_BUF on Linux).
  static constexpr std::size_t kChunk = 4096;

  std::size_t write_all(std::string_view bytes) {
    std::size_t done = 0;
    while (done < bytes.size() && writable()) {
      const std::string_view chunk = bytes.substr(done, kChunk);
      const ssize_t n = ::write(fd_, chunk.data(), chunk.size());
      if (n > 0) {
        done += static_cast<std::size_t>(n);
      } else if (n == 0 || errno != EINTR) {
        break;  // full disk, closed pipe, or a descriptor that does not block and is full
      }
    }
    return done;
  }

  bool writable() {
    pollfd wanted{fd_, POLLOUT, 0};
    const auto patience = blocked_ ? std::chrono::milliseconds(0) : Log::kBlockedPatience;
    const int ready = ::poll(&wanted, 1, static_cast<int>(patience.count()));
    blocked_ = ready == 0;
    return ready > 0;
  }

  int fd_;
  std::shared_ptr<std::atomic<std::uint64_t>> lost_;
  bool torn_ = false;
  bool blocked_ = false;
};

// Text as a JSON string literal of printable ASCII: nothing in it can end the line, colour a terminal or be
// mistaken for a field. Bytes that are no UTF-8 become U+FFFD.
std::string escaped(std::string_view text) {
  std::string shown(text.substr(0, Log::kMaxValueBytes));
  if (text.size() > shown.size()) shown += fmt::format("...({} more bytes)", text.size() - shown.size());
  return nlohmann::json(std::move(shown)).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

bool needs_quotes(std::string_view text) {
  const auto plain = [](char c) { return c > ' ' && c < 0x7f && c != '"' && c != '=' && c != '\\'; };
  return text.empty() || text.size() > Log::kMaxValueBytes || !std::all_of(text.begin(), text.end(), plain);
}

void append_text(std::string& line, std::string_view message, std::span<const Field> fields) {
  const std::string safe = escaped(message);
  line.append(safe, 1, safe.size() - 2);  // a message reads better without its quotes
  for (const Field& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    line += field.bare || !needs_quotes(field.value) ? field.value : escaped(field.value);
  }
}

void append_json(std::string& line, std::string_view message, std::span<const Field> fields) {
  line += "\"message\":";
  line += escaped(message);
  for (const Field& field : fields) {
    line += ',';
    line += escaped(field.key);
    line += ':';
    line += field.bare ? field.value : escaped(field.value);
  }
  line += '}';
}

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarn:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

std::optional<Level> parse_level(std::string_view text) {
  if (text == "debug") return Level::kDebug;
  if (text == "info") return Level::kInfo;
  if (text == "warn") return Level::kWarn;
  if (text == "error") return Level::kError;
  return std::nullopt;
}

std::optional<LogFormat> parse_log_format(std::string_view text) {
  if (text == "text") return LogFormat::kText;
  if (text == "json") return LogFormat::kJson;
  return std::nullopt;
}

Field::Field(std::string_view name, std::string_view text) : key(name), value(text) {}

// NaN and infinities are no JSON numbers, so those are written as text.
Field::Field(std::string_view name, double number)
    : key(name), value(fmt::format("{:.6g}", number)), bare(std::isfinite(number)) {}

Log::Log(const LogOptions& options)
    : format_(options.format),
      level_(options.level),
      lost_(std::make_shared<std::atomic<std::uint64_t>>(0)),
      queue_(
          std::make_shared<spdlog::details::thread_pool>(std::max<std::size_t>(options.queue_lines, 1), 1)) {
  std::signal(SIGPIPE, SIG_IGN);
  auto sink = std::make_shared<NonBlockingSink>(options.fd, lost_);
  logger_ = std::make_shared<spdlog::async_logger>("poolwarden", std::move(sink), queue_,
                                                   spdlog::async_overflow_policy::overrun_oldest);
  logger_->set_level(spdlog::level::debug);  // write() has filtered already
  logger_->set_formatter(std::make_unique<spdlog::pattern_formatter>(
      format_ == LogFormat::kJson ? R"({"time":"%Y-%m-%dT%H:%M:%S.%fZ","level":"%l",%v)"
                                  : "%Y-%m-%dT%H:%M:%S.%eZ %-7l %v",
      spdlog::pattern_time_type::utc, "\n"));
  // Anything spdlog throws inside costs that line. Its default handler would print to the same stderr.
  logger_->set_error_handler(
      [lost = lost_](const std::string&) { lost->fetch_add(1, std::memory_order_relaxed); });
}

Log::~Log() {
  queue_.reset();  // writes what is queued and joins its thread, the other user of logger_
}

void Log::write(Level level, std::string_view message, std::span<const Field> fields) {
  if (!enabled(level)) return;
  try {
    std::string line;
    line.reserve(message.size() + 32 * fields.size() + 16);
    if (format_ == LogFormat::kJson) {
      append_json(line, message, fields);
    } else {
      append_text(line, message, fields);
    }
    logger_->log(to_spdlog(level), spdlog::string_view_t(line.data(), line.size()));
  } catch (const std::exception&) {  // out of memory, at the worst; a log line is never worth a crash
    lost_->fetch_add(1, std::memory_order_relaxed);
  }
}

void Log::debug(std::string_view message, std::initializer_list<Field> fields) {
  write(Level::kDebug, message, fields);
}
void Log::info(std::string_view message, std::initializer_list<Field> fields) {
  write(Level::kInfo, message, fields);
}
void Log::warn(std::string_view message, std::initializer_list<Field> fields) {
  write(Level::kWarn, message, fields);
}
void Log::error(std::string_view message, std::initializer_list<Field> fields) {
  write(Level::kError, message, fields);
}

std::uint64_t Log::dropped() const {
  return lost_->load(std::memory_order_relaxed) + queue_->overrun_counter();
}

}  // namespace poolwarden::telemetry
