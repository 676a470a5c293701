#include "telemetry/log.h"

#include <array>
#include <chrono>
#include <cmath>
#include <fcntl.h>
#include <limits>
#include <poll.h>
#include <sstream>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::telemetry {
namespace {

class Pipe {
 public:
  Pipe() { EXPECT_EQ(::pipe(ends_.data()), 0); }
  ~Pipe() {
    close_reader();
    close_writer();
  }
  int writer() const { return ends_[1]; }
  void close_reader() { close_end(ends_[0]); }
  void close_writer() { close_end(ends_[1]); }
  // What is in the pipe by now; closes the writing end.
  std::string drain() {
    close_writer();
    std::string all;
    std::array<char, 4096> buffer{};
    for (ssize_t n = 0; (n = ::read(ends_[0], buffer.data(), buffer.size())) > 0;) {
      all.append(buffer.data(), static_cast<std::size_t>(n));
    }
    return all;
  }
  // Takes until a write would block.
  void fill() {
    ::fcntl(ends_[1], F_SETFL, O_NONBLOCK);
    const std::string page(4096, 'x');
    while (::write(ends_[1], page.data(), page.size()) > 0) {
    }
    ::fcntl(ends_[1], F_SETFL, 0);
  }
  bool readable() const {
    pollfd wanted{ends_[0], POLLIN, 0};
    return ::poll(&wanted, 1, 0) > 0;
  }
  void empty() {
    std::array<char, 4096> buffer{};
    while (readable() && ::read(ends_[0], buffer.data(), buffer.size()) > 0) {
    }
  }

