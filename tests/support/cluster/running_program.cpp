#include "support/cluster/running_program.h"

#include <array>
#include <limits>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

namespace poolwarden::cluster {

using namespace std::chrono_literals;

namespace {
constexpr auto kLastWords = 1s;  // how long output may lag behind the exit
}

tl::expected<std::unique_ptr<RunningProgram>, std::string> RunningProgram::start(const SpawnSpec& spec) {
  auto child = spawn(spec);
  if (!child) return tl::unexpected(child.error());
  return std::unique_ptr<RunningProgram>(new RunningProgram(*child));
}

RunningProgram::RunningProgram(Child child) : child_(child), collector_([this] { collect(); }) {}

RunningProgram::~RunningProgram() {
  if (!exit_code_) {
    kill_group(child_.pid);
    reap(child_.pid);
  }
  collector_.join();
  ::close(child_.output);
  ::close(child_.pidfd);
}

void RunningProgram::collect() {
  std::array<char, 4096> buffer;
  while (true) {
    const ssize_t got = ::read(child_.output, buffer.data(), buffer.size());
    if (got <= 0) break;
    log_.append({buffer.data(), static_cast<std::size_t>(got)}, std::chrono::system_clock::now());
  }
  log_.close();
}

std::optional<std::string> RunningProgram::wait_for_line(std::string_view part,
                                                         std::chrono::milliseconds timeout) const {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  std::uint64_t next = 0;
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    const LogBuffer::Read read = log_.read(next, std::max(left, 0ms));
    for (const LogBuffer::Line& line : read.lines) {
      if (line.text.find(part) != std::string::npos) return line.text;
    }
    next = read.next;
    if (left <= 0ms || (read.closed && read.lines.empty())) return std::nullopt;
  }
}

std::string RunningProgram::output() const {
  std::string text;
  for (const LogBuffer::Line& line : log_.read(0, 0ms).lines) text += line.text + "\n";
  return text;
}

void RunningProgram::signal(int number) const {
  if (!exit_code_) ::kill(child_.pid, number);
}

std::optional<int> RunningProgram::wait_for_exit(std::chrono::milliseconds timeout) {
  if (exit_code_) return exit_code_;
  pollfd entry{child_.pidfd, POLLIN, 0};
  if (::poll(&entry, 1, static_cast<int>(timeout.count())) <= 0) return std::nullopt;
  exit_code_ = reap(child_.pid);
  log_.read(std::numeric_limits<std::uint64_t>::max(), kLastWords);  // until it is closed
  return exit_code_;
}

}  // namespace poolwarden::cluster
