#include "scenarios/child_run.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::scenarios {
namespace {

[[noreturn]] void work_in_child(const ChildRun::Work& work, int to, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);  // it died before the line above
  std::string text;
  try {
    text = work();
  } catch (const std::exception& problem) {
    text = std::string("an exception: ") + problem.what();
  }
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t written = ::write(to, text.data() + at, text.size() - at);
    if (written < 0 && errno != EINTR) ::_exit(1);
    if (written > 0) at += static_cast<std::size_t>(written);
  }
  ::_exit(0);  // what the parent has yet to print or to delete is the parent's
}

}  // namespace

ChildRun::ChildRun(const Work& work, std::chrono::milliseconds at_most)
    : deadline_(Clock::now() + at_most), at_most_(at_most) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    throw std::system_error(errno, std::generic_category(), "cannot make a pipe");
  fd_.reset(ends[0]);
  base::Fd write_end(ends[1]);
  ::fcntl(fd_.get(), F_SETFL, O_NONBLOCK);
  std::fflush(nullptr);  // else the child has it, too
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "cannot fork");
  if (pid_ == 0) work_in_child(work, write_end.get(), parent);
}

ChildRun::~ChildRun() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

std::optional<std::string> ChildRun::take() {
  std::array<char, 4096> buffer{};
  while (true) {
    const ssize_t size = ::read(fd_.get(), buffer.data(), buffer.size());
    if (size > 0) {
      text_.append(buffer.data(), static_cast<std::size_t>(size));
    } else if (size == 0) {
      return how_it_ended();
    } else if (errno != EINTR) {
      break;  // nothing yet
    }
  }
  if (Clock::now() < deadline_) return std::nullopt;
  ::kill(pid_, SIGKILL);
  ::waitpid(std::exchange(pid_, -1), nullptr, 0);
  return fmt::format("takes longer than {} s", std::chrono::duration<double>(at_most_).count());
}

std::string ChildRun::how_it_ended() {
  int status = 0;
  ::waitpid(std::exchange(pid_, -1), &status, 0);
  if (WIFSIGNALED(status))
    return fmt::format("dies of signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0) return fmt::format("exits with status {}", WEXITSTATUS(status));
  return std::move(text_);
}

std::string run_in_child(const ChildRun::Work& work, std::chrono::milliseconds at_most) {
  ChildRun child(work, at_most);
  while (true) {
    if (auto text = child.take()) return *text;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(child.deadline() - ChildRun::Clock::now());
    pollfd readable{child.fd(), POLLIN, 0};
    ::poll(&readable, 1, std::max(static_cast<int>(left.count()), 0));
  }
}

}  // namespace poolwarden::scenarios