 private:
  static void close_end(int& fd) {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
  std::array<int, 2> ends_{-1, -1};
};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// Writes through a Log and returns the lines that came out, the time cut off in text form.
template <class Write>
std::vector<std::string> logged(LogFormat format, Level level, Write write) {
  Pipe pipe;
  {
    Log log({.format = format, .level = level, .fd = pipe.writer()});
    write(log);
  }
  auto lines = lines_of(pipe.drain());
  if (format == LogFormat::kText) {
    for (auto& line : lines) line = line.substr(line.find(' ') + 1);
  }
  return lines;
}

std::string text_line(std::string_view message, std::initializer_list<Field> fields) {
  const auto lines = logged(LogFormat::kText, Level::kDebug, [&](Log& log) { log.info(message, fields); });
  return lines.size() == 1 ? lines[0] : "not one line";
}

TEST(LogText, WritesMessageAndFieldsInOneLine) {
  EXPECT_EQ(text_line("endpoint withdrawn", {{"pod", "vllm-0"}, {"latency_seconds", 0.0021}, {"pools", 3}}),
            "info    endpoint withdrawn pod=vllm-0 latency_seconds=0.0021 pools=3");
}

TEST(LogText, EscapesWhatWouldBreakTheLineOrFakeAField) {
  struct Row {
    const char* name;
    std::string value;
    const char* shown;
  };
  const Row rows[] = {
      {"empty", "", R"(v="")"},
      {"space", "a b", R"(v="a b")"},
      {"new line", "a\nerror fake", R"(v="a\nerror fake")"},
      {"carriage return", "a\rb", R"(v="a\rb")"},
      {"terminal escape", "\x1b[31m", R"(v="\u001b[31m")"},
      {"delete", "a\x7f", R"(v="a\u007f")"},
      {"quote", R"(a"b)", R"(v="a\"b")"},
      {"backslash", R"(a\b)", R"(v="a\\b")"},
      {"another field", "a=b", R"(v="a=b")"},
      {"C1 control in UTF-8", "a\xc2\x9b", R"(v="a\u009b")"},
      {"line separator", "a\xe2\x80\xa8", R"(v="a\u2028")"},
      {"not UTF-8", "a\xff", R"(v="a\ufffd")"},
      {"NUL", std::string("a\0b", 3), R"(v="a\u0000b")"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(text_line("m", {{"v", row.value}}), std::string("info    m ") + row.shown) << row.name;
  }
}

TEST(LogText, EscapesTheMessageToo) {
  EXPECT_EQ(text_line("a\nb", {}), R"(info    a\nb)");
}

TEST(LogText, KeepsEveryKindOfNumber) {
  EXPECT_EQ(text_line("m", {{"min", std::numeric_limits<std::int64_t>::min()},
                            {"max", std::numeric_limits<std::uint64_t>::max()},
                            {"yes", true},
                            {"wait_seconds", std::chrono::milliseconds(1500)},
                            {"nan", std::nan("")}}),
            "info    m min=-9223372036854775808 max=18446744073709551615 yes=true wait_seconds=1.5 nan=nan");
}

TEST(LogText, CutsValuesThatAreTooLong) {
  const std::string line = text_line("m", {{"v", std::string(Log::kMaxValueBytes + 5, 'x')}});
  EXPECT_LT(line.size(), Log::kMaxValueBytes + 100);
  EXPECT_TRUE(line.ends_with("...(5 more bytes)\"")) << line.substr(line.size() - 40);
}

TEST(LogText, StartsWithTheTimeInUtc) {
  Pipe pipe;
  {
    Log log({.fd = pipe.writer()});
    log.warn("m");
  }
  const std::string line = pipe.drain();
  ASSERT_GT(line.size(), 24U);
  EXPECT_EQ(line[10], 'T');
  EXPECT_EQ(line.substr(23), "Z warning m\n");
}

TEST(LogJson, EveryLineIsAnObject) {
  const auto lines = logged(LogFormat::kJson, Level::kDebug, [](Log& log) {
    log.error("write \"failed\"\n",
              {{"pool", "a\nb\xff"}, {"tries", 2}, {"ratio", 0.5}, {"nan", std::nan("")}, {"ok", false}});
    log.debug("second");
  });
  ASSERT_EQ(lines.size(), 2U);
  const auto first = nlohmann::json::parse(lines[0]);
  EXPECT_EQ(first["level"], "error");
  EXPECT_EQ(first["message"], "write \"failed\"\n");
  EXPECT_EQ(first["pool"], "a\nb\xef\xbf\xbd");
  EXPECT_EQ(first["tries"], 2);
  EXPECT_EQ(first["ratio"], 0.5);
  EXPECT_EQ(first["nan"], "nan");
  EXPECT_EQ(first["ok"], false);
  EXPECT_TRUE(first["time"].get<std::string>().ends_with("Z"));
  EXPECT_EQ(nlohmann::json::parse(lines[1])["message"], "second");
}

TEST(Log, LeavesOutWhatIsBelowTheLevel) {
  const auto lines = logged(LogFormat::kText, Level::kWarn, [](Log& log) {
    log.debug("d");
    log.info("i");
    log.warn("w");
    log.error("e");
  });
  EXPECT_EQ(lines, (std::vector<std::string>{"warning w", "error   e"}));
}

TEST(Log, LinesOfSeveralThreadsStayWhole) {
  const auto lines = logged(LogFormat::kText, Level::kInfo, [](Log& log) {
    std::vector<std::thread> writers;
    for (int thread = 0; thread < 4; ++thread) {
      writers.emplace_back([&log] {
        for (int i = 0; i < 100; ++i) log.info("message", {{"value", "abc"}});
      });
    }
    for (auto& writer : writers) writer.join();
  });
  EXPECT_EQ(lines, std::vector<std::string>(400, "info    message value=abc"));
}

TEST(LogTrouble, FullDiskCostsTheLinesOnly) {
  const int full = ::open("/dev/full", O_WRONLY);
  ASSERT_GE(full, 0);
  std::uint64_t dropped = 0;
  {
    Log log({.fd = full});
    for (int i = 0; i < 10; ++i) log.info("m");
    // The queue is written by another thread; wait for it, not for a time.
    while ((dropped = log.dropped()) < 10) std::this_thread::yield();
  }
  EXPECT_EQ(dropped, 10U);
  ::close(full);
}

TEST(LogTrouble, ClosedPipeCostsTheLinesOnly) {
  Pipe pipe;
  pipe.close_reader();
  Log log({.fd = pipe.writer()});
  log.info("m");
  while (log.dropped() < 1) std::this_thread::yield();
  EXPECT_EQ(log.dropped(), 1U);
}

TEST(LogTrouble, ClosedDescriptorCostsTheLinesOnly) {
  Log log({.fd = -1});
  log.info("m");
  while (log.dropped() < 1) std::this_thread::yield();
  EXPECT_EQ(log.dropped(), 1U);
}

TEST(LogTrouble, ReaderStalls_WriterAndExitGoOn) {
  Pipe pipe;
  pipe.fill();
  const auto start = std::chrono::steady_clock::now();
  auto written = start;
  std::uint64_t dropped = 0;
  {
    Log log({.fd = pipe.writer(), .queue_lines = 64});
    for (int i = 0; i < 1'000; ++i) log.info("m");
    written = std::chrono::steady_clock::now();
    while ((dropped = log.dropped()) < 1'000) std::this_thread::yield();
  }
  const auto gone = std::chrono::steady_clock::now();
  EXPECT_EQ(dropped, 1'000U);
  EXPECT_LT(written - start, Log::kBlockedPatience) << "the caller waited for the reader";
  EXPECT_LT(gone - start, 10 * Log::kBlockedPatience) << "the patience must be spent once, not once a line";
}

TEST(LogTrouble, LinesComeAgainOnceTheReaderReads) {
  Pipe pipe;
  pipe.fill();
  std::uint64_t dropped = 0;
  {
    Log log({.fd = pipe.writer()});
    log.info("lost");
    while (log.dropped() < 1) std::this_thread::yield();
    pipe.empty();
    log.info("kept");
    while (!pipe.readable() && log.dropped() < 2) std::this_thread::yield();
    dropped = log.dropped();
  }
  EXPECT_EQ(dropped, 1U);
  EXPECT_TRUE(pipe.drain().ends_with("info    kept\n"));
}

TEST(LogFlags, ParseTheFlagsValues) {
  EXPECT_EQ(parse_level("debug"), Level::kDebug);
  EXPECT_EQ(parse_level("info"), Level::kInfo);
  EXPECT_EQ(parse_level("warn"), Level::kWarn);
  EXPECT_EQ(parse_level("error"), Level::kError);
  EXPECT_EQ(parse_level("INFO"), std::nullopt);
  EXPECT_EQ(parse_log_format("text"), LogFormat::kText);
  EXPECT_EQ(parse_log_format("json"), LogFormat::kJson);
  EXPECT_EQ(parse_log_format(""), std::nullopt);
}

}  // namespace
}  // namespace poolwarden::telemetry
