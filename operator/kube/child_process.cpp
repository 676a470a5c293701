#include "kube/child_process.h"

#include "base/fd.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <poll.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers)
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace poolwarden::kube {
namespace {

using Steady = std::chrono::steady_clock;

constexpr std::size_t kMaxStderr = 2048;                    // that a message may quote
constexpr std::size_t kMaxTail = 1024;                      // the same, of the end
constexpr auto kStopCheck = std::chrono::milliseconds(50);  // how soon a stop request is seen

struct Pipe {
  base::Fd read;
  base::Fd write;

  bool open() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
      return false;
    }
    read.reset(ends[0]);
    write.reset(ends[1]);
    return ::fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0;
  }
};

std::vector<std::string> merged_environment(const std::vector<std::pair<std::string, std::string>>& extra) {
  std::vector<std::string> out;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string_view name = text.substr(0, text.find('='));
    const bool replaced =
        std::any_of(extra.begin(), extra.end(), [&](const auto& pair) { return pair.first == name; });
    if (!replaced) {
      out.emplace_back(text);
    }
  }
  for (const auto& [name, value] : extra) {
    out.push_back(name + "=" + value);
  }
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (std::string& text : strings) {
    out.push_back(text.data());
  }
  out.push_back(nullptr);
  return out;
}

// posix_spawn's two argument objects, freed together.
class SpawnSetup {
 public:
  SpawnSetup(const base::Fd& out, const base::Fd& err) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions_, out.get(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions_, err.get(), STDERR_FILENO);
    // Not every library opens its sockets close-on-exec.
    posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1);

    posix_spawnattr_init(&attributes_);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes_, &none);  // a program that blocks signals in its threads
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    posix_spawnattr_setsigdefault(&attributes_, &pipe);
    posix_spawnattr_setpgroup(&attributes_, 0);  // so that its children can be ended with it
    posix_spawnattr_setflags(&attributes_,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  ~SpawnSetup() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

// Appends what is there to read; beyond `limit` it is read and dropped. False at the end of the stream.
bool drain(const base::Fd& fd, std::string& into, std::size_t limit, bool& overflow) {
  std::array<char, 4096> buffer{};
  while (true) {
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n > 0) {
      const auto size = static_cast<std::size_t>(n);
      const std::size_t room = limit - std::min(limit, into.size());
      overflow = overflow || size > room;
      into.append(buffer.data(), std::min(size, room));
      continue;
    }
    if (n < 0 && errno == EINTR) {
      continue;
    }
    return n < 0 && errno == EAGAIN;
  }
}

// Reads some of what is there and keeps the last of it; not all, or a program that prints without end would
// outlive its deadline. False at the end of the stream.
bool drain_tail(const base::Fd& fd, std::string& into) {
  constexpr int kPiecesOfAFullPipe = 16;
  std::array<char, 4096> buffer{};
  for (int piece = 0; piece <= kPiecesOfAFullPipe; ++piece) {
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n == 0) return false;
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    into.append(buffer.data(), static_cast<std::size_t>(n));
    into.erase(0, into.size() - std::min(into.size(), kMaxTail));
  }
  return true;
}

struct Running {
  pid_t pid = -1;
  base::Fd exited;  // readable once the program has ended
  Pipe out;
  Pipe err;
  std::string output;
  std::string errors;
  bool too_much = false;
};

// Reads until the program ends. The reason it had to be given up, if so.
std::optional<std::string> follow(Running& run, const ChildProcess& child, const std::stop_token& stop) {
  const auto deadline = Steady::now() + child.deadline;
  bool out_open = true;
  bool err_open = true;
  while (true) {
    if (stop.stop_requested()) {
      return "stopped";
    }
    const auto now = Steady::now();
    if (now >= deadline) {
      return fmt::format("did not finish within {} ms", child.deadline.count());
    }
    const auto wait = std::min<Steady::duration>(kStopCheck, deadline - now);
    std::array<pollfd, 3> fds{{{run.exited.get(), POLLIN, 0},
                               {out_open ? run.out.read.get() : -1, POLLIN, 0},
                               {err_open ? run.err.read.get() : -1, POLLIN, 0}}};
    const auto wait_ms = std::chrono::duration_cast<std::chrono::milliseconds>(wait).count() + 1;
    if (::poll(fds.data(), fds.size(), static_cast<int>(wait_ms)) < 0 && errno != EINTR) {
      return fmt::format("could not be waited for: {}", std::strerror(errno));
    }
    const bool ended = (fds[0].revents & POLLIN) != 0;
    bool ignored = false;
    if (child.for_its_effect) {
      out_open = out_open && drain_tail(run.out.read, run.errors);
    } else {
      out_open = out_open && drain(run.out.read, run.output, child.max_output_bytes, run.too_much);
    }
    err_open = err_open && drain(run.err.read, run.errors, kMaxStderr, ignored);
    if (run.too_much) {
      return fmt::format("printed more than {} bytes", child.max_output_bytes);
    }
    if (ended) {
      return std::nullopt;  // a grandchild that keeps the pipe open does not keep us
    }
  }
}

std::string trimmed(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) {
    text.pop_back();
  }
  return text;
}

}  // namespace

tl::expected<std::string, ChildFailure> run_child(const ChildProcess& child, const std::stop_token& stop) {
  Running run;
  const auto fail = [&](std::string what, bool not_found = false) {
    std::string message = child.command + " " + what;
    if (const std::string errors = trimmed(run.errors); !errors.empty()) {
      message += ": " + errors;
    }
    return tl::unexpected(ChildFailure{not_found, std::move(message)});
  };
  if (!run.out.open() || !run.err.open()) {
    return fail(fmt::format("could not be started: {}", std::strerror(errno)));
  }
  std::vector<std::string> argv{child.command};
  argv.insert(argv.end(), child.args.begin(), child.args.end());
  std::vector<std::string> env = merged_environment(child.env);
  {
    const SpawnSetup setup(run.out.write, child.for_its_effect ? run.out.write : run.err.write);
    const int error = ::posix_spawnp(&run.pid, child.command.c_str(), setup.actions(), setup.attributes(),
                                     pointers(argv).data(), pointers(env).data());
    if (error != 0) {
      return fail(fmt::format("could not be started: {}", std::strerror(error)), error == ENOENT);
    }
  }
  run.out.write.reset();
  run.err.write.reset();
  // Not by glibc's function, whose header (2.36) forgets extern "C".
  run.exited.reset(static_cast<int>(::syscall(SYS_pidfd_open, run.pid, 0)));

  const std::optional<std::string> given_up =
      run.exited.get() < 0 ? std::optional<std::string>(std::strerror(errno)) : follow(run, child, stop);
  if (given_up) {
    ::kill(-run.pid, SIGKILL);
    ::kill(run.pid, SIGKILL);  // it may have left its process group
  }
  int status = 0;
  while (::waitpid(run.pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (given_up) {
    return fail(*given_up);
  }
  if (WIFSIGNALED(status)) {
    return fail(fmt::format("was ended by signal {}", WTERMSIG(status)));
  }
  if (WEXITSTATUS(status) != 0) {
    return fail(fmt::format("failed with exit status {}", WEXITSTATUS(status)));
  }
  return std::move(run.output);
}

}  // namespace poolwarden::kube
